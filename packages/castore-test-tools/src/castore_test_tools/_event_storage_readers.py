"""The event storage contract: reads while others write."""

import asyncio
from functools import partial

import pytest

from castore_core import EventStorageAdapter, GroupedRecord
from castore_test_tools._contract import requires
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._running import (
    CANCELLED_AFTER,
    append,
    cancel_read,
    read_at_each_turn,
    read_while,
    try_push,
)
from castore_test_tools._values import STORE, make_record

_AT_ONCE = 32
_ROUNDS = 20
_GROUPS = 8  # backends refuse transactions that contend


class ReadersContract(EventStorageContract):
    """An event is there as a whole, or not at all, whenever it is read."""

    async def test_readers_see_whole_events(self, adapter: EventStorageAdapter) -> None:
        """A reader sees each event as it was pushed, or not at all, while others push."""
        pushes = asyncio.gather(
            *(append(adapter, STORE, "a1", {"number": each}) for each in range(_AT_ONCE))
        )
        reads = await read_while(pushes, lambda: adapter.get_events(STORE, "a1"))
        records = pushes.result()
        assert [] == [record for read in reads for record in read if record not in records]

    @requires("groups_appear_at_once")
    async def test_a_group_appears_at_once(self, adapter: EventStorageAdapter) -> None:
        """A reader sees all versions that a group has of an aggregate, or none of them."""
        for number in range(_ROUNDS):
            names = [f"{name}-{number}" for name in ("a1", "a2", "a3")]
            records = [make_record(name, version) for version in (1, 2) for name in names]
            group = [GroupedRecord(STORE, each, adapter) for each in records]
            push = asyncio.ensure_future(adapter.push_event_group(group))
            reads = [partial(_count_events, adapter, name) for name in names]
            assert {0, 2} >= set(await read_at_each_turn(push, reads))

    async def test_a_refused_group_is_never_seen(self, adapter: EventStorageAdapter) -> None:
        """A reader sees nothing of a group that is refused, not even for a moment."""
        await adapter.push_event(STORE, make_record("a2", 1, "before"))
        group = [GroupedRecord(STORE, make_record(each), adapter) for each in ("a1", "a2")]
        pushes = asyncio.gather(
            *(try_push(adapter.push_event_group(group)) for _ in range(_GROUPS))
        )
        reads = await read_while(pushes, lambda: adapter.get_events(STORE, "a1"))
        assert None not in pushes.result()
        assert [] == [record for read in reads for record in read]

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_read(self, adapter: EventStorageAdapter, steps: int) -> None:
        """A read that is cancelled raises `CancelledError`, unless it has returned before."""
        await adapter.push_event(STORE, make_record())
        await cancel_read(adapter.get_events(STORE, "a1"), steps)
        await cancel_read(adapter.list_aggregate_ids(STORE), steps)
        assert [make_record()] == list(await adapter.get_events(STORE, "a1"))

    async def test_force_is_one_step(self, adapter: EventStorageAdapter) -> None:
        """A reader sees the old event, or the new one, while it is replaced."""
        await adapter.push_event(STORE, make_record("a1", 1, "old"))
        pushes = asyncio.gather(
            *(
                adapter.push_event(STORE, make_record("a1", 1, "new"), force=True)
                for _ in range(_AT_ONCE)
            )
        )
        reads = await read_while(pushes, lambda: adapter.get_events(STORE, "a1"))
        seen = {tuple(each.payload for each in read) for read in reads}
        assert set() == seen - {("old",), ("new",)}


async def _count_events(adapter: EventStorageAdapter, aggregate_id: str) -> int:
    return len(await adapter.get_events(STORE, aggregate_id))
