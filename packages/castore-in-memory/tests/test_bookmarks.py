"""The in-memory bookmark storage's own ways: leases run on the clock of the process."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from castore_core import Lease, LeaseLostError, use_clock
from castore_in_memory import InMemoryBookmarkStorageAdapter

LONG = timedelta(minutes=10)


async def acquire(
    adapter: InMemoryBookmarkStorageAdapter, owner: str = "ash", duration: timedelta = LONG
) -> Lease:
    """Take the lease of the bookmark."""
    lease = await adapter.acquire_lease("pokedex", owner, duration)
    assert lease
    return lease


async def move(adapter: InMemoryBookmarkStorageAdapter, lease: Lease, position: str) -> None:
    """Move the bookmark."""
    async with adapter.move_bookmark(lease, position):
        pass


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1)])
async def test_a_lease_of_no_time_has_run_out(duration: timedelta) -> None:
    """It is granted, and holds nobody else off."""
    adapter = InMemoryBookmarkStorageAdapter()
    await acquire(adapter, duration=duration)
    await acquire(adapter, "gary")


async def test_a_lease_is_shortened() -> None:
    """The last duration counts, also where it ends earlier."""
    adapter = InMemoryBookmarkStorageAdapter()
    await acquire(adapter)
    await acquire(adapter, duration=timedelta(milliseconds=1))
    await asyncio.sleep(0.005)
    await acquire(adapter, "gary")


async def test_an_owner_who_was_late_gets_the_lease_back() -> None:
    """A lease that ran out can be taken again by the one who had it, and the position is kept."""
    adapter = InMemoryBookmarkStorageAdapter()
    late = await acquire(adapter)
    await move(adapter, late, "7")
    await acquire(adapter, duration=timedelta(0))
    with pytest.raises(LeaseLostError):
        await move(adapter, late, "8")
    lease = await acquire(adapter)
    assert lease.token == late.token + 1
    await move(adapter, lease, "8")
    assert "8" == (await adapter.get_bookmark("pokedex")).position


async def test_a_lease_that_ran_out_is_given_back_in_peace() -> None:
    """A late release does not take the lease from the next owner."""
    adapter = InMemoryBookmarkStorageAdapter()
    late = await acquire(adapter, duration=timedelta(0))
    lease = await acquire(adapter, "gary")
    await adapter.release_lease(late)
    await move(adapter, lease, "7")


async def test_a_block_is_given_no_transaction() -> None:
    """Nothing else can take part in the move."""
    adapter = InMemoryBookmarkStorageAdapter()
    async with adapter.move_bookmark(await acquire(adapter), "7") as transaction:
        assert transaction is None


async def test_a_block_without_the_lease_does_not_begin() -> None:
    """A lease that is lost already is told before anything is done."""
    adapter = InMemoryBookmarkStorageAdapter()
    lease = await acquire(adapter)
    await adapter.release_lease(lease)
    with pytest.raises(LeaseLostError):
        async with adapter.move_bookmark(lease, "7"):
            pytest.fail("the block has begun")


async def test_moments_are_those_of_the_clock_in_use() -> None:
    """Bookmarks have the same time as events."""
    adapter = InMemoryBookmarkStorageAdapter()
    now = datetime(2022, 1, 1, tzinfo=UTC)
    with use_clock(lambda: now):
        await move(adapter, await acquire(adapter), "1")

    bookmark = await adapter.get_bookmark("pokedex")
    assert (now, now) == (bookmark.moved_at, bookmark.renewed_at)
