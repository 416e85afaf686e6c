"""Bookmark storages in whose blocks something else can be written: a sound one, and broken ones.

The transaction is a list of writes, which are done at its end.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from castore_core import LOG_START, Bookmark, Lease, LogPosition, ParkedEvent, check_parked
from castore_in_memory import InMemoryBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests

Writes: TypeAlias = list[str]
Join: TypeAlias = tuple[Callable[[Writes, str], None], Callable[[], list[str]]]


class JoiningBookmarks:
    """Keeps bookmarks, and the texts that are written together with them."""

    def __init__(self) -> None:
        self.bookmarks = InMemoryBookmarkStorageAdapter()
        self.texts: list[str] = []

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return what is known of a bookmark."""
        return await self.bookmarks.get_bookmark(bookmark_id)

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark."""
        return await self.bookmarks.create_bookmark(bookmark_id, position)

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Do the writes when the bookmark moves."""
        writes: Writes = []
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            yield writes
        self.texts += writes

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take a lease."""
        return await self.bookmarks.acquire_lease(bookmark_id, owner, duration)

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        await self.bookmarks.release_lease(lease)

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> Sequence[ParkedEvent]:
        """Read parked events."""
        return await self.bookmarks.get_parked_events(bookmark_id, after, limit)

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget failures."""
        await self.bookmarks.retry_parked_events(bookmark_id, positions)

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events."""
        await self.bookmarks.drop_parked_events(bookmark_id, positions)


class JoiningBookmarksTests(BookmarkStorageAdapterTests):
    """Everything is declared."""

    adapter_class: type[JoiningBookmarks] = JoiningBookmarks
    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> JoiningBookmarks:
        """Return a storage without bookmarks."""
        return self.adapter_class()

    @pytest.fixture
    def join_transaction(self, adapter: JoiningBookmarks) -> Join:
        """Write in a transaction, and read."""

        def write(transaction: Writes, text: str) -> None:
            transaction.append(text)

        return write, lambda: [*adapter.texts]


class FirstWriteOnly(JoiningBookmarks):
    """Has room for one write."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Cut."""
        async with super().move_bookmark(lease, position, **parking) as writes:
            yield writes
            del writes[1:]


class OneTransaction(JoiningBookmarks):
    """Gives each block the transaction of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._writes: Writes = []

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Forget to roll back."""
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            yield self._writes
        self.texts += self._writes
        self._writes.clear()


class WritesInSpiteOfAnError(JoiningBookmarks):
    """Does the writes whatever comes of the block."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Write last."""
        writes: Writes = []
        try:
            async with self.bookmarks.move_bookmark(lease, position, **parking):
                yield writes
        finally:
            self.texts += writes


class WritesWhenCancelled(JoiningBookmarks):
    """Undoes the writes of blocks that raise an error only."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Write after a cancellation, too."""
        writes: Writes = []
        try:
            async with self.bookmarks.move_bookmark(lease, position, **parking):
                yield writes
        except asyncio.CancelledError:
            self.texts += writes
            raise
        self.texts += writes


class WritesBeforeTheCheck(JoiningBookmarks):
    """Does the writes, and then sees whether the lease holds."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Write within the block."""
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            writes: Writes = []
            yield writes
            self.texts += writes


class WritesOfALostLease(JoiningBookmarks):
    """Undoes no writes when it moves no bookmark."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Write in any case."""
        check_parked(parking.get("parked", ()), parking.get("unparked", ()))
        writes: Writes = []
        yield writes
        self.texts += writes
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            pass


class TwoCommits(JoiningBookmarks):
    """Commits the move, and then the writes."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Pause between them."""
        writes: Writes = []
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            yield writes
        await asyncio.sleep(0)
        self.texts += writes


class WritesFirst(JoiningBookmarks):
    """Commits the writes, and then the move."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[Writes]:
        """Pause between them."""
        writes: Writes = []
        async with self.bookmarks.move_bookmark(lease, position, **parking):
            yield writes
            if await self.bookmarks.acquire_lease(lease.bookmark_id, lease.owner, timedelta(1)):
                self.texts += writes
            await asyncio.sleep(0)
