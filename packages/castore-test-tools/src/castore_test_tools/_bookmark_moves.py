"""The bookmark contract: a bookmark moves at the end of a block, if its lease holds."""

import asyncio

import pytest

from castore_core import BookmarkStorageAdapter, LeaseLostError
from castore_test_tools._bookmark_base import (
    ID,
    LONG,
    BookmarkContract,
    acquire,
    cancel_within,
    get_position,
    move,
)
from castore_test_tools._running import CANCELLED_AFTER, thaw

_TURNS = 20


class BookmarkMovesContract(BookmarkContract):
    """Blocks that end, raise, are cancelled, or lose their lease."""

    async def test_a_bookmark_moves_at_the_end_of_the_block(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """Readers see the bookmark where it was until the block ends, and moved after it."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        seen: list[str | None] = []

        async def read() -> None:
            while not is_ending:
                position = await get_position(adapter, ID)
                if not is_ending:
                    seen.append(position)
                await asyncio.sleep(0)

        is_ending = False
        async with adapter.move_bookmark(lease, "7"):
            reader = asyncio.ensure_future(read())
            for _ in range(_TURNS):
                await asyncio.sleep(0.001)
            is_ending = True
        assert "7" == await get_position(adapter, ID)
        await reader
        assert {"3"} >= set(seen)

    async def test_a_block_that_raises_moves_nothing(self, adapter: BookmarkStorageAdapter) -> None:
        """The error goes through, the bookmark stays, and the lease holds for another try."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        error = LookupError("the block is to blame")
        with pytest.raises(LookupError) as caught:
            async with adapter.move_bookmark(lease, "7"):
                raise error
        assert error is caught.value
        assert "3" == await get_position(adapter, ID)
        await move(adapter, lease, "8")
        assert "8" == await get_position(adapter, ID)

    async def test_a_block_that_is_cancelled_moves_nothing(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """The cancellation goes through, the bookmark stays, and the lease holds."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        entered = asyncio.Event()

        async def block() -> None:
            async with adapter.move_bookmark(lease, "7"):
                entered.set()
                await asyncio.Event().wait()

        await cancel_within(block(), entered)
        assert "3" == await get_position(adapter, ID)
        await move(adapter, lease, "8")
        assert "8" == await get_position(adapter, ID)

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_move_is_whole_or_absent(
        self, adapter: BookmarkStorageAdapter, steps: int
    ) -> None:
        """After a move was cancelled the bookmark is where it was, or moved, and can be moved on.

        It is moved if the move returned in spite of the cancellation.
        """
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter)
        task = asyncio.ensure_future(move(adapter, lease, "7"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        assert error is None, "the cancelled move met no obstacle"
        allowed = {"3", "7"} if task.cancelled() else {"7"}
        assert await get_position(adapter, ID) in allowed
        await move(adapter, lease, "8")
        assert "8" == await get_position(adapter, ID)

    async def test_without_a_lease_nobody_moves(self, adapter: BookmarkStorageAdapter) -> None:
        """The error says whose lease of which bookmark is missing, and no bookmark is made."""
        lease = await acquire(adapter)
        await adapter.release_lease(lease)
        with pytest.raises(LeaseLostError) as caught:
            await move(adapter, lease, "7")
        assert (ID, "ash") == (caught.value.bookmark_id, caught.value.owner)
        assert None is await get_position(adapter, ID)

    async def test_an_owner_without_the_lease_does_not_move(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """The error names the one who tried, and the bookmark stays where its owner moved it."""
        late = await acquire(adapter, "gary")
        await adapter.release_lease(late)
        await move(adapter, await acquire(adapter), "3")
        with pytest.raises(LeaseLostError) as caught:
            await move(adapter, late, "7")
        assert (ID, "gary") == (caught.value.bookmark_id, caught.value.owner)
        assert "3" == await get_position(adapter, ID)

    async def test_a_lost_lease_pickles(self, adapter: BookmarkStorageAdapter) -> None:
        """An error that an adapter raised keeps its type and values from process to process."""
        lease = await acquire(adapter)
        await adapter.release_lease(lease)
        with pytest.raises(LeaseLostError) as caught:
            await move(adapter, lease, "7")
        thawed = thaw(caught.value)
        assert type(thawed) is LeaseLostError
        assert (ID, "ash") == (thawed.bookmark_id, thawed.owner)

    async def test_a_lease_that_runs_out_in_the_block(
        self, adapter: BookmarkStorageAdapter
    ) -> None:
        """A lease that held when the block began, and has run out at its end, moves nothing.

        Also when nobody else took it.
        """
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter, duration=self.short_lease)
        with pytest.raises(LeaseLostError):
            async with adapter.move_bookmark(lease, "7"):
                await self.run_out()
        assert "3" == await get_position(adapter, ID)

    async def test_a_lease_is_lost_in_the_block(self, adapter: BookmarkStorageAdapter) -> None:
        """Another owner that takes over while a block goes on is not overwritten by its end."""
        await adapter.create_bookmark(ID, "3")
        lease = await acquire(adapter, duration=self.short_lease)

        async def take_over() -> None:
            await move(adapter, await self.acquire_sometime(adapter, "gary"), "8")

        async def go_on(other: "asyncio.Future[None]") -> None:
            async with adapter.move_bookmark(lease, "7"):
                # The backend may have the other owner wait for the end of the block.
                await asyncio.wait([other], timeout=10 * self.short_lease.total_seconds())

        other = asyncio.ensure_future(take_over())
        with pytest.raises(LeaseLostError) as caught:
            await go_on(other)
        assert (ID, "ash") == (caught.value.bookmark_id, caught.value.owner)
        await other
        assert "8" == await get_position(adapter, ID)
        assert None is await adapter.acquire_lease(ID, "ash", LONG)
