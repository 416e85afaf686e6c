"""The lease of a partition: taken, kept, and given back."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from castore_core import BookmarkStorageAdapter, CastoreError, Lease
from castore_core.workers import begin, finish
from castore_projections.errors import ProjectionBusyError

_LONGEST_RELEASE: Final = 5.0  # seconds
_RENEWALS: Final = 3  # in the time of a lease


def make_owner() -> str:
    """Return a name that no other reader has, and that tells where this one runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


class LeaseKeeper:
    """Takes the lease of a bookmark, and extends it for as long as its reader runs.

    A reader that was stopped for longer than the lease finds it lost at its next commit.

    Args:
        bookmarks: where the bookmark is.
        bookmark_id: the bookmark.
        owner: a name that no other reader has.
        duration: how long the lease lasts when it is not extended.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        bookmark_id: str,
        *,
        owner: str,
        duration: timedelta,
    ) -> None:
        self._bookmarks = bookmarks
        self.bookmark_id = bookmark_id
        self.owner = owner
        self._duration = duration

    async def take(self) -> Lease | None:
        """Take or extend the lease, or return ``None`` where another owner has it."""
        return await self._bookmarks.acquire_lease(self.bookmark_id, self.owner, self._duration)

    async def take_or_raise(self, name: str) -> Lease:
        """Take the lease.

        Raises:
            ProjectionBusyError: another owner has it.
        """
        lease = await self.take()
        if lease is None:
            bookmark = await self._bookmarks.get_bookmark(self.bookmark_id)
            raise ProjectionBusyError(name, self.bookmark_id, bookmark.owner)
        return lease

    async def release(self) -> None:
        """Give the lease back, if it is had."""
        lease = await self.take()
        if lease is not None:
            await self._bookmarks.release_lease(lease)

    @asynccontextmanager
    async def keep(self, lease: Lease) -> AsyncGenerator[None]:
        """Extend the lease for the time of a block, and give it back at the end."""
        renewal = begin(self._renew())
        try:
            yield
        finally:
            renewal.cancel()
            with suppress(TimeoutError, CastoreError):  # it runs out by itself
                await finish(self._end(renewal, lease), within=_LONGEST_RELEASE)

    async def _renew(self) -> None:
        pause = self._duration.total_seconds() / _RENEWALS
        while True:
            await asyncio.sleep(pause)
            with suppress(CastoreError):  # the next attempt, or the next commit, tells
                if await self.take() is None:
                    return

    async def _end(self, renewal: asyncio.Task[None], lease: Lease) -> None:
        await asyncio.gather(renewal, return_exceptions=True)
        await self._bookmarks.release_lease(lease)
