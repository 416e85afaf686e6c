"""Bookmark storages that move bookmarks too early, too late, or without a lease."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from castore_core import LOG_START, Lease, LeaseLostError, LogPosition
from castore_in_memory import InMemoryBookmarkStorageAdapter


class MovesAtTheBeginning(InMemoryBookmarkStorageAdapter):
    """Moves a bookmark, and moves it back when the block fails."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Move first."""
        before = self._positions.get(lease.bookmark_id)
        async with super().move_bookmark(lease, position, **parking):
            self._positions[lease.bookmark_id] = position
            try:
                yield
            except BaseException:
                if before is not None:
                    self._positions[lease.bookmark_id] = before
                raise


class MovesInSpiteOfAnError(InMemoryBookmarkStorageAdapter):
    """Moves a bookmark whatever comes of the block."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Move last."""
        try:
            yield
        except Exception:
            async with super().move_bookmark(lease, position, **parking):
                pass
            raise
        async with super().move_bookmark(lease, position, **parking):
            pass


class ErrorSwallowed(InMemoryBookmarkStorageAdapter):
    """Undoes a block that fails, and says nothing."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Catch the error."""
        with suppress(LookupError):
            async with super().move_bookmark(lease, position, **parking):
                yield


class MovesWhenCancelled(InMemoryBookmarkStorageAdapter):
    """Takes a cancellation for the end of the block."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Finish, and raise then."""
        cancellation: asyncio.CancelledError | None = None
        async with super().move_bookmark(lease, position, **parking):
            try:
                yield
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            raise cancellation


class MoveDeletesFirst(InMemoryBookmarkStorageAdapter):
    """Takes a bookmark out, and puts it in again, in two steps."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Pause."""
        async with super().move_bookmark(lease, position, **parking):
            yield
            before = self._positions.pop(lease.bookmark_id, None)
            await asyncio.sleep(0)
            self._positions[lease.bookmark_id] = before or LOG_START


class LeaseUnchecked(InMemoryBookmarkStorageAdapter):
    """Lets anybody move a bookmark."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Write before the check."""
        yield
        self._positions[lease.bookmark_id] = position
        self._check_lease(lease)


class KeywordOnlyLeaseError(LeaseLostError):
    """An error that does not pickle."""

    def __init__(self, *, bookmark: str, owner: str) -> None:
        super().__init__(bookmark, owner)


class LeaseErrorDoesNotPickle(InMemoryBookmarkStorageAdapter):
    """Raises an error of its own."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Raise another error."""
        try:
            async with super().move_bookmark(lease, position, **parking):
                yield
        except LeaseLostError as error:
            raise KeywordOnlyLeaseError(bookmark=lease.bookmark_id, owner=lease.owner) from error


class LeaseErrorNamesTheHolder(InMemoryBookmarkStorageAdapter):
    """Says who has the lease, rather than who does not."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Name another owner."""
        try:
            async with super().move_bookmark(lease, position, **parking):
                yield
        except LeaseLostError as error:
            holder = self._get_lease(lease.bookmark_id)
            raise LeaseLostError(lease.bookmark_id, holder.owner if holder else "") from error


class LeaseCheckedAtTheBeginning(InMemoryBookmarkStorageAdapter):
    """Trusts a lease that held when the block began."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Check once."""
        self._check_lease(lease)
        yield
        self._positions[lease.bookmark_id] = position
