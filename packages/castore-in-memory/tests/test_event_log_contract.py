"""The in-memory event log keeps the contract."""

import pytest

from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import EventLogTests


class TestInMemoryEventLog(EventLogTests):
    """One adapter."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter()
