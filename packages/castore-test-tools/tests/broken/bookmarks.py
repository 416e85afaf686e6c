"""Bookmark storages that do not keep leases."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import cast

from castore_core import LeaseLostError
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
)


class LeaseUnchecked(InMemoryBookmarkStorageAdapter):
    """Lets anybody move a bookmark."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, int] = {}

    async def get_position(self, bookmark_id: str) -> int:
        """Return the last position of anybody."""
        return self._last.get(bookmark_id, 0)

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Write before the check."""
        self._last[bookmark_id] = position
        await super().set_position(bookmark_id, position, owner=owner)


class AnybodyReleases(InMemoryBookmarkStorageAdapter):
    """Gives back whatever lease there is."""

    _owner = ""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember the owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner if is_taken else self._owner
        return is_taken

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Release for the owner."""
        await super().release_lease(bookmark_id, self._owner)


class LeaseNotExtended(InMemoryBookmarkStorageAdapter):
    """Says yes to the owner, and leaves the end as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[str, str] = {}

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Do nothing for the owner."""
        if self._owners.get(bookmark_id) == owner:
            return True
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        if is_taken:
            self._owners[bookmark_id] = owner
        return is_taken


class LeaseOfTheLastOwner(InMemoryBookmarkStorageAdapter):
    """Lets the last owner move, also when the time is over."""

    _owner = ""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember the owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner if is_taken else self._owner
        return is_taken

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Take the lease again for the last owner."""
        if owner == self._owner:
            await super().acquire_lease(bookmark_id, owner, timedelta(minutes=1))
        await super().set_position(bookmark_id, position, owner=owner)


class LeaseRace(InMemoryBookmarkStorageAdapter):
    """Lets others in between looking and taking."""

    _owner: str | None = None

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Pause."""
        seen = self._owner
        await asyncio.sleep(0)
        if seen is not None:
            return await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner
        return True


class LeaseMovesToZero(InMemoryBookmarkStorageAdapter):
    """Begins anew with each lease."""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Move to 0."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        if is_taken:
            await super().set_position(bookmark_id, 0, owner=owner)
        return is_taken


class BeginsBeforeZero(InMemoryBookmarkStorageAdapter):
    """Takes 0 for a position."""

    async def get_position(self, bookmark_id: str) -> int:
        """Return -1 for none."""
        return await super().get_position(bookmark_id) or -1


class ForwardsOnly(InMemoryBookmarkStorageAdapter):
    """Moves no bookmark back."""

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Compare."""
        if position > await self.get_position(bookmark_id):
            await super().set_position(bookmark_id, position, owner=owner)


class KeywordOnlyLeaseError(LeaseLostError):
    """An error that does not pickle."""

    def __init__(self, *, bookmark: str, owner: str) -> None:
        super().__init__(bookmark, owner)


class LeaseErrorDoesNotPickle(InMemoryBookmarkStorageAdapter):
    """Raises an error of its own."""

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Raise another error."""
        try:
            await super().set_position(bookmark_id, position, owner=owner)
        except LeaseLostError as error:
            raise KeywordOnlyLeaseError(bookmark=bookmark_id, owner=owner) from error


class EverybodyGetsTheLease(InMemoryBookmarkStorageAdapter):
    """Says yes to all who ask."""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Say yes."""
        await super().acquire_lease(bookmark_id, owner, duration)
        return True


class LeaseGoesToTheNext(InMemoryBookmarkStorageAdapter):
    """Gives a lease to who asked for it last."""

    _asked: tuple[str, timedelta] | None = None

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember who asked."""
        self._asked = owner, duration
        return await super().acquire_lease(bookmark_id, owner, duration)

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Give it on."""
        await super().release_lease(bookmark_id, owner)
        if self._asked is not None:
            await super().acquire_lease(bookmark_id, *self._asked)


class NewOwnerBeginsAnew(InMemoryBookmarkStorageAdapter):
    """Keeps a position for each owner."""

    _owner: str | None = None

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Move to 0 for a new owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        if is_taken and self._owner not in {None, owner}:
            await super().set_position(bookmark_id, 0, owner=owner)
        self._owner = owner if is_taken else self._owner
        return is_taken


class ReleaseIgnored(InMemoryBookmarkStorageAdapter):
    """Waits until a lease runs out."""

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Do nothing."""


class ReleaseOfNothingFails(InMemoryBookmarkStorageAdapter):
    """Refuses to give back what nobody has."""

    _is_held = False

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember."""
        self._is_held = True
        return await super().acquire_lease(bookmark_id, owner, duration)

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Refuse."""
        if not self._is_held:
            raise LeaseLostError(bookmark_id, owner)
        self._is_held = False
        await super().release_lease(bookmark_id, owner)


class BookmarksRenamed(InMemoryBookmarkStorageAdapter):
    """Has other names for bookmarks."""

    def rename(self, bookmark_id: str) -> str:
        """Return the name of a bookmark."""
        return bookmark_id

    async def get_position(self, bookmark_id: str) -> int:
        """Use that name."""
        return await super().get_position(self.rename(bookmark_id))

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Use that name."""
        await super().set_position(self.rename(bookmark_id), position, owner=owner)

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Use that name."""
        return await super().acquire_lease(self.rename(bookmark_id), owner, duration)


class OneBookmark(BookmarksRenamed):
    """Has one bookmark."""

    def rename(self, bookmark_id: str) -> str:
        """Drop the name."""
        return bookmark_id[:0]


class BookmarkIdsAreFolded(BookmarksRenamed):
    """Compares ids without regard to case."""

    def rename(self, bookmark_id: str) -> str:
        """Fold."""
        return bookmark_id.casefold()


class BookmarksOfOneEventLoop(InMemoryBookmarkStorageAdapter):
    """Keeps the event loop of its first user."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        await super().set_position(bookmark_id, position, owner=owner)


class DaysAreIgnored(InMemoryBookmarkStorageAdapter):
    """Takes the seconds of a duration for all of it."""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Drop the days."""
        return await super().acquire_lease(
            bookmark_id, owner, duration - timedelta(days=duration.days)
        )


class PositionsAreDecimals(InMemoryBookmarkStorageAdapter):
    """Gives positions out as its backend does."""

    async def get_position(self, bookmark_id: str) -> int:
        """Forget to convert."""
        return cast("int", Decimal(await super().get_position(bookmark_id)))
