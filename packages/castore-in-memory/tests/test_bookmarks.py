"""What is the in-memory bookmark storage's own: leases run on the clock of the process."""

import asyncio
from datetime import timedelta

import pytest

from castore_core import LeaseLostError
from castore_in_memory import InMemoryBookmarkStorageAdapter

LONG = timedelta(minutes=10)


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1)])
async def test_a_lease_of_no_time_has_run_out(duration: timedelta) -> None:
    """It is granted, and holds nobody else off."""
    adapter = InMemoryBookmarkStorageAdapter()
    assert await adapter.acquire_lease("pokedex", "ash", duration)
    assert await adapter.acquire_lease("pokedex", "gary", LONG)


async def test_a_lease_is_shortened() -> None:
    """The last duration counts, also where it ends earlier."""
    adapter = InMemoryBookmarkStorageAdapter()
    await adapter.acquire_lease("pokedex", "ash", LONG)
    await adapter.acquire_lease("pokedex", "ash", timedelta(milliseconds=1))
    await asyncio.sleep(0.005)
    assert await adapter.acquire_lease("pokedex", "gary", LONG)


async def test_an_owner_who_was_late_gets_the_lease_back() -> None:
    """A lease that ran out can be taken again by the one who had it, and the position is kept."""
    adapter = InMemoryBookmarkStorageAdapter()
    await adapter.acquire_lease("pokedex", "ash", LONG)
    await adapter.set_position("pokedex", 7, owner="ash")
    await adapter.acquire_lease("pokedex", "ash", timedelta(0))
    with pytest.raises(LeaseLostError):
        await adapter.set_position("pokedex", 8, owner="ash")
    await adapter.acquire_lease("pokedex", "ash", LONG)
    await adapter.set_position("pokedex", 8, owner="ash")
    assert 8 == await adapter.get_position("pokedex")


async def test_a_lease_that_ran_out_is_given_back_in_peace() -> None:
    """A late release does not take the lease from the next owner."""
    adapter = InMemoryBookmarkStorageAdapter()
    await adapter.acquire_lease("pokedex", "ash", timedelta(0))
    await adapter.acquire_lease("pokedex", "gary", LONG)
    await adapter.release_lease("pokedex", "ash")
    await adapter.set_position("pokedex", 7, owner="gary")
