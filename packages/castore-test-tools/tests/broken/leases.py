"""Bookmark storages that do not keep leases."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import cast

from castore_core import LOG_START, Lease, LeaseLostError
from castore_in_memory import InMemoryBookmarkStorageAdapter


class LeaseIsATruth(InMemoryBookmarkStorageAdapter):
    """Says yes or no, as before there were tokens."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Return a truth."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        return cast("Lease", True) if lease else None


class TokensAreDecimals(InMemoryBookmarkStorageAdapter):
    """Gives tokens out as its backend does."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Forget to convert."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        return lease and lease._replace(token=cast("int", Decimal(lease.token)))


class EverybodyGetsTheLease(InMemoryBookmarkStorageAdapter):
    """Says yes to all who ask."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Say yes."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        return lease or Lease(bookmark_id, owner, 1)


class LeaseGoesToTheNext(InMemoryBookmarkStorageAdapter):
    """Gives a lease to the owner who asked for it last."""

    _asked: tuple[str, timedelta] | None = None

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Remember who asked."""
        self._asked = owner, duration
        return await super().acquire_lease(bookmark_id, owner, duration)

    async def release_lease(self, lease: Lease) -> None:
        """Give it on."""
        await super().release_lease(lease)
        if self._asked is not None:
            await super().acquire_lease(lease.bookmark_id, *self._asked)


class LeaseMovesToTheStart(InMemoryBookmarkStorageAdapter):
    """Begins anew with each lease."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Move to the start."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        if lease and bookmark_id in self._positions:
            self._positions[bookmark_id] = LOG_START
        return lease


class NewOwnerBeginsAnew(InMemoryBookmarkStorageAdapter):
    """Keeps a position for each owner."""

    _owner: str | None = None

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Move to the start for a new owner."""
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        if lease and self._owner not in {None, owner}:
            self._positions[bookmark_id] = LOG_START
        self._owner = owner if lease else self._owner
        return lease


class LeaseOfTheLastOwner(InMemoryBookmarkStorageAdapter):
    """Lets the last owner move, also when the time is over."""

    def _check_lease(self, lease: Lease) -> None:
        last, _ = self._leases.get(lease.bookmark_id, (None, 0))
        if last != lease:
            raise LeaseLostError(lease.bookmark_id, lease.owner)


class LeaseNotExtended(InMemoryBookmarkStorageAdapter):
    """Says yes to the owner, and leaves the end as it is."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Do nothing for the owner."""
        lease = self._get_lease(bookmark_id)
        if lease and lease.owner == owner:
            return lease
        return await super().acquire_lease(bookmark_id, owner, duration)


class DaysAreIgnored(InMemoryBookmarkStorageAdapter):
    """Takes the seconds of a duration for all of it."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Drop the days."""
        return await super().acquire_lease(
            bookmark_id, owner, duration - timedelta(days=duration.days)
        )


class ReleaseIgnored(InMemoryBookmarkStorageAdapter):
    """Waits until a lease runs out."""

    async def release_lease(self, lease: Lease) -> None:
        """Do nothing."""


class AnybodyReleases(InMemoryBookmarkStorageAdapter):
    """Gives back whatever lease there is."""

    async def release_lease(self, lease: Lease) -> None:
        """Release for the owner."""
        self._leases.pop(lease.bookmark_id, None)


class ReleaseOfNothingFails(InMemoryBookmarkStorageAdapter):
    """Refuses to give back a lease that nobody has."""

    async def release_lease(self, lease: Lease) -> None:
        """Refuse."""
        self._check_lease(lease)
        await super().release_lease(lease)


class LeaseRace(InMemoryBookmarkStorageAdapter):
    """Lets others in between looking and taking."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Pause."""
        seen = self._get_lease(bookmark_id)
        await asyncio.sleep(0)
        if seen is None:
            self._leases.pop(bookmark_id, None)
        return await super().acquire_lease(bookmark_id, owner, duration)


class TokensBeginAnew(InMemoryBookmarkStorageAdapter):
    """Forgets the token with the lease."""

    async def release_lease(self, lease: Lease) -> None:
        """Delete the row."""
        await super().release_lease(lease)
        if self._get_lease(lease.bookmark_id) is None:
            self._tokens[lease.bookmark_id] = 0


class TokensOfOwners(InMemoryBookmarkStorageAdapter):
    """Counts the owners."""

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, str] = {}

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Keep the token of an owner who was the last one, too."""
        if self._get_lease(bookmark_id) is None and self._owners.get(bookmark_id) == owner:
            self._tokens[bookmark_id] -= 1
        lease = await super().acquire_lease(bookmark_id, owner, duration)
        if lease:
            self._owners[bookmark_id] = owner
        return lease


class TokenOfEachCall(InMemoryBookmarkStorageAdapter):
    """Gives a new token with each extension."""

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Begin anew."""
        lease = self._get_lease(bookmark_id)
        if lease and lease.owner == owner:
            del self._leases[bookmark_id]
        return await super().acquire_lease(bookmark_id, owner, duration)


class OwnerIsEnough(InMemoryBookmarkStorageAdapter):
    """Looks at the owner of a lease, and not at its token."""

    def _check_lease(self, lease: Lease) -> None:
        held = self._get_lease(lease.bookmark_id)
        if held is None or held.owner != lease.owner:
            raise LeaseLostError(lease.bookmark_id, lease.owner)


class OwnerReleases(InMemoryBookmarkStorageAdapter):
    """Gives back whatever lease the owner has."""

    async def release_lease(self, lease: Lease) -> None:
        """Look at the owner."""
        held = self._get_lease(lease.bookmark_id)
        if held is not None and held.owner == lease.owner:
            await super().release_lease(held)
