"""Recorded spans and metrics, and a store with a queue to record."""

from collections.abc import Iterator

import pytest

from castore_opentelemetry import uninstrument_castore
from recorded import Recorded


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Record all operations of a test."""
    recorded = Recorded()
    recorded.instrument()
    yield recorded
    uninstrument_castore()
