"""The in-memory bookmark storage keeps the contract."""

import pytest

from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests


class TestInMemoryBookmarks(BookmarkStorageAdapterTests):
    """One adapter."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemoryBookmarkStorageAdapter:
        """Return an empty adapter."""
        return InMemoryBookmarkStorageAdapter()
