"""Bookmarks in memory."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from castore_core import Lease, LeaseLostError, LogPosition


class InMemoryBookmarkStorageAdapter:
    """Keeps bookmarks and their leases in this process; leases run on its monotonic clock.

    No transaction of a reader's can take part in a move: the block is given ``None``, and the
    bookmark moves at its end.
    """

    def __init__(self) -> None:
        self._positions: dict[str, LogPosition] = {}
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._tokens: Counter[str] = Counter()

    async def get_position(self, bookmark_id: str) -> LogPosition | None:
        """Return the position of a bookmark, or ``None`` where there is no such bookmark."""
        return self._positions.get(bookmark_id)

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is."""
        return self._positions.setdefault(bookmark_id, position)

    @asynccontextmanager
    async def move_bookmark(self, lease: Lease, position: LogPosition) -> AsyncGenerator[None]:
        """Move a bookmark at the end of a block that does not raise.

        Raises:
            LeaseLostError: the lease does not hold at the beginning, or at the end. Nothing was
                written.
        """
        self._check_lease(lease)
        yield
        self._check_lease(lease)
        self._positions[lease.bookmark_id] = position

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns ``None`` when another owner holds one that has not run out.
        """
        lease = self._get_lease(bookmark_id)
        if lease is None:
            self._tokens[bookmark_id] += 1
            lease = Lease(bookmark_id, owner, self._tokens[bookmark_id])
        elif lease.owner != owner:
            return None
        self._leases[bookmark_id] = (lease, time.monotonic() + duration.total_seconds())
        return lease

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        if self._get_lease(lease.bookmark_id) == lease:
            del self._leases[lease.bookmark_id]

    def _get_lease(self, bookmark_id: str) -> Lease | None:
        lease, until = self._leases.get(bookmark_id, (None, 0.0))
        return lease if time.monotonic() < until else None

    def _check_lease(self, lease: Lease) -> None:
        if self._get_lease(lease.bookmark_id) != lease:
            raise LeaseLostError(lease.bookmark_id, lease.owner)
