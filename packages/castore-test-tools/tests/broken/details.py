"""Bookmark storages that tell other things of bookmarks than what has happened to them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from castore_core import Bookmark, Lease, LogPosition
from castore_in_memory import InMemoryBookmarkStorageAdapter


def now() -> datetime:
    """Return the moment, in whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class NoBookmarkHasAMoment(InMemoryBookmarkStorageAdapter):
    """Has a moment for bookmarks that nobody made."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Begin in 1970."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(moved_at=found.moved_at or datetime(1970, 1, 1, tzinfo=UTC))


class MomentsAreNaive(InMemoryBookmarkStorageAdapter):
    """Gives moments out without a time zone."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Drop it."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(moved_at=found.moved_at and found.moved_at.replace(tzinfo=None))


class MomentsAreMicroseconds(InMemoryBookmarkStorageAdapter):
    """Gives moments out as exactly as its backend has them."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Add some."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(moved_at=found.moved_at and found.moved_at + timedelta.resolution)


class MomentIsThatOfMaking(InMemoryBookmarkStorageAdapter):
    """Keeps the moment at which a bookmark was made."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Keep it."""
        made_at = self._moved_at.get(lease.bookmark_id)
        async with super().move_bookmark(lease, position, **parking):
            yield
        if made_at is not None:
            self._moved_at[lease.bookmark_id] = made_at


class SamePositionIsNoMove(InMemoryBookmarkStorageAdapter):
    """Changes nothing where the position stays."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Compare."""
        before = self._positions.get(lease.bookmark_id), self._moved_at.get(lease.bookmark_id)
        async with super().move_bookmark(lease, position, **parking):
            yield
        if before[0] == position and before[1] is not None:
            self._moved_at[lease.bookmark_id] = before[1]


class LeaseIsAMove(InMemoryBookmarkStorageAdapter):
    """Has one moment for all that changes the row."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Touch the row."""
        if bookmark_id in self._moved_at:
            self._moved_at[bookmark_id] = now()
        return await super().acquire_lease(bookmark_id, owner, duration)


class MakingAgainIsAMove(InMemoryBookmarkStorageAdapter):
    """Touches a bookmark that is there."""

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Touch it."""
        found = await super().create_bookmark(bookmark_id, position)
        self._moved_at[bookmark_id] = now()
        return found


class LastOwnerStays(InMemoryBookmarkStorageAdapter):
    """Names the last owner, whether the lease has run out."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Look at no clock."""
        found = await super().get_bookmark(bookmark_id)
        lease, _ = self._leases.get(bookmark_id, (None, 0.0))
        return found._replace(owner=lease and lease.owner)


class OwnerIsTheLastToAsk(InMemoryBookmarkStorageAdapter):
    """Names whoever asked last."""

    _asked: str | None = None

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Remember who asked."""
        self._asked = owner
        return await super().acquire_lease(bookmark_id, owner, duration)

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Name that one."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(owner=found.owner and self._asked)


class LeaseOfNoBookmarkIsNone(InMemoryBookmarkStorageAdapter):
    """Knows nothing before a bookmark is made."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Look at the position."""
        found = await super().get_bookmark(bookmark_id)
        return Bookmark(None) if found.position is None else found


class ExtensionsAreNoRenewal(InMemoryBookmarkStorageAdapter):
    """Keeps the moment at which a lease was taken."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Keep it."""
        is_held = self._get_lease(bookmark_id) is not None
        before = self._renewed_at.get(bookmark_id)
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        if is_held and before is not None:
            self._renewed_at[bookmark_id] = before
        return lease


class RenewalIsForgotten(InMemoryBookmarkStorageAdapter):
    """Forgets all of a lease that is over."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Look at the owner."""
        found = await super().get_bookmark(bookmark_id)
        return found if found.owner else found._replace(renewed_at=None)


class MovesRenew(InMemoryBookmarkStorageAdapter):
    """Has one moment for all that an owner does."""

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Touch the lease."""
        async with super().move_bookmark(lease, position, **parking):
            yield
        self._renewed_at[lease.bookmark_id] = now()


class RefusalsRenew(InMemoryBookmarkStorageAdapter):
    """Takes down each time that anybody asked."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Touch the lease."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        self._renewed_at[bookmark_id] = now()
        return lease
