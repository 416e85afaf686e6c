"""The in-memory snapshot storage keeps the contract, with and without a bound."""

import pytest

from castore_in_memory import InMemorySnapshotStorageAdapter
from castore_test_tools import SnapshotStorageAdapterTests


class TestInMemorySnapshots(SnapshotStorageAdapterTests):
    """Without a bound."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemorySnapshotStorageAdapter:
        """Return an empty adapter."""
        return InMemorySnapshotStorageAdapter()


class TestBoundedInMemorySnapshots(SnapshotStorageAdapterTests):
    """With a bound."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemorySnapshotStorageAdapter:
        """Return an empty adapter with room for as many as the contract asks."""
        return InMemorySnapshotStorageAdapter(max_size=50)
