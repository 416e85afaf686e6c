"""Bookmark storages that misplace bookmarks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from unicodedata import normalize

from castore_core import LOG_START, Bookmark, Lease, LeaseLostError, LogPosition
from castore_in_memory import InMemoryBookmarkStorageAdapter


class NoBookmarkIsAtTheStart(InMemoryBookmarkStorageAdapter):
    """Has a position for bookmarks that nobody made."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return the start."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(position=found.position or LOG_START)


class LeaseMakesABookmark(InMemoryBookmarkStorageAdapter):
    """Keeps lease and position in one row."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Insert the row."""
        await self.create_bookmark(bookmark_id, LOG_START)
        return await super().acquire_lease(bookmark_id, owner, duration)


class CreateIsForgotten(InMemoryBookmarkStorageAdapter):
    """Makes no bookmark before its first move."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Look."""
        found = self._positions.get(bookmark_id)
        return position if found is None else found


class CreateMoves(InMemoryBookmarkStorageAdapter):
    """Makes a bookmark anew."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Overwrite."""
        self._positions[bookmark_id] = position
        return position


class CreateSaysWhatItWasTold(InMemoryBookmarkStorageAdapter):
    """Does not say where a bookmark is."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Return what was given."""
        await super().create_bookmark(bookmark_id, position)
        return position


class StartIsNoPosition(InMemoryBookmarkStorageAdapter):
    """Tests a position for truth."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make it again."""
        found = await super().create_bookmark(bookmark_id, position)
        if not found:
            self._positions[bookmark_id] = position
        return found or position


class CreateNeedsALease(InMemoryBookmarkStorageAdapter):
    """Makes no bookmark while an owner has its lease."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Refuse."""
        if self._get_lease(bookmark_id):
            raise LeaseLostError(bookmark_id, "nobody")
        return await super().create_bookmark(bookmark_id, position)


class CreateRace(InMemoryBookmarkStorageAdapter):
    """Lets others in between looking and writing."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Pause."""
        found = self._positions.get(bookmark_id)
        await asyncio.sleep(0)
        if found is None:
            self._positions[bookmark_id] = position
        return position if found is None else found


class ForwardsOnly(InMemoryBookmarkStorageAdapter):
    """Moves no bookmark back."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Compare."""
        at = max(position, self._positions.get(lease.bookmark_id) or LOG_START)
        async with super().move_bookmark(lease, at, **parking):
            yield


class MovesWhatIsThereOnly(InMemoryBookmarkStorageAdapter):
    """Updates a row that may not be there."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Undo the move where it is the first."""
        is_there = lease.bookmark_id in self._positions
        async with super().move_bookmark(lease, position, **parking):
            yield
        if not is_there:
            del self._positions[lease.bookmark_id]


class OtherPositions(InMemoryBookmarkStorageAdapter):
    """Changes the positions that it is given."""

    def change(self, position: LogPosition) -> LogPosition:
        """Return what is kept instead."""
        return position

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Change it."""
        return await super().create_bookmark(bookmark_id, self.change(position))

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Change it."""
        async with super().move_bookmark(lease, self.change(position), **parking):
            yield


class PositionsAreCut(OtherPositions):
    """Has a column of 255 characters."""

    def change(self, position: LogPosition) -> LogPosition:
        """Cut."""
        return position[:255]


class PositionsAreTrimmed(OtherPositions):
    """Has a column of a fixed width."""

    def change(self, position: LogPosition) -> LogPosition:
        """Trim."""
        return position.rstrip(" ")


class PositionsAreNormalized(OtherPositions):
    """Has one way to write a text."""

    def change(self, position: LogPosition) -> LogPosition:
        """Compose."""
        return normalize("NFC", position)


class PositionsAreIntegers(OtherPositions):
    """Reads a number as one."""

    def change(self, position: LogPosition) -> LogPosition:
        """Convert it to and fro."""
        return str(int(position)) if position.isdecimal() else position


class PositionsAreGivenAsNumbers(InMemoryBookmarkStorageAdapter):
    """Gives positions out as its backend does."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Forget to convert."""
        found = await super().get_bookmark(bookmark_id)
        if found.position and found.position.isdecimal():
            return found._replace(position=cast("str", int(found.position)))
        return found


class BookmarksRenamed(InMemoryBookmarkStorageAdapter):
    """Has other names for bookmarks."""

    def rename(self, bookmark_id: str) -> str:
        """Return the name of a bookmark."""
        return bookmark_id

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Use that name."""
        return await super().get_bookmark(self.rename(bookmark_id))

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Use that name."""
        return await super().create_bookmark(self.rename(bookmark_id), position)

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Use that name."""
        async with super().move_bookmark(self._rename_lease(lease), position, **parking):
            yield

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Use that name."""
        lease = await super().acquire_lease(self.rename(bookmark_id), owner, duration)
        return lease and lease._replace(bookmark_id=bookmark_id)

    async def release_lease(self, lease: Lease) -> None:
        """Use that name."""
        await super().release_lease(self._rename_lease(lease))

    def _rename_lease(self, lease: Lease) -> Lease:
        return lease._replace(bookmark_id=self.rename(lease.bookmark_id))


class OneBookmark(BookmarksRenamed):
    """Has room for one."""

    def rename(self, bookmark_id: str) -> str:
        """Drop the name."""
        return bookmark_id[:0]


class BookmarkIdsAreFolded(BookmarksRenamed):
    """Compares names without regard to case."""

    def rename(self, bookmark_id: str) -> str:
        """Fold."""
        return bookmark_id.casefold()


class BookmarksOfOneEventLoop(InMemoryBookmarkStorageAdapter):
    """Keeps the event loop of the first that moved a bookmark."""

    _loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        async with super().move_bookmark(lease, position, **parking):
            yield
