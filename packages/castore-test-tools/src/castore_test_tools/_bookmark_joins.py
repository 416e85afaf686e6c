"""The bookmark contract: the writes of a block are there when the bookmark has moved, or never."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest

from castore_core import BookmarkStorageAdapter, Lease, LeaseLostError, LogPosition
from castore_test_tools._bookmark_base import (
    ID,
    BookmarkContract,
    acquire,
    cancel_within,
    get_position,
)
from castore_test_tools._contract import requires
from castore_test_tools._running import CANCELLED_AFTER, call

Join: TypeAlias = tuple[Any, Any]
"""The two functions of the fixture ``join_transaction``."""

_MOVES = 8
_PAUSE = 0.01


class BookmarkJoinsContract(BookmarkContract):
    """The writes of a block share the fate of the move."""

    @requires("join_transaction")
    async def test_joined_writes_are_there_after_the_block(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """All the writes of a block are there when it has ended, and those of later ones, too."""
        write, read = join_transaction
        lease = await acquire(adapter)
        async with adapter.move_bookmark(lease, "7") as transaction:
            await call(write, transaction, "first")
            await call(write, transaction, "second")
        assert ["first", "second"] == sorted(await call(read))
        async with adapter.move_bookmark(lease, "8") as transaction:
            await call(write, transaction, "third")
        assert ["first", "second", "third"] == sorted(await call(read))
        assert "8" == await get_position(adapter, ID)

    @requires("join_transaction")
    async def test_joined_writes_of_a_block_that_raises(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """Nothing of the block is there, neither then nor after the next one has ended."""
        write, read = join_transaction
        lease = await acquire(adapter)

        async def fail() -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "lost")
                raise LookupError("the block is to blame")

        with pytest.raises(LookupError):
            await fail()
        assert [] == list(await call(read))
        async with adapter.move_bookmark(lease, "8") as transaction:
            await call(write, transaction, "kept")
        assert ["kept"] == list(await call(read))

    @requires("join_transaction")
    async def test_joined_writes_of_a_block_that_is_cancelled(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """Nothing of the block is there."""
        write, read = join_transaction
        lease = await acquire(adapter)
        written = asyncio.Event()

        async def block() -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "lost")
                written.set()
                await asyncio.Event().wait()

        await cancel_within(block(), written)
        assert ([], None) == (list(await call(read)), await get_position(adapter, ID))

    @requires("join_transaction")
    async def test_joined_writes_of_a_lost_lease(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """An owner whose lease is lost, before the block or within it, has written nothing."""
        write, read = join_transaction

        async def write_slowly(lease: Lease) -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "lost")
                await self.run_out()

        lost = await acquire(adapter)
        await adapter.release_lease(lost)
        with pytest.raises(LeaseLostError):
            await write_slowly(lost)
        assert ([], None) == (list(await call(read)), await get_position(adapter, ID))
        with pytest.raises(LeaseLostError):
            await write_slowly(await acquire(adapter, duration=self.short_lease))
        assert ([], None) == (list(await call(read)), await get_position(adapter, ID))

    @requires("join_transaction")
    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_move_takes_its_writes_along(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join, steps: int
    ) -> None:
        """After a move was cancelled it is there with the writes of its block, or neither is.

        A commit that was under way may still come to its end.
        """
        write, read = join_transaction
        lease = await acquire(adapter)

        async def block() -> None:
            async with adapter.move_bookmark(lease, "7") as transaction:
                await call(write, transaction, "written")

        task = asyncio.ensure_future(block())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        written = (["written"], "7")
        outcome = (list(await call(read)), await get_position(adapter, ID))
        assert task.cancelled() or written == outcome
        deadline = asyncio.get_running_loop().time() + self._patience
        while outcome not in (([], None), written):  # it may have come between the two reads
            assert asyncio.get_running_loop().time() < deadline, (
                f"half of the move is there: {outcome}"
            )
            await asyncio.sleep(_PAUSE)
            outcome = (list(await call(read)), await get_position(adapter, ID))

    @requires("join_transaction")
    async def test_joined_writes_are_seen_with_the_bookmark(
        self, adapter: BookmarkStorageAdapter, join_transaction: Join
    ) -> None:
        """A reader that sees a bookmark moved sees what was written with it, and vice versa.

        Of the two, whichever it looks at first cannot be newer than what it looks at then.
        """
        write, read = join_transaction
        lease = await acquire(adapter)
        seen: list[tuple[LogPosition | None, Sequence[str], LogPosition | None]] = []

        async def move_on() -> None:
            for number in range(_MOVES):
                async with adapter.move_bookmark(lease, str(number)) as transaction:
                    await call(write, transaction, str(number))
                    await asyncio.sleep(0.001)

        mover = asyncio.ensure_future(move_on())
        while not mover.done():
            before = await get_position(adapter, ID)
            texts = await call(read)
            seen.append((before, texts, await get_position(adapter, ID)))
            await asyncio.sleep(0)
        await mover
        for before, texts, after in seen:
            assert before is None or before in texts
            allowed = [str(number) for number in range(_MOVES) if after and number <= int(after)]
            assert set(texts) <= set(allowed)
