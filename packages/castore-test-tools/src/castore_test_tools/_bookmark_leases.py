"""The bookmark contract: leases, of which one holds at a time."""

import asyncio
from datetime import timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from castore_core import BookmarkStorageAdapter, Lease
from castore_test_tools._bookmark_base import (
    ID,
    LONG,
    BookmarkContract,
    acquire,
    get_position,
    move,
    try_move,
)
from castore_test_tools._contract import properties

_AT_ONCE = 32
_fresh_numbers = count()


class BookmarkLeasesContract(BookmarkContract):
    """Leases are taken, extended and given back, run out, and begin anew."""

    async def test_a_lease_says_whose_it_is(self, adapter: BookmarkStorageAdapter) -> None:
        """A lease names its bookmark and its owner, and its token is an integer."""
        lease = await adapter.acquire_lease(ID, "ash", LONG)
        assert isinstance(lease, Lease)
        assert (ID, "ash", int) == (lease.bookmark_id, lease.owner, type(lease.token))

    async def test_a_lease_has_one_owner(self, adapter: BookmarkStorageAdapter) -> None:
        """While a lease lasts nobody else gets it."""
        lease = await acquire(adapter)
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert await try_move(adapter, lease, "7")

    async def test_a_refused_lease_does_not_last(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who was refused a lease is not next in turn: the first to ask again gets it."""
        lease = await acquire(adapter)
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        await adapter.release_lease(lease)
        assert await try_move(adapter, await acquire(adapter, "misty"), "7")

    async def test_an_owner_takes_a_lease_again(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who asks again still has the lease, and the bookmark stays."""
        await move(adapter, await acquire(adapter), "7")
        assert await adapter.acquire_lease(ID, "ash", LONG)
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert "7" == await get_position(adapter, ID)

    async def test_a_lease_runs_out(self, adapter: BookmarkStorageAdapter) -> None:
        """When the time is over another owner gets the lease and goes on from the position."""
        await move(adapter, await acquire(adapter), "7")
        lease = await acquire(adapter, duration=self.short_lease)
        other = await self.acquire_sometime(adapter, "gary")
        assert "7" == await get_position(adapter, ID)
        await move(adapter, other, "8")
        assert not await try_move(adapter, lease, "9")
        assert None is await adapter.acquire_lease(ID, "ash", LONG)
        assert "8" == await get_position(adapter, ID)

    async def test_an_owner_whose_lease_ran_out_does_not_move(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Nor does it when nobody else took the lease."""
        lease = await acquire(adapter, duration=self.short_lease)
        await self.run_out()
        assert not await try_move(adapter, lease, "7")
        assert None is await get_position(adapter, ID)

    async def test_a_lease_is_extended(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who asks again has the lease from then on for the new duration."""
        await acquire(adapter, duration=self.short_lease)
        lease = await acquire(adapter)
        await self.run_out()
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert await try_move(adapter, lease, "7")

    async def test_a_lease_of_days(self, adapter: BookmarkStorageAdapter) -> None:
        """The days of a duration count, as its seconds do."""
        lease = await acquire(adapter, duration=timedelta(days=2))
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert await try_move(adapter, lease, "7")

    async def test_a_lease_is_given_back(self, adapter: BookmarkStorageAdapter) -> None:
        """After a release the owner cannot move, another one gets the lease, the position stays."""
        lease = await acquire(adapter)
        await move(adapter, lease, "7")
        await adapter.release_lease(lease)
        assert not await try_move(adapter, lease, "8")
        assert await adapter.acquire_lease(ID, "gary", LONG)
        assert "7" == await get_position(adapter, ID)

    async def test_nobody_gives_back_the_lease_of_another(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A release by an owner who had the lease before does nothing."""
        late = await acquire(adapter, "gary")
        await adapter.release_lease(late)
        lease = await acquire(adapter)
        await adapter.release_lease(late)
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert await try_move(adapter, lease, "7")

    async def test_giving_back_no_lease(self, adapter: BookmarkStorageAdapter) -> None:
        """A release of a lease that was given back, or that ran out, does nothing."""
        lease = await acquire(adapter)
        await adapter.release_lease(lease)
        await adapter.release_lease(lease)
        lease = await acquire(adapter, duration=self.short_lease)
        await self.run_out()
        await adapter.release_lease(lease)
        assert await adapter.acquire_lease(ID, "ash", LONG)

    async def test_bookmarks_are_apart(self, adapter: BookmarkStorageAdapter) -> None:
        """Each bookmark has its own position and its own lease."""
        lease = await acquire(adapter)
        other = await acquire(adapter, "gary", bookmark_id="pokedex2")
        await move(adapter, lease, "7")
        await move(adapter, other, "8")
        await adapter.release_lease(other)
        assert not await try_move(adapter, other, "9")
        assert await try_move(adapter, lease, "7")
        positions = [await get_position(adapter, each) for each in (ID, "pokedex2", "poke")]
        assert ["7", "8", None] == positions

    async def test_one_of_many_gets_the_lease(self, adapter: BookmarkStorageAdapter) -> None:
        """Of 32 who ask at once one gets the lease, and moves the bookmark."""
        owners = [f"owner{each}" for each in range(_AT_ONCE)]
        answers = await asyncio.gather(*(adapter.acquire_lease(ID, each, LONG) for each in owners))
        leases = [each for each in answers if each is not None]
        assert [owners[answers.index(leases[0])]] == [each.owner for each in leases]
        await move(adapter, leases[0], "7")
        assert "7" == await get_position(adapter, ID)

    # Tokens

    async def test_tokens_grow(self, adapter: BookmarkStorageAdapter) -> None:
        """A lease that begins anew has a greater token, whoever takes it, and for what reason."""
        leases = [await acquire(adapter)]
        await adapter.release_lease(leases[-1])
        leases.append(await acquire(adapter))  # the same owner, after a release
        await adapter.release_lease(leases[-1])
        leases.append(await acquire(adapter, "gary", self.short_lease))
        await self.run_out()
        leases.append(await acquire(adapter, "gary", self.short_lease))  # after it ran out
        leases.append(await self.acquire_sometime(adapter, "ash"))
        tokens = [each.token for each in leases]
        assert sorted(set(tokens)) == tokens

    async def test_an_extended_lease_keeps_its_token(self, adapter: BookmarkStorageAdapter) -> None:
        """A lease that is extended is the same lease: as it was given first, it still moves."""
        first = await acquire(adapter)
        second = await acquire(adapter)
        assert first == second
        assert await try_move(adapter, first, "7")
        assert await try_move(adapter, second, "8")
        await adapter.release_lease(first)
        assert not await try_move(adapter, second, "9")
        assert await adapter.acquire_lease(ID, "gary", LONG)

    async def test_a_stale_lease_does_not_move(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who has a new lease does not move with the one that was lost before."""
        stale = await acquire(adapter)
        await adapter.release_lease(stale)
        lease = await acquire(adapter)
        assert not await try_move(adapter, stale, "7")
        assert None is await get_position(adapter, ID)
        assert await try_move(adapter, lease, "8")

    async def test_a_stale_lease_is_not_given_back(self, adapter: BookmarkStorageAdapter) -> None:
        """A release of a lease that was lost before leaves the new one of the same owner alone."""
        stale = await acquire(adapter)
        await adapter.release_lease(stale)
        lease = await acquire(adapter)
        await adapter.release_lease(stale)
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        assert await try_move(adapter, lease, "7")

    @properties
    @given(
        st.lists(
            st.tuples(st.sampled_from(["acquire", "release", "move"]), st.sampled_from("AB")),
            max_size=8,
        )
    )
    async def test_any_course_of_a_lease(
        self, adapter: BookmarkStorageAdapter, steps: list[tuple[str, str]]
    ) -> None:
        """The owner who took the lease first holds it until it is back, whatever the other does.

        Both have had it before, and use the last one that they have, be it lost or not.
        """
        bookmark_id = f"any-{next(_fresh_numbers)}"
        leases: dict[str, Lease] = {}
        for each in "AB":
            leases[each] = await acquire(adapter, each, bookmark_id=bookmark_id)
            await adapter.release_lease(leases[each])
        holder: str | None = None
        expected: str | None = None
        for number, (step, owner) in enumerate(steps):
            if step == "acquire":
                lease = await adapter.acquire_lease(bookmark_id, owner, LONG)
                holder = holder or owner
                assert (holder == owner) == (lease is not None)
                if lease is not None:
                    leases[owner] = lease
            elif step == "release":
                await adapter.release_lease(leases[owner])
                holder = None if holder == owner else holder
            else:
                has_moved = await try_move(adapter, leases[owner], str(number))
                assert (holder == owner) == has_moved
                expected = str(number) if has_moved else expected
            assert expected == await get_position(adapter, bookmark_id)
