"""The event storage contract: reads while others write."""

import asyncio

from castore_core import EventStorageAdapter, GroupedRecord
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._running import append, read_while, try_push
from castore_test_tools._values import STORE, make_record

_AT_ONCE = 32
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
