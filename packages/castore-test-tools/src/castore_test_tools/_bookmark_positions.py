"""The bookmark contract: where bookmarks are."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from castore_core import LOG_START, BookmarkStorageAdapter, Lease, StorageError
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._bookmark_base import (
    ID,
    LONG,
    BookmarkContract,
    acquire,
    get_position,
    move,
)
from castore_test_tools._contract import requires
from castore_test_tools._running import (
    CANCELLED_AFTER,
    call,
    cancel_read,
    close,
    run_elsewhere,
    run_in_several_loops,
    thaw,
)

_AT_ONCE = 32
_OF_A_LOOP = 10

Use: TypeAlias = Callable[[BookmarkStorageAdapter, Lease], Awaitable[Any]]

_USES: Final[dict[str, Use]] = {
    "get_bookmark": lambda adapter, _: adapter.get_bookmark(ID),
    "create_bookmark": lambda adapter, _: adapter.create_bookmark(ID, "7"),
    "move_bookmark": lambda adapter, lease: move(adapter, lease, "7"),
    "acquire_lease": lambda adapter, _: adapter.acquire_lease(ID, "ash", LONG),
    "release_lease": lambda adapter, lease: adapter.release_lease(lease),
    "get_parked_events": lambda adapter, _: adapter.get_parked_events(ID),
    "retry_parked_events": lambda adapter, _: adapter.retry_parked_events(ID, ["7"]),
    "drop_parked_events": lambda adapter, _: adapter.drop_parked_events(ID, ["7"]),
}

# Texts that a storage confuses, or cuts, if it takes them for anything but texts.
_POSITIONS: Final = [
    LOG_START,
    *("1", "01", "1.0", "1e0", "0x1", "-1", str(2**63), "null", "true"),
    *("a", "A", " a", "a ", "a\t", "it's", "a%", "{}", "[1]", '"'),
    *("0000000000000001:00000000000000ff", "826A1F2B000000012B0429296E1404", "1526919030474-55"),
    *("e\u0301", "\u00e9", "\U0001f600", "l" * 1000),
]


class BookmarkPositionsContract(BookmarkContract):
    """Bookmarks are made, found, and moved from place to place."""

    async def test_no_bookmark(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark that nobody made has no position: it is not at the start of the log."""
        assert None is await get_position(adapter, ID)

    async def test_a_lease_makes_no_bookmark(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark whose lease was taken, and given back, is still to be made."""
        lease = await acquire(adapter)
        assert None is await get_position(adapter, ID)
        await adapter.release_lease(lease)
        assert None is await get_position(adapter, ID)
        assert "7" == await adapter.create_bookmark(ID, "7")

    async def test_a_bookmark_is_made(self, adapter: BookmarkStorageAdapter) -> None:
        """A new bookmark is where it was made, and no other is made with it."""
        assert "7" == await adapter.create_bookmark(ID, "7")
        assert ["7", None] == [await get_position(adapter, each) for each in (ID, "pokedex2")]

    async def test_a_bookmark_that_is_there_stays(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark is not made anew: the answer is where it is, also after it was moved."""
        await adapter.create_bookmark(ID, "7")
        assert "7" == await adapter.create_bookmark(ID, "3")
        await move(adapter, await acquire(adapter), "8")
        assert "8" == await adapter.create_bookmark(ID, "9")
        assert "8" == await get_position(adapter, ID)

    async def test_a_bookmark_at_the_start(self, adapter: BookmarkStorageAdapter) -> None:
        """The start of the log is a position like any other."""
        assert LOG_START == await adapter.create_bookmark(ID, LOG_START)
        assert LOG_START == await get_position(adapter, ID)
        assert LOG_START == await adapter.create_bookmark(ID, "7")
        assert LOG_START == await get_position(adapter, ID)

    async def test_a_bookmark_is_made_without_a_lease(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A bookmark is made while some owner has its lease, and the lease holds on."""
        lease = await acquire(adapter)
        assert "3" == await adapter.create_bookmark(ID, "3")
        assert None is await adapter.acquire_lease(ID, "gary", LONG)
        await move(adapter, lease, "7")
        assert "7" == await get_position(adapter, ID)

    async def test_one_of_many_makes_a_bookmark(self, adapter: BookmarkStorageAdapter) -> None:
        """Of 32 who make a bookmark at once, one does, and all are told where it is."""
        answers = await asyncio.gather(
            *(adapter.create_bookmark(ID, f"{each}") for each in range(_AT_ONCE))
        )
        assert {await get_position(adapter, ID)} == set(answers)

    async def test_a_bookmark_is_moved(self, adapter: BookmarkStorageAdapter) -> None:
        """The owner of the lease moves it forwards, backwards, and to where it is."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        for position in ("7", "9", "9", "10", "1", LOG_START):
            await move(adapter, lease, position)
            assert position == await get_position(adapter, ID)

    async def test_a_move_makes_a_bookmark(self, adapter: BookmarkStorageAdapter) -> None:
        """A bookmark that nobody made is made by its first move."""
        await move(adapter, await acquire(adapter), "7")
        assert "7" == await get_position(adapter, ID)
        assert "7" == await adapter.create_bookmark(ID, "3")

    async def test_positions_are_texts(self, adapter: BookmarkStorageAdapter) -> None:
        """Any text comes back as it is, be it made with a bookmark or moved to."""
        lease = await acquire(adapter)
        for number, each in enumerate(_POSITIONS):
            await move(adapter, lease, each)
            made = await adapter.create_bookmark(f"{ID}{number}", each)
            moved = [await get_position(adapter, name) for name in (ID, f"{ID}{number}")]
            assert [(each, str)] * 3 == [(found, type(found)) for found in (made, *moved)]

    @with_any_ids
    async def test_ids_of_bookmarks_are_data(
        self, adapter: BookmarkStorageAdapter, ids: list[str]
    ) -> None:
        """Bookmarks and owners of any name, of which some look alike, are different."""
        for position, each in enumerate(ids, 1):
            lease = await acquire(adapter, each, bookmark_id=each)
            assert (each, each) == (lease.bookmark_id, lease.owner)
            await move(adapter, lease, str(position))
        positions = [await get_position(adapter, each) for each in ids]
        assert [str(position) for position in range(1, len(ids) + 1)] == positions
        for each in ids[1:]:
            assert None is await adapter.acquire_lease(ids[0], each, LONG)

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_read_of_a_bookmark(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """A read that is cancelled raises `CancelledError`, unless it has returned before."""
        await adapter.create_bookmark(ID, "7")
        await cancel_read(adapter.get_bookmark(ID), steps)
        assert "7" == await get_position(adapter, ID)

    @requires("works_in_several_event_loops")
    async def test_bookmarks_in_another_event_loop(self, adapter: BookmarkStorageAdapter) -> None:
        """A lease of one event loop holds in another, and in the first one again."""
        lease = await acquire(adapter)
        await run_elsewhere(lambda: move(adapter, lease, "7"))
        assert "7" == await get_position(adapter, ID)
        await move(adapter, lease, "8")

    @requires("works_in_several_event_loops", "works_in_several_event_loops_at_once")
    async def test_bookmarks_in_several_event_loops(self, adapter: BookmarkStorageAdapter) -> None:
        """Of many in three event loops at a time, one makes the bookmark, and one has its lease."""

        async def compete(loop: int) -> tuple[list[str], list[Lease | None]]:
            names = [f"{loop}-{each}" for each in range(_OF_A_LOOP)]
            made = await asyncio.gather(*(adapter.create_bookmark(ID, each) for each in names))
            leases = (adapter.acquire_lease(ID, each, LONG) for each in names)
            return made, await asyncio.gather(*leases)

        results = await run_in_several_loops(compete)
        assert {await get_position(adapter, ID)} == {each for made, _ in results for each in made}
        (lease,) = [each for _, leases in results for each in leases if each]
        await move(adapter, lease, "7")

    @requires("connect_again")
    async def test_another_adapter_reads_bookmarks(
        self, adapter: BookmarkStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """Bookmarks and leases are in the backend: each adapter sees those of the other."""
        other = await call(connect_again)
        lease = await acquire(adapter)
        assert None is await other.acquire_lease(ID, "gary", LONG)
        await move(other, lease, "7")
        assert "7" == await get_position(adapter, ID)
        assert "7" == await other.create_bookmark(ID, "3")
        await other.release_lease(lease)
        await move(adapter, await acquire(adapter, "gary"), "8")
        assert "8" == await get_position(other, ID)

    @requires("connect_again")
    async def test_bookmarks_are_read_anew(
        self, adapter: BookmarkStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that has read a position sees where another one moves the bookmark later."""
        other = await call(connect_again)
        assert None is await get_position(adapter, ID)
        await other.create_bookmark(ID, "3")
        assert "3" == await get_position(adapter, ID)
        lease = await acquire(other)
        for position in ("7", "5"):
            await move(other, lease, position)
            assert position == await get_position(adapter, ID)
        assert "5" == await adapter.create_bookmark(ID, "9")

    @requires("connect_again")
    async def test_bookmarks_leave_the_client_open(
        self, adapter: BookmarkStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that was closed, or is gone, leaves its client open for other users."""
        other = await call(connect_again)
        lease = await acquire(other)
        await close(other)
        del other
        gc.collect()
        await move(adapter, lease, "7")
        assert "7" == await get_position(adapter, ID)

    @requires("break_backend")
    @pytest.mark.parametrize("use", _USES.values(), ids=_USES)
    async def test_failures_of_bookmark_storage_are_translated(
        self, adapter: BookmarkStorageAdapter, break_backend: Callable[[], Any], use: Use
    ) -> None:
        """An error of the backend is the cause of a `StorageError`, that pickles."""
        lease = await acquire(adapter)
        await call(break_backend)
        with pytest.raises(StorageError) as caught:
            await use(adapter, lease)
        assert caught.value.__cause__ is not None, "raise StorageError(...) from error"
        thawed = thaw(caught.value)
        assert (type(caught.value), str(caught.value)) == (type(thawed), str(thawed))
