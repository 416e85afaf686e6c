"""The in-memory event storage keeps the contract."""

import pytest

from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests


class TestInMemoryEventStorage(EventStorageAdapterTests):
    """One adapter."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter()


class TestSeveralInMemoryEventStorages(EventStorageAdapterTests):
    """Groups over two adapters."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter()

    @pytest.fixture
    def sibling_adapter(self) -> InMemoryEventStorageAdapter:
        """Return another one."""
        return InMemoryEventStorageAdapter()


class TestInMemoryEventStorageWithGaps(EventStorageAdapterTests):
    """The version before may be missing, if the adapter was told so."""

    works_in_several_event_loops_at_once = False

    refuses_gaps = False

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter(allow_gaps=True)
