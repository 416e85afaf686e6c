"""The parts of the bookmark contract share this: fixtures, and how bookmarks are used."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final

import pytest

from castore_core import BookmarkStorageAdapter, Lease, LeaseLostError, LogPosition
from castore_test_tools._contract import ContractTests, adapter_fixture

ID: Final = "pokedex"
LONG: Final = timedelta(minutes=10)

_PAUSE = 0.01


class BookmarkContract(ContractTests):
    """The fixtures and capabilities of `BookmarkStorageAdapterTests`."""

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    works_in_several_event_loops_at_once: bool = True
    """One adapter can be used in several event loops at the same time, each of a thread."""

    short_lease: timedelta = timedelta(milliseconds=50)
    """A lease that the suite waits for to run out: no shorter than the backend can tell."""

    join_transaction: Any = None
    """A fixture, where the block of a move can write something else along with the bookmark.

    It returns two functions, sync or async: ``write(transaction, text)`` writes a text in the
    transaction that the block is given, and ``read()`` returns all the texts that are written by
    now, in any order.
    """

    @adapter_fixture
    def adapter(self) -> BookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        raise NotImplementedError("override the fixture `adapter`: return an empty storage")

    async def run_out(self) -> None:
        """Wait until a short lease has run out for sure."""
        await asyncio.sleep(2 * self.short_lease.total_seconds())

    async def acquire_sometime(self, adapter: BookmarkStorageAdapter, owner: str) -> Lease:
        """Take a lease as soon as that of another owner has run out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while (lease := await adapter.acquire_lease(ID, owner, LONG)) is None:
            assert loop.time() < deadline, "the lease did not run out"
            await asyncio.sleep(_PAUSE)
        return lease


async def acquire(
    adapter: BookmarkStorageAdapter,
    owner: str = "ash",
    duration: timedelta = LONG,
    *,
    bookmark_id: str = ID,
) -> Lease:
    """Take a lease that nobody else has."""
    lease = await adapter.acquire_lease(bookmark_id, owner, duration)
    assert lease is not None, f"{owner!r} was refused a lease that nobody has"
    return lease


async def get_position(adapter: BookmarkStorageAdapter, bookmark_id: str) -> LogPosition | None:
    """Return where a bookmark is."""
    return (await adapter.get_bookmark(bookmark_id)).position


async def move(adapter: BookmarkStorageAdapter, lease: Lease, position: LogPosition) -> None:
    """Move a bookmark, and write nothing else."""
    async with adapter.move_bookmark(lease, position):
        pass


async def try_move(adapter: BookmarkStorageAdapter, lease: Lease, position: LogPosition) -> bool:
    """Move a bookmark, and tell whether the lease held."""
    try:
        await move(adapter, lease, position)
    except LeaseLostError:
        return False
    return True


async def cancel_within(block: Coroutine[Any, Any, None], entered: asyncio.Event) -> None:
    """Cancel a block once it is entered, and assert that it lets the cancellation through."""
    task = asyncio.ensure_future(block)
    entering = asyncio.ensure_future(entered.wait())
    await asyncio.wait([task, entering], return_when=asyncio.FIRST_COMPLETED)
    entering.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
