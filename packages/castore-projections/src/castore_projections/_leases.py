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

_LONGEST_RELEASE: Final = 5.0  # seconds
_RENEWALS: Final = 3  # in the time of a lease


def make_owner() -> str:
    """Return a name that no other reader has, and that tells where this one runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


class LeaseKeeper:
    """Takes the lease of a bookmark, and extends it for as long as its reader runs.

    A reader that was stopped for longer than the lease finds it lost at its next commit.
    """

    def __init__(
        self, bookmarks: BookmarkStorageAdapter[Any], bookmark_id: str, duration: timedelta
    ) -> None:
        self._bookmarks = bookmarks
        self._bookmark_id = bookmark_id
        self._duration = duration
        self.owner = make_owner()

    async def take(self) -> Lease | None:
        """Take the lease, or return ``None`` where another owner has it."""
        return await self._bookmarks.acquire_lease(self._bookmark_id, self.owner, self._duration)

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
