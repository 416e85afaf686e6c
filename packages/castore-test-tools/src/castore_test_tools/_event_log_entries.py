"""The event log contract: each event is there once, as it was pushed, in the order of pushes."""

from datetime import timedelta
from itertools import count
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import ABSENT, LOG_START, AssertedVersion, GroupedRecord, JSONValue, LogSlice
from castore_test_tools._contract import properties, requires
from castore_test_tools._event_log_base import (
    EventLogContract,
    LoggingStorageAdapter,
    check_slice,
    follow_log,
    read_log,
)
from castore_test_tools._running import (
    push_all,
    push_in_order,
    run_elsewhere,
    try_push,
)
from castore_test_tools._values import (
    JSON_SAMPLES,
    MOMENTS,
    OTHER_STORE,
    STORE,
    exact,
    make_record,
    make_records,
    moment,
)

_MANY = 1200
_fresh_numbers = count()


class EntriesContract(EventLogContract):
    """Order, values, limits, and the stores that a reader asks for."""

    async def test_an_empty_log(self, adapter: LoggingStorageAdapter) -> None:
        """A log without events has no entries, and ends at its start."""
        found = await adapter.read_events()
        assert LogSlice([], LOG_START) == found._replace(entries=[*found.entries])

    async def test_the_log_has_the_order_of_pushes(self, adapter: LoggingStorageAdapter) -> None:
        """Neither versions, nor timestamps, ids or stores order the log."""
        pushes = [
            (STORE, make_record("b", 2, 0, timestamp=moment(9))),
            (OTHER_STORE, make_record("z", 1, 1, timestamp=moment(8))),
            (STORE, make_record("a", 1, 2, timestamp=moment(7))),
            (STORE, make_record("b", 1, 3, timestamp=moment(6))),
        ]
        for store_id, record in pushes:
            await adapter.push_event(store_id, record, force=record.version > 1)
        read = await read_log(adapter)
        assert pushes == [(each.event_store_id, each.record) for each in read]

    async def test_absent_is_not_null_in_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """The log gives events as they were pushed."""
        records = [
            make_record("a1", 1),
            make_record("a1", 2, None, None),
            make_record("a1", 3, ABSENT, None),
            make_record("a1", 4, {"a": [1, "\U0001f600"]}, False),
        ]
        await push_in_order(adapter, STORE, records)
        assert records == [each.record for each in await read_log(adapter)]

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES)
    async def test_json_of_the_log(
        self, adapter: LoggingStorageAdapter, samples: dict[str, JSONValue]
    ) -> None:
        """The log gives JSON values as they were written, with the types of their numbers."""
        values = [each for each in samples.values() if self.holds(each)]
        expected = [exact(self.as_read(each)) for each in values]
        for version, each in enumerate(values, 1):
            await adapter.push_event(STORE, make_record("a1", version, each, each))
        read = [each.record for each in await read_log(adapter)]
        assert expected == [exact(each.payload) for each in read]
        assert expected == [exact(each.metadata) for each in read]

    async def test_versions_and_timestamps_of_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """Versions are integers, and timestamps are in UTC and exact to the millisecond."""
        for version, each in enumerate(MOMENTS, 1):
            await adapter.push_event(STORE, make_record("a1", version, timestamp=each))
        read = [each.record for each in await read_log(adapter)]
        assert [(each, timedelta(0)) for each in MOMENTS] == [
            (each.timestamp, each.timestamp.utcoffset()) for each in read
        ]
        assert {int} == {type(each.version) for each in read}

    async def test_after_is_exclusive(self, adapter: LoggingStorageAdapter) -> None:
        """The entries after a position follow it, whichever it is."""
        await push_in_order(adapter, STORE, make_records("a1", 4))
        entries = await read_log(adapter)
        rests = [await read_log(adapter, after=each.position) for each in entries]
        assert [entries[1:], entries[2:], entries[3:], []] == rests

    async def test_a_limit_of_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """A limit takes the first entries that follow, and no other."""
        await push_in_order(adapter, STORE, make_records("a1", 5))
        first, *rest = await read_log(adapter)
        found = await adapter.read_events(after=first.position, limit=2)
        check_slice(found, first.position, 2)
        assert rest[: len(found.entries)] == list(found.entries)
        assert rest == await read_log(adapter, after=first.position, limit=2)

    async def test_the_limit_is_100_by_default(self, adapter: LoggingStorageAdapter) -> None:
        """Without a limit no more than 100 entries are read."""
        await push_all(adapter, STORE, [make_record(f"a{each}") for each in range(101)])
        check_slice(await adapter.read_events(), LOG_START, 100)

    @pytest.mark.parametrize("limit", [0, -1])
    async def test_limits_of_the_log_below_1(
        self, adapter: LoggingStorageAdapter, limit: int
    ) -> None:
        """A read without room for an entry is refused: it could not tell the end from none."""
        await adapter.push_event(STORE, make_record())
        for each in (None, [OTHER_STORE]):
            with pytest.raises(ValueError):  # noqa: PT011 any text will do
                await adapter.read_events(each, limit=limit)

    async def test_the_log_of_some_stores(self, adapter: LoggingStorageAdapter) -> None:
        """Only the entries of the given stores are read, in the one order."""
        for number in range(3):
            for store_id in (STORE, OTHER_STORE, "NOTE", "NOTES2"):
                await adapter.push_event(store_id, make_record(f"a{number}"))
        entries = await read_log(adapter)
        wanted = [each for each in entries if each.event_store_id in {STORE, OTHER_STORE}]
        for limit in (1, 2, 100):
            assert wanted == await read_log(adapter, [OTHER_STORE, STORE], limit=limit)
        read = await read_log(adapter, [STORE], after=entries[0].position, limit=1)
        assert [entries[4], entries[8]] == read

    async def test_the_log_of_no_store(self, adapter: LoggingStorageAdapter) -> None:
        """An empty list of stores gives nothing, as does a store without events."""
        await adapter.push_event(STORE, make_record())
        assert [] == await read_log(adapter, [])
        assert [] == await read_log(adapter, [OTHER_STORE])

    async def test_store_ids_of_the_log_are_data(self, adapter: LoggingStorageAdapter) -> None:
        """The name of a store may hold any characters."""
        ids = ["it's", 'it"s', "a,b", "a b", "[a]", "%", "\U0001f600", "notes", STORE]
        for each in ids:
            await adapter.push_event(each, make_record())
        for each in ids:
            read = await read_log(adapter, [each])
            assert [each] == [entry.event_store_id for entry in read]

    async def test_a_replaced_event_keeps_its_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """Force changes the entry in its place, and adds none."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        before = await read_log(adapter)
        new = make_record("a1", 2, "new")
        await adapter.push_event(STORE, new, force=True)
        expected = [before[0], before[1]._replace(record=new), before[2]]
        assert expected == await read_log(adapter)

    async def test_a_replaced_group_keeps_its_positions(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A forced group changes entries in their places, and adds those that are new."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        before = await read_log(adapter)
        records = [make_record("a1", 1, "new"), make_record("a1", 2, "new"), make_record("a2")]
        group = [GroupedRecord(STORE, each, adapter) for each in records]
        await adapter.push_event_group(group, force=True)
        *replaced, added = await read_log(adapter)
        assert [*records[:2], before[2].record] == [each.record for each in replaced]
        assert [each.position for each in before] == [each.position for each in replaced]
        assert records[2] == added.record

    async def test_a_refused_push_leaves_no_entry(self, adapter: LoggingStorageAdapter) -> None:
        """Pushes and groups that conflict are not in the log, nor is a group that asserts wrong."""
        await adapter.push_event(STORE, make_record("a1"))
        before = await read_log(adapter)
        assert await try_push(adapter.push_event(STORE, make_record("a1", 1, "other")))
        group = [GroupedRecord(STORE, make_record(name), adapter) for name in ("a0", "a1", "a2")]
        assert await try_push(adapter.push_event_group(group))
        wrong = AssertedVersion(STORE, "a1", 2, adapter)
        assert await try_push(adapter.push_event_group(group[:1], asserted=[wrong]))
        assert before == await read_log(adapter)

    async def test_a_group_is_logged_in_its_order(self, adapter: LoggingStorageAdapter) -> None:
        """The events of a group follow each other as they do in the group."""
        await adapter.push_event(STORE, make_record("first"))
        records = [make_record(name) for name in ("b", "a", "c")]
        stores = (OTHER_STORE, STORE, OTHER_STORE)
        await adapter.push_event_group(
            [GroupedRecord(*each, adapter) for each in zip(stores, records, strict=True)]
        )
        await adapter.push_event(STORE, make_record("last"))
        names = [each.record.aggregate_id for each in await read_log(adapter)]
        assert ["first", "b", "a", "c", "last"] == names

    async def test_no_reference_is_given_out_by_the_log(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A reader that changes a value that it read does not change the log."""
        await adapter.push_event(STORE, make_record("a1", 1, [1]))
        (entry,) = await read_log(adapter)
        cast("list[JSONValue]", entry.record.payload).append(2)
        assert [[1]] == [each.record.payload for each in await read_log(adapter)]

    async def test_a_long_log(self, adapter: LoggingStorageAdapter) -> None:
        """More entries than a backend returns at once (1.2 MB) are read, at once or in pages."""
        records = [make_record(f"a{number}", 1, "x" * 1000) for number in range(_MANY)]
        await push_all(adapter, STORE, records)
        whole = await read_log(adapter, limit=2 * _MANY)
        assert records == sorted((each.record for each in whole), key=records.index)
        assert whole == await read_log(adapter, limit=250)

    @properties
    @given(
        st.lists(st.sampled_from("ABC"), max_size=8),
        st.none() | st.lists(st.sampled_from("ABCD"), max_size=3),
        st.integers(1, 4),
    )
    async def test_any_pages_of_the_log(
        self,
        adapter: LoggingStorageAdapter,
        stores: list[str],
        wanted: list[str] | None,
        limit: int,
    ) -> None:
        """Pages of any size hold each event of the wanted stores once, in the order of pushes."""
        before = await follow_log(adapter, limit=1000)
        run = next(_fresh_numbers)
        pushes = [(each, f"any-{run}-{number}") for number, each in enumerate(stores)]
        for store_id, aggregate_id in pushes:
            await adapter.push_event(store_id, make_record(aggregate_id))
        read = await read_log(adapter, wanted, after=before.position, limit=limit)
        expected = [each for each in pushes if wanted is None or each[0] in wanted]
        assert expected == [(each.event_store_id, each.record.aggregate_id) for each in read]

    @requires("works_in_several_event_loops")
    async def test_the_log_in_another_event_loop(self, adapter: LoggingStorageAdapter) -> None:
        """Events that were pushed in one event loop are read in another."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        expected = await read_log(adapter)
        assert expected == await run_elsewhere(lambda: read_log(adapter, limit=10))
