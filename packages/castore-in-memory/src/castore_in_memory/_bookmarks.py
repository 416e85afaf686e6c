"""Bookmarks in memory."""

import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from castore_core import (
    LOG_START,
    Bookmark,
    Lease,
    LeaseLostError,
    LogPosition,
    ParkedEvent,
    check_limit,
    check_parked,
    utc_now,
)


class InMemoryBookmarkStorageAdapter:
    """Keeps bookmarks, leases and parked events in this process; leases run on its monotonic clock.

    No transaction of a reader's can take part in a move: the block is given ``None``, and the
    bookmark moves at its end.
    """

    def __init__(self) -> None:
        self._positions: dict[str, LogPosition] = {}
        self._moved_at: dict[str, datetime] = {}
        self._leases: dict[str, tuple[Lease, float]] = {}
        self._renewed_at: dict[str, datetime] = {}
        self._tokens: Counter[str] = Counter()
        self._parked: defaultdict[str, dict[LogPosition, ParkedEvent]] = defaultdict(dict)

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark and its lease.

        ``position`` is ``None`` where the bookmark does not exist.
        """
        lease = self._get_lease(bookmark_id)
        return Bookmark(
            self._positions.get(bookmark_id),
            self._moved_at.get(bookmark_id),
            lease and lease.owner,
            self._renewed_at.get(bookmark_id),
        )

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is."""
        if bookmark_id not in self._positions:
            self._set_position(bookmark_id, position)
        return self._positions[bookmark_id]

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[None]:
        """Move a bookmark, and park events, at the end of a block that does not raise.

        Raises:
            LeaseLostError: the lease does not hold at the beginning, or at the end. Nothing was
                written.
            ValueError: more than 25 events are parked or unparked, or one twice.
        """
        check_parked(parked, unparked)
        self._check_lease(lease)
        yield
        self._check_lease(lease)
        self._set_position(lease.bookmark_id, position)
        self._park(lease.bookmark_id, parked, unparked)

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
        self._renewed_at[bookmark_id] = utc_now()
        return lease

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        if self._get_lease(lease.bookmark_id) == lease:
            del self._leases[lease.bookmark_id]

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Read the parked events of a bookmark that follow a position, in the order of the log."""
        check_limit(limit)
        events = self._parked.get(bookmark_id, {})
        return [events[position] for position in sorted(events) if position > after][:limit]

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events, which lets their reader try them again."""
        events = self._parked.get(bookmark_id, {})
        for position in events.keys() & set(positions):
            events[position] = events[position]._replace(failure=None)

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events for good: their reader never handles them."""
        self._park(bookmark_id, (), positions)

    def _set_position(self, bookmark_id: str, position: LogPosition) -> None:
        self._positions[bookmark_id] = position
        self._moved_at[bookmark_id] = utc_now()

    def _park(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        events = self._parked[bookmark_id]
        for position in unparked:
            events.pop(position, None)
        events.update((each.position, each) for each in parked)

    def _get_lease(self, bookmark_id: str) -> Lease | None:
        lease, until = self._leases.get(bookmark_id, (None, 0.0))
        return lease if time.monotonic() < until else None

    def _check_lease(self, lease: Lease) -> None:
        if self._get_lease(lease.bookmark_id) != lease:
            raise LeaseLostError(lease.bookmark_id, lease.owner)
