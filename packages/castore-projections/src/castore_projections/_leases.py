"""The lease of a partition: taken, kept, and given back."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from castore_core import BookmarkStorageAdapter, CastoreError, Lease, LeaseLostError
from castore_core.workers import begin, finish
from castore_projections.errors import ProjectionBusyError

_LONGEST_RELEASE: Final = 5.0  # seconds
_FIRST_PAUSE: Final = 0.01  # seconds between attempts to take a lease
_LONGEST_PAUSE: Final = 0.1
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
        self._lease: Lease | None = None
        self._is_ceasing = False

    async def take(self) -> Lease | None:
        """Take or extend the lease, or return ``None`` where another owner has it.

        A caller that is cancelled meanwhile has not got it.
        """
        taking = begin(self._take())
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(TimeoutError, CastoreError):  # it runs out by itself
                await finish(self._give_back(taking), within=_LONGEST_RELEASE)
            raise

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

    async def take_within(self, name: str, seconds: float) -> Lease:
        """Take the lease as soon as it is free.

        Raises:
            ProjectionBusyError: another owner had it for so many seconds.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + seconds, _FIRST_PAUSE
        while (lease := await self.take()) is None:
            if clock() >= deadline:
                return await self.take_or_raise(name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return lease

    async def release(self) -> None:
        """Give the lease back, if it is had."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._bookmarks.release_lease(lease)

    @asynccontextmanager
    async def keep(self, lease: Lease) -> AsyncGenerator[None]:
        """Extend the lease for the time of a block, and give it back at the end."""
        self._is_ceasing = False
        renewal = begin(self._renew(lease))
        try:
            yield
        finally:
            renewal.cancel()
            with suppress(TimeoutError, CastoreError):  # it runs out by itself
                await finish(self._end(renewal), within=_LONGEST_RELEASE)

    def check(self, lease: Lease) -> None:
        """Look whether the lease was still had when it was last extended.

        Raises:
            LeaseLostError: it was not.
        """
        if self._lease != lease:
            raise LeaseLostError(lease.bookmark_id, lease.owner)

    def cease(self) -> None:
        """Extend the lease no longer: it is lost when its time is over."""
        self._is_ceasing = True  # no cancellation: that would give it back

    async def _take(self) -> Lease | None:
        acquire = self._bookmarks.acquire_lease
        self._lease = await acquire(self.bookmark_id, self.owner, self._duration)
        return self._lease

    async def _give_back(self, taking: asyncio.Task[Lease | None]) -> None:
        await asyncio.gather(taking, return_exceptions=True)
        await self.release()

    async def _renew(self, lease: Lease) -> None:
        pause = self._duration.total_seconds() / _RENEWALS
        while self._lease == lease:
            await asyncio.sleep(pause)
            if self._is_ceasing:
                return
            with suppress(CastoreError):  # the next attempt, or the next commit, tells
                await self.take()

    async def _end(self, renewal: asyncio.Task[None]) -> None:
        await asyncio.gather(renewal, return_exceptions=True)
        await self.release()
