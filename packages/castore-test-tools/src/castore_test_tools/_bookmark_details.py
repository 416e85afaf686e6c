"""The bookmark contract: moments and owners, for programs that watch readers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from castore_core import Bookmark, BookmarkStorageAdapter
from castore_test_tools._bookmark_base import ID, LONG, BookmarkContract, acquire, move

_PAUSE: Final = 0.02  # seconds, which any clock of milliseconds notices
_DAY: Final = timedelta(days=1)


class BookmarkDetailsContract(BookmarkContract):
    """The moments of moves and leases, by the clock of the backend, and who has the lease."""

    async def test_nothing_is_known_of_no_bookmark(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark that nobody made, and whose lease nobody took, has nothing but blanks."""
        await adapter.create_bookmark("pokedex2", "7")
        await acquire(adapter, bookmark_id="pokedex2")
        assert Bookmark(None, None, None, None) == await adapter.get_bookmark(ID)

    async def test_a_bookmark_tells_when_it_was_made(self, adapter: BookmarkStorageAdapter) -> None:
        """The moment is in UTC and whole milliseconds, and there is none of its lease."""
        await adapter.create_bookmark(ID, "7")
        found = await adapter.get_bookmark(ID)
        check_moment(found.moved_at)
        assert Bookmark("7", found.moved_at, None, None) == found

    async def test_a_bookmark_tells_when_it_was_moved(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Each move counts, also one to the same position."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        moments = [check_moment((await adapter.get_bookmark(ID)).moved_at)]
        for position in ("7", "7", "5"):
            await asyncio.sleep(_PAUSE)
            await move(adapter, lease, position)
            moments.append(check_moment((await adapter.get_bookmark(ID)).moved_at))
        assert sorted(set(moments)) == moments

    async def test_other_calls_leave_the_moment_of_a_move(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Leases that are taken, extended and given back do not count, nor does making it again."""
        await adapter.create_bookmark(ID, "3")
        await move(adapter, await acquire(adapter), "7")
        before = (await adapter.get_bookmark(ID)).moved_at
        await asyncio.sleep(_PAUSE)
        lease = await acquire(adapter)
        await adapter.create_bookmark(ID, "3")
        await adapter.release_lease(lease)
        assert before == (await adapter.get_bookmark(ID)).moved_at

    async def test_a_bookmark_tells_who_has_its_lease(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """The owner is the one who got the lease, until it is given back, or runs out."""
        owners: list[str | None] = []

        async def look() -> None:
            owners.append((await adapter.get_bookmark(ID)).owner)

        lease = await acquire(adapter)
        await look()
        await adapter.acquire_lease(ID, "gary", LONG)  # which is refused
        await look()
        await adapter.release_lease(lease)
        await look()
        await acquire(adapter, "gary")
        await look()
        await acquire(adapter, "gary", self.short_lease)
        await self.run_out()
        await look()
        assert ["ash", "ash", None, "gary", None] == owners

    async def test_a_lease_is_known_without_a_bookmark(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A bookmark that is still to be made has no moment, and its lease has one."""
        await acquire(adapter)
        found = await adapter.get_bookmark(ID)
        check_moment(found.renewed_at)
        assert Bookmark(None, None, "ash", found.renewed_at) == found

    async def test_a_bookmark_tells_when_its_lease_was_renewed(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Each time that the lease is taken, or extended, by any owner, counts."""
        moments: list[datetime] = []
        for owner in ("ash", "ash", "gary"):
            if owner == "gary":
                await adapter.release_lease(await acquire(adapter))
            await asyncio.sleep(_PAUSE)
            await acquire(adapter, owner)
            moments.append(check_moment((await adapter.get_bookmark(ID)).renewed_at))
        assert sorted(set(moments)) == moments

    async def test_a_lease_that_is_over_was_renewed(self, adapter: BookmarkStorageAdapter) -> None:
        """The moment stays after the lease has run out, or was given back."""
        await acquire(adapter, duration=self.short_lease)
        before = (await adapter.get_bookmark(ID)).renewed_at
        await self.run_out()
        assert before == check_moment((await adapter.get_bookmark(ID)).renewed_at)
        lease = await acquire(adapter)
        before = (await adapter.get_bookmark(ID)).renewed_at
        await adapter.release_lease(lease)
        assert before == check_moment((await adapter.get_bookmark(ID)).renewed_at)

    async def test_other_calls_leave_the_moment_of_a_lease(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Neither do moves count, nor owners who are refused."""
        lease = await acquire(adapter)
        before = (await adapter.get_bookmark(ID)).renewed_at
        await asyncio.sleep(_PAUSE)
        await move(adapter, lease, "7")
        await adapter.create_bookmark(ID, "3")
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert before == (await adapter.get_bookmark(ID)).renewed_at


def check_moment(moment: datetime | None) -> datetime:
    """Assert that a moment is one of today, in UTC and whole milliseconds."""
    assert isinstance(moment, datetime)
    assert (timedelta(0), 0) == (moment.utcoffset(), moment.microsecond % 1000)
    assert abs(datetime.now(UTC) - moment) < _DAY
    return moment
