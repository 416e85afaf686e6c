"""The contract of bookmark storages."""

import asyncio
import gc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import BookmarkStorageAdapter, LeaseLostError, StorageError
from castore_test_tools._contract import ContractTests, adapter_fixture, properties, requires
from castore_test_tools._running import (
    call,
    close,
    run_elsewhere,
    thaw,
)
from castore_test_tools._values import IDS

_LONG = timedelta(minutes=10)
_WAIT = 20.0
_PAUSE = 0.01
_AT_ONCE = 32


class BookmarkStorageAdapterTests(ContractTests):
    """What every `castore_core.BookmarkStorageAdapter` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns a storage without
    bookmarks, for each test anew. The fixtures ``connect_again`` and ``break_backend``, where the
    suite has them, are for tests of the client and of failures.
    """

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    short_lease: timedelta = timedelta(milliseconds=50)
    """A lease that the suite waits for to run out: no shorter than the backend can tell."""

    @adapter_fixture
    def adapter(self) -> BookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        raise NotImplementedError("override the fixture `adapter`: return an empty storage")

    async def test_a_new_bookmark_is_at_0(self, adapter: BookmarkStorageAdapter) -> None:
        """Nothing was handled before the first event."""
        assert 0 == await adapter.get_position("pokedex")

    async def test_a_lease_moves_nothing(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark whose lease was taken is still at 0."""
        assert await adapter.acquire_lease("pokedex", "ash", _LONG)
        assert 0 == await adapter.get_position("pokedex")

    async def test_a_bookmark_is_moved(self, adapter: BookmarkStorageAdapter) -> None:
        """The owner of the lease moves it forwards, backwards, and to where it is."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        for position in (7, 2**53 - 1, 7, 7, 0):
            await adapter.set_position("pokedex", position, owner="ash")
            found = await adapter.get_position("pokedex")
            assert (position, int) == (found, type(found))

    async def test_without_a_lease_nobody_moves(self, adapter: BookmarkStorageAdapter) -> None:
        """The error says whose lease of what is missing, and the bookmark stays."""
        with pytest.raises(LeaseLostError) as caught:
            await adapter.set_position("pokedex", 7, owner="ash")
        assert ("pokedex", "ash") == (caught.value.bookmark_id, caught.value.owner)
        assert 0 == await adapter.get_position("pokedex")

    async def test_who_does_not_hold_the_lease_does_not_move(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """The error names the one who tried, and the bookmark stays."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.set_position("pokedex", 3, owner="ash")
        with pytest.raises(LeaseLostError) as caught:
            await adapter.set_position("pokedex", 7, owner="gary")
        assert ("pokedex", "gary") == (caught.value.bookmark_id, caught.value.owner)
        assert 3 == await adapter.get_position("pokedex")

    async def test_a_lost_lease_pickles(self, adapter: BookmarkStorageAdapter) -> None:
        """An error that an adapter raised keeps its type and values from process to process."""
        with pytest.raises(LeaseLostError) as caught:
            await adapter.set_position("pokedex", 7, owner="ash")
        thawed = thaw(caught.value)
        assert type(thawed) is LeaseLostError
        assert ("pokedex", "ash") == (thawed.bookmark_id, thawed.owner)

    async def test_a_lease_has_one_owner(self, adapter: BookmarkStorageAdapter) -> None:
        """While a lease lasts nobody else gets it."""
        assert await adapter.acquire_lease("pokedex", "ash", _LONG) is True
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is False
        await adapter.set_position("pokedex", 7, owner="ash")

    async def test_a_refused_lease_does_not_last(self, adapter: BookmarkStorageAdapter) -> None:
        """Who was refused a lease does not get it when it is given back."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.acquire_lease("pokedex", "gary", _LONG)
        await adapter.release_lease("pokedex", "ash")
        with pytest.raises(LeaseLostError):
            await adapter.set_position("pokedex", 7, owner="gary")

    async def test_an_owner_takes_a_lease_again(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who asks again still has the lease, and the position stays."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.set_position("pokedex", 7, owner="ash")
        assert await adapter.acquire_lease("pokedex", "ash", _LONG) is True
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is False
        assert 7 == await adapter.get_position("pokedex")

    async def test_a_lease_runs_out(self, adapter: BookmarkStorageAdapter) -> None:
        """When the time is over another owner gets the lease and goes on from the position."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.set_position("pokedex", 7, owner="ash")
        await adapter.acquire_lease("pokedex", "ash", self.short_lease)
        await self._acquire_sometime(adapter, "pokedex", "gary")
        assert 7 == await adapter.get_position("pokedex")
        await adapter.set_position("pokedex", 8, owner="gary")
        with pytest.raises(LeaseLostError):
            await adapter.set_position("pokedex", 9, owner="ash")
        assert await adapter.acquire_lease("pokedex", "ash", _LONG) is False
        assert 8 == await adapter.get_position("pokedex")

    async def test_who_let_a_lease_run_out_does_not_move(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Also when nobody else took the lease."""
        await adapter.acquire_lease("pokedex", "ash", self.short_lease)
        await asyncio.sleep(2 * self.short_lease.total_seconds())
        with pytest.raises(LeaseLostError):
            await adapter.set_position("pokedex", 7, owner="ash")
        assert 0 == await adapter.get_position("pokedex")

    async def test_a_lease_is_extended(self, adapter: BookmarkStorageAdapter) -> None:
        """An owner who asks again has the lease from then on for the new duration."""
        await adapter.acquire_lease("pokedex", "ash", self.short_lease)
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await asyncio.sleep(2 * self.short_lease.total_seconds())
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is False
        await adapter.set_position("pokedex", 7, owner="ash")

    async def test_a_lease_of_days(self, adapter: BookmarkStorageAdapter) -> None:
        """The days of a duration count, as its seconds do."""
        await adapter.acquire_lease("pokedex", "ash", timedelta(days=2))
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is False
        await adapter.set_position("pokedex", 7, owner="ash")

    async def test_a_lease_is_given_back(self, adapter: BookmarkStorageAdapter) -> None:
        """After a release the owner cannot move, another one gets the lease, the position stays."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.set_position("pokedex", 7, owner="ash")
        await adapter.release_lease("pokedex", "ash")
        with pytest.raises(LeaseLostError):
            await adapter.set_position("pokedex", 8, owner="ash")
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is True
        assert 7 == await adapter.get_position("pokedex")

    async def test_nobody_gives_back_the_lease_of_another(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A release of somebody else's lease does nothing."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.release_lease("pokedex", "gary")
        assert await adapter.acquire_lease("pokedex", "gary", _LONG) is False
        await adapter.set_position("pokedex", 7, owner="ash")

    async def test_giving_back_no_lease(self, adapter: BookmarkStorageAdapter) -> None:
        """A release without a lease, or a second one, does nothing."""
        await adapter.release_lease("pokedex", "ash")
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await adapter.release_lease("pokedex", "ash")
        await adapter.release_lease("pokedex", "ash")
        assert await adapter.acquire_lease("pokedex", "ash", _LONG) is True

    async def test_bookmarks_are_apart(self, adapter: BookmarkStorageAdapter) -> None:
        """Each bookmark has its own position and its own lease."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        assert await adapter.acquire_lease("pokedex2", "gary", _LONG) is True
        await adapter.set_position("pokedex", 7, owner="ash")
        await adapter.set_position("pokedex2", 8, owner="gary")
        with pytest.raises(LeaseLostError):
            await adapter.set_position("pokedex2", 9, owner="ash")
        positions = [await adapter.get_position(each) for each in ("pokedex", "pokedex2", "poke")]
        assert [7, 8, 0] == positions

    @pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
    async def test_ids_of_bookmarks_are_data(
        self, adapter: BookmarkStorageAdapter, ids: list[str]
    ) -> None:
        """Bookmarks and owners of any name, of which some look alike, are different."""
        for position, each in enumerate(ids, 1):
            assert await adapter.acquire_lease(each, each, _LONG) is True
            await adapter.set_position(each, position, owner=each)
        positions = [await adapter.get_position(each) for each in ids]
        assert list(range(1, len(ids) + 1)) == positions
        for each in ids[1:]:
            assert await adapter.acquire_lease(ids[0], each, _LONG) is False

    async def test_one_of_many_gets_the_lease(self, adapter: BookmarkStorageAdapter) -> None:
        """Of 32 who ask at once one gets the lease, and only that one moves the bookmark."""
        owners = [f"owner{each}" for each in range(_AT_ONCE)]
        answers = await asyncio.gather(
            *(adapter.acquire_lease("pokedex", each, _LONG) for each in owners)
        )
        assert 1 == sum(answers)
        winner = owners[answers.index(True)]
        outcomes = await asyncio.gather(
            *(self._try_move(adapter, position, each) for position, each in enumerate(owners, 1))
        )
        assert answers == outcomes
        assert 1 + owners.index(winner) == await adapter.get_position("pokedex")

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
        """Whatever owners do, the one who took the lease first holds it until it is back."""
        for each in "AB":
            await adapter.release_lease("pokedex", each)
        holder: str | None = None
        expected = await adapter.get_position("pokedex")
        for step, owner in steps:
            if step == "acquire":
                holder = holder or owner
                assert (holder == owner) == await adapter.acquire_lease("pokedex", owner, _LONG)
            elif step == "release":
                await adapter.release_lease("pokedex", owner)
                holder = None if holder == owner else holder
            else:
                assert (holder == owner) == await self._try_move(adapter, expected + 1, owner)
                expected += holder == owner
            assert expected == await adapter.get_position("pokedex")

    @requires("works_in_several_event_loops")
    async def test_bookmarks_in_another_event_loop(self, adapter: BookmarkStorageAdapter) -> None:
        """A lease of one event loop holds in another, and in the first one again."""
        await adapter.acquire_lease("pokedex", "ash", _LONG)
        await run_elsewhere(lambda: adapter.set_position("pokedex", 7, owner="ash"))
        assert 7 == await adapter.get_position("pokedex")
        await adapter.set_position("pokedex", 8, owner="ash")

    @requires("connect_again")
    async def test_bookmarks_leave_the_client_open(
        self, adapter: BookmarkStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that was closed, or is gone, leaves its client to those who still use it."""
        other = await call(connect_again)
        assert await other.acquire_lease("pokedex", "ash", _LONG)
        await close(other)
        del other
        gc.collect()
        await adapter.set_position("pokedex", 7, owner="ash")
        assert 7 == await adapter.get_position("pokedex")

    @requires("break_backend")
    async def test_failures_of_bookmark_storage_are_translated(
        self, adapter: BookmarkStorageAdapter, break_backend: Callable[[], Any]
    ) -> None:
        """What the backend raises is the cause of a `StorageError`, that pickles."""
        await call(break_backend)
        with pytest.raises(StorageError) as caught:
            await adapter.get_position("pokedex")
        assert caught.value.__cause__ is not None, "raise StorageError(...) from error"
        thawed = thaw(caught.value)
        assert (type(caught.value), str(caught.value)) == (type(thawed), str(thawed))

    async def _try_move(self, adapter: BookmarkStorageAdapter, position: int, owner: str) -> bool:
        try:
            await adapter.set_position("pokedex", position, owner=owner)
        except LeaseLostError:
            return False
        return True

    async def _acquire_sometime(
        self, adapter: BookmarkStorageAdapter, bookmark_id: str, owner: str
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _WAIT
        while not await adapter.acquire_lease(bookmark_id, owner, _LONG):
            assert loop.time() < deadline, "the lease did not run out"
            await asyncio.sleep(_PAUSE)
