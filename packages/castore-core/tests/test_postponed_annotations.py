"""Events can be declared in a module whose annotations are postponed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from castore_core import Event, EventRecord

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Weighed(Event, type="WEIGHED"):
    """It has a field that is optional, one that is required, and a class variable."""

    payload: int
    metadata: str | None = None
    unit: ClassVar[str] = "kg"


def test_fields_are_found() -> None:
    """Fields and class variables are told apart though their annotations are texts."""
    record = Weighed(aggregate_id="a", version=1, timestamp=NOW, payload=6).to_record()

    assert EventRecord("a", 1, "WEIGHED", NOW, 6) == record
    assert "kg" == Weighed.from_record(record).unit


def test_other_fields_are_refused() -> None:
    """A field of another name is found too."""
    with pytest.raises(TypeError, match=r"Bad\.level: an event type declares no other fields"):

        class Bad(Event, type="BAD"):  # pyright: ignore[reportUnusedClass]
            level: int
