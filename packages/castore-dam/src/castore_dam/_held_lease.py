"""The lease of a bookmark, extended for as long as an operation holds it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from castore_core import BookmarkStorageAdapter, Lease, LeaseLostError
from castore_core.workers import begin, finish
from castore_dam.errors import CheckpointInUseError

_ATTEMPTS: Final = 3
_RENEWALS: Final = 3  # in the time of a lease
_SHORTEST_PAUSE: Final = 0.01  # seconds between two of them


class HeldLease:
    """The lease of one operation, and the position that it knows the bookmark to have.

    A lease that ran out, as on a machine that was asleep, is taken again where nobody has moved
    the bookmark meanwhile.

    Args:
        bookmarks: keeps the bookmark.
        bookmark_id: names it.
        duration: how long it is kept from others after a crash.
        longest_call: seconds that an operation waits at its end for a call of the storage.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        bookmark_id: str,
        duration: timedelta,
        *,
        longest_call: float,
    ) -> None:
        self._bookmarks = bookmarks
        self._id = bookmark_id
        self._duration = duration
        self._longest_call = longest_call
        self._owner = uuid4().hex
        self._lease: Lease | None = None
        self._position: str | None = None
        self._is_lost = False
        self._lock = asyncio.Lock()  # a call at a time

    @asynccontextmanager
    async def keep(self) -> AsyncGenerator[None]:
        """Hold the lease for a block, and extend it in the background.

        Raises:
            CheckpointInUseError: another operation has it.
            TimeoutError: the storage did not answer at the end of the block. The lease runs out.
        """
        renewal: asyncio.Task[None] | None = None
        try:
            await self._extend()
            renewal = begin(self._renew())
            yield
        finally:
            await finish(self._release(renewal), within=self._longest_call)

    async def read(self) -> str | None:
        """Return the position of the bookmark, or ``None`` where there is none yet."""
        self._position = (await self._bookmarks.get_bookmark(self._id)).position
        return self._position

    async def move(self, position: str) -> None:
        """Move the bookmark.

        Raises:
            CheckpointInUseError: another operation has the lease, or has moved the bookmark.
        """
        async with self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                lease = await self._extend()
                try:
                    async with self._bookmarks.move_bookmark(lease, position):
                        pass
                except LeaseLostError as error:  # it ran out meanwhile
                    if attempt == _ATTEMPTS:
                        raise CheckpointInUseError(self._id) from error
                else:
                    break
            self._position = position

    async def _renew(self) -> None:
        """Extend the lease until it is lost, or the task is cancelled."""
        pause = max(self._duration.total_seconds() / _RENEWALS, _SHORTEST_PAUSE)
        while not self._is_lost:
            await asyncio.sleep(pause)
            async with self._lock:
                with suppress(Exception):  # the next attempt, or the next move, tells
                    await self._extend()

    async def _release(self, renewal: asyncio.Task[None] | None) -> None:
        """Extend the lease no longer, and give it back unless it was lost."""
        try:
            async with self._lock:  # so that the renewal is in no call
                # It may be had although the first call was cancelled, and returned nothing.
                if not self._is_lost and (lease := await self._acquire()) is not None:
                    await self._bookmarks.release_lease(lease)
        finally:
            if renewal is not None:  # it waits, or hangs in a call
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)

    async def _extend(self) -> Lease:
        if self._is_lost:
            raise CheckpointInUseError(self._id)
        lease = await self._acquire()
        if lease is None:
            raise self._lose()
        if self._lease not in {None, lease} and await self._is_moved():
            await self._bookmarks.release_lease(lease)
            raise self._lose()
        self._lease = lease
        return lease

    async def _acquire(self) -> Lease | None:
        return await self._bookmarks.acquire_lease(self._id, self._owner, self._duration)

    async def _is_moved(self) -> bool:
        bookmark = await self._bookmarks.get_bookmark(self._id)
        return bookmark.position != self._position

    def _lose(self) -> CheckpointInUseError:
        self._is_lost, self._lease = True, None
        return CheckpointInUseError(self._id)
