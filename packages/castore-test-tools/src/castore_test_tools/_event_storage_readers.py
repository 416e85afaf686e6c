"""The event storage contract: what is seen while others write."""

import asyncio

from castore_core import EventStorageAdapter, GroupedRecord
from castore_test_tools._event_storage_base import EventStorageContract
from castore_test_tools._running import read_while, try_push
from castore_test_tools._values import STORE, make_record

_AT_ONCE = 32
_GROUPS = 8  # backends refuse transactions that contend


class ReadersContract(EventStorageContract):
    """An event is there as a whole, or not at all, whenever it is read."""

    async def test_readers_see_whole_events(self, adapter: EventStorageAdapter) -> None:
        """Whoever reads while events are pushed sees each of them as it was pushed, or not."""
        records = [
            make_record("a1", version, {"number": version}, {"by": version})
            for version in range(1, _AT_ONCE + 1)
        ]
        pushes = asyncio.gather(*(adapter.push_event(STORE, each) for each in records))
        reads = await read_while(pushes, lambda: adapter.get_events(STORE, "a1"))
        assert [] == [record for read in reads for record in read if record not in records]

    async def test_a_refused_group_is_never_seen(self, adapter: EventStorageAdapter) -> None:
        """Whoever reads while a group is refused sees nothing of it, not even for a moment."""
        await adapter.push_event(STORE, make_record("a2", 1, "before"))
        group = [GroupedRecord(STORE, make_record(each), adapter) for each in ("a1", "a2")]
        pushes = asyncio.gather(
            *(try_push(adapter.push_event_group(group)) for _ in range(_GROUPS))
        )
        reads = await read_while(pushes, lambda: adapter.get_events(STORE, "a1"))
        assert None not in pushes.result()
        assert [] == [record for read in reads for record in read]

    async def test_force_is_one_step(self, adapter: EventStorageAdapter) -> None:
        """Whoever reads while an event is replaced sees the old one, or the new one."""
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
