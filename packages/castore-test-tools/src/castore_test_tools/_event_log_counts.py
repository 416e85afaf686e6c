"""The event log contract: counts, which say how far a reader is behind."""

import asyncio

import pytest

from castore_core import LOG_START, GroupedRecord
from castore_test_tools._event_log_base import EventLogContract, LoggingStorageAdapter, read_log
from castore_test_tools._running import push_all, push_in_order
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_MANY = 300  # more than a read gives by default
_WRITERS = 16


class CountsContract(EventLogContract):
    """A count is the number of entries that reading gives."""

    async def test_the_count_of_an_empty_log(self, adapter: LoggingStorageAdapter) -> None:
        """A log without events has none, of all stores and of some."""
        assert [0, 0] == [await adapter.count_events(), await adapter.count_events([STORE])]

    async def test_a_count_is_the_number_of_entries(self, adapter: LoggingStorageAdapter) -> None:
        """As many events are counted as are read, after any position, of any stores."""
        for number in range(4):
            for store_id in (STORE, OTHER_STORE, STORE, "NOTE"):
                aggregate_id = f"a{len(await read_log(adapter, [store_id]))}-{number}"
                await adapter.push_event(store_id, make_record(aggregate_id))
        positions = [LOG_START, *(each.position for each in await read_log(adapter))]
        for wanted in (None, [], [STORE], [OTHER_STORE, STORE], ["NOBODY"]):
            for after in positions:
                found = await adapter.count_events(wanted, after)
                assert len(await read_log(adapter, wanted, after=after)) == found
                assert int is type(found)

    async def test_many_events_are_counted(self, adapter: LoggingStorageAdapter) -> None:
        """A count has no limit."""
        await push_all(adapter, STORE, [make_record(f"a{number}") for number in range(_MANY)])
        await adapter.push_event(OTHER_STORE, make_record())
        assert [_MANY + 1, _MANY] == [await adapter.count_events(each) for each in (None, [STORE])]

    async def test_a_replaced_event_is_counted_once(self, adapter: LoggingStorageAdapter) -> None:
        """Force changes events in their places, and adds none that there were before."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        await adapter.push_event(STORE, make_record("a1", 2, "new"), force=True)
        group = [GroupedRecord(STORE, make_record("a1", each, "new"), adapter) for each in (1, 3)]
        await adapter.push_event_group(group, force=True)
        assert 3 == await adapter.count_events()

    async def test_stores_to_count_are_a_list(self, adapter: LoggingStorageAdapter) -> None:
        """A text in the place of a list is refused: it would be a list of its letters."""
        await adapter.push_event("N", make_record())
        with pytest.raises(ValueError):  # noqa: PT011 any text will do
            await adapter.count_events("NOTES")

    async def test_store_ids_of_a_count_are_data(self, adapter: LoggingStorageAdapter) -> None:
        """The name of a store may hold any characters."""
        ids = ["it's", 'it"s', "a,b", "a b", "[a]", "%", "\U0001f600", "notes", STORE]
        for each in ids:
            await adapter.push_event(each, make_record())
        assert [1] * len(ids) == [await adapter.count_events([each]) for each in ids]

    async def test_counted_events_can_be_read(self, adapter: LoggingStorageAdapter) -> None:
        """While others write, no event is counted that a read after that does not give.

        Neither is one left out that was read before.
        """

        async def write(writer: int) -> None:
            for each in make_records(f"a{writer}", 3):
                await adapter.push_event(STORE if writer % 2 else OTHER_STORE, each)

        writers = asyncio.gather(*(write(each) for each in range(_WRITERS)))
        seen: list[tuple[int, int, int]] = []
        while not writers.done():
            before = await adapter.count_events([STORE])
            read = await read_log(adapter, [STORE], limit=1000)
            seen.append((before, len(read), await adapter.count_events([STORE])))
            await asyncio.sleep(0)
        await writers
        for each in seen:
            assert sorted(each) == [*each]
        assert 3 * _WRITERS == await adapter.count_events()
