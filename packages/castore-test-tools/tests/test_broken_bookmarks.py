"""Bookmark storages that do not keep leases are caught."""

import asyncio
from datetime import timedelta

from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
)
from castore_test_tools import (
    BookmarkStorageAdapterTests,
)


class LeaseUnchecked(InMemoryBookmarkStorageAdapter):
    """Lets anybody move a bookmark."""

    caught_by = BookmarkStorageAdapterTests.test_who_does_not_hold_the_lease_does_not_move

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

    caught_by = BookmarkStorageAdapterTests.test_nobody_gives_back_the_lease_of_another

    _owner = ""

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Remember the owner."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        self._owner = owner if is_taken else self._owner
        return is_taken

    async def release_lease(self, bookmark_id: str, owner: str) -> None:  # noqa: ARG002 the fault
        """Release for the owner."""
        await super().release_lease(bookmark_id, self._owner)


class LeaseNotExtended(InMemoryBookmarkStorageAdapter):
    """Says yes to the owner, and leaves the end as it is."""

    caught_by = BookmarkStorageAdapterTests.test_a_lease_is_extended

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

    caught_by = BookmarkStorageAdapterTests.test_who_let_a_lease_run_out_does_not_move

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

    caught_by = BookmarkStorageAdapterTests.test_one_of_many_gets_the_lease

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

    caught_by = BookmarkStorageAdapterTests.test_an_owner_takes_a_lease_again

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Move to 0."""
        is_taken = await super().acquire_lease(bookmark_id, owner, duration)
        if is_taken:
            await super().set_position(bookmark_id, 0, owner=owner)
        return is_taken


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
