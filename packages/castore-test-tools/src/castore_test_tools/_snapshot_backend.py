"""The snapshot contract: event loops, cancelled reads, and the client behind a storage."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from castore_core import SnapshotStorageAdapter, StorageError
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
from castore_test_tools._snapshot_base import SnapshotContract, make_snapshot
from castore_test_tools._values import STORE

_OF_A_LOOP = 10


class SnapshotBackendContract(SnapshotContract):
    """Cancelled, hanging and overlapping reads and writes."""

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_read_of_a_snapshot(
        self, adapter: SnapshotStorageAdapter, steps: int
    ) -> None:
        """A read that is cancelled raises `CancelledError`, unless it has returned before."""
        await adapter.put_snapshot(make_snapshot())
        await cancel_read(self.get(adapter), steps)
        assert make_snapshot() == await self.get(adapter)

    @requires("works_in_several_event_loops")
    async def test_snapshots_in_another_event_loop(self, adapter: SnapshotStorageAdapter) -> None:
        """A snapshot of one event loop is read in another, and in the first one again."""
        await adapter.put_snapshot(make_snapshot(1))
        assert make_snapshot(1) == await run_elsewhere(lambda: self.get(adapter))
        assert make_snapshot(1) == await self.get(adapter)

    @requires("works_in_several_event_loops", "works_in_several_event_loops_at_once")
    async def test_snapshots_in_several_event_loops(self, adapter: SnapshotStorageAdapter) -> None:
        """Snapshots that are put in three event loops at a time are all read there."""

        async def put_and_read(loop: int) -> None:
            names = [f"{loop}-{each}" for each in range(_OF_A_LOOP)]
            snapshots = [make_snapshot(1, each, aggregate_id=each) for each in names]
            await asyncio.gather(*(adapter.put_snapshot(each) for each in snapshots))
            reads = (adapter.get_snapshot(STORE, each, reducer_version="1") for each in names)
            assert snapshots == await asyncio.gather(*reads)

        await run_in_several_loops(put_and_read)

    @requires("connect_again")
    async def test_snapshots_leave_the_client_open(
        self, adapter: SnapshotStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that was closed, or is gone, leaves its client to those who still use it."""
        other = await call(connect_again)
        await other.put_snapshot(make_snapshot(1))
        await close(other)
        del other
        gc.collect()
        assert make_snapshot(1) == await self.get(adapter)

    @requires("connect_again")
    async def test_snapshots_are_read_anew(
        self, adapter: SnapshotStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """A storage that has read a snapshot sees what another one puts, and deletes, later."""
        other = await call(connect_again)
        assert await self.get(adapter) is None
        for snapshot in (make_snapshot(1, "old"), make_snapshot(1, "new"), make_snapshot(2)):
            await other.put_snapshot(snapshot)
            assert snapshot == await self.get(adapter)
        await other.delete_snapshots(STORE, "a1")
        assert await self.get(adapter) is None

    @requires("break_backend")
    async def test_failures_of_snapshot_storage_are_translated(
        self, adapter: SnapshotStorageAdapter, break_backend: Callable[[], Any]
    ) -> None:
        """An error of the backend is the cause of a `StorageError`, that pickles."""
        await call(break_backend)
        with pytest.raises(StorageError) as caught:
            await self.get(adapter)
        assert caught.value.__cause__ is not None, "raise StorageError(...) from error"
        thawed = thaw(caught.value)
        assert (type(caught.value), str(caught.value)) == (type(thawed), str(thawed))
