"""The contract of event logs."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Protocol, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    ABSENT,
    EventLog,
    EventStorageAdapter,
    GroupedRecord,
    JSONValue,
    LogEntry,
)
from castore_test_tools._contract import adapter_fixture, properties, requires
from castore_test_tools._json_contract import JSONContract
from castore_test_tools._running import push_all, push_in_order, run_elsewhere, try_push
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

_WRITERS = 32
_MANY = 1200
_fresh_numbers = count()


class LoggingStorageAdapter(EventStorageAdapter, EventLog, Protocol):
    """An event storage that is an event log too."""


class EventLogTests(JSONContract):
    """What every `castore_core.EventLog` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns an event storage
    without events that is an event log too, for each test anew::

        class TestMyEventLog(EventLogTests):
            @pytest.fixture
            def adapter(self, tmp_path: Path) -> MyEventStorageAdapter:
                return MyEventStorageAdapter(tmp_path / "events")

    What the suite of the storage declares about numbers and event loops is declared here, too.
    """

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    @adapter_fixture
    def adapter(self) -> LoggingStorageAdapter:
        """Return an adapter without events."""
        raise NotImplementedError("override the fixture `adapter`: return an empty event log")

    async def test_an_empty_log(self, adapter: LoggingStorageAdapter) -> None:
        """A log without events has no entries."""
        assert [] == list(await adapter.read_events())

    async def test_the_log_has_the_order_of_pushes(self, adapter: LoggingStorageAdapter) -> None:
        """Neither versions, nor timestamps, ids or stores order the log."""
        pushes = [
            (STORE, make_record("b", 2, 0, timestamp=moment(9))),
            (OTHER_STORE, make_record("z", 1, 1, timestamp=moment(8))),
            (STORE, make_record("a", 1, 2, timestamp=moment(7))),
            (STORE, make_record("b", 1, 3, timestamp=moment(6))),
        ]
        for store_id, record in pushes:
            await adapter.push_event(store_id, record)
        read = await adapter.read_events()
        assert pushes == [(each.event_store_id, each.record) for each in read]

    async def test_positions_grow_from_1(self, adapter: LoggingStorageAdapter) -> None:
        """Positions are integers above 0, each greater than the one before."""
        await push_in_order(adapter, STORE, make_records("a1", 5))
        positions = [each.position for each in await adapter.read_events()]
        assert sorted(set(positions)) == positions
        assert positions[0] > 0
        assert {int} == {type(each) for each in positions}

    async def test_absent_is_not_null_in_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """The log gives events as they were pushed."""
        records = [
            make_record("a1", 1),
            make_record("a1", 2, None, None),
            make_record("a1", 3, ABSENT, None),
            make_record("a1", 4, {"a": [1, "\U0001f600"]}, False),
        ]
        await push_in_order(adapter, STORE, records)
        assert records == [each.record for each in await adapter.read_events()]

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES)
    async def test_json_of_the_log(
        self, adapter: LoggingStorageAdapter, samples: dict[str, JSONValue]
    ) -> None:
        """The log gives JSON values as they were written, with the types of their numbers."""
        values = [each for each in samples.values() if self.holds(each)]
        expected = [exact(self.as_read(each)) for each in values]
        for version, each in enumerate(values, 1):
            await adapter.push_event(STORE, make_record("a1", version, each, each))
        read = [each.record for each in await adapter.read_events()]
        assert expected == [exact(each.payload) for each in read]
        assert expected == [exact(each.metadata) for each in read]

    async def test_versions_and_timestamps_of_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """Versions are integers, and timestamps are in UTC and exact to the millisecond."""
        for version, each in enumerate(MOMENTS, 1):
            await adapter.push_event(STORE, make_record("a1", version, timestamp=each))
        read = [each.record for each in await adapter.read_events()]
        assert [(each, timedelta(0)) for each in MOMENTS] == [
            (each.timestamp, each.timestamp.utcoffset()) for each in read
        ]
        assert {int} == {type(each.version) for each in read}

    async def test_after_position_is_exclusive(self, adapter: LoggingStorageAdapter) -> None:
        """The entries after a position follow it, whichever it is."""
        await push_in_order(adapter, STORE, make_records("a1", 4))
        entries = list(await adapter.read_events())
        rests = [list(await adapter.read_events(after_position=each.position)) for each in entries]
        assert [entries[1:], entries[2:], entries[3:], []] == rests

    async def test_a_position_beyond_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """Nothing follows a position that is not there yet."""
        await adapter.push_event(STORE, make_record())
        assert [] == list(await adapter.read_events(after_position=2**53 - 1))

    async def test_a_limit_of_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """A limit takes the first entries that follow."""
        await push_in_order(adapter, STORE, make_records("a1", 5))
        entries = list(await adapter.read_events())
        read = await adapter.read_events(after_position=entries[0].position, limit=2)
        assert entries[1:3] == list(read)

    async def test_the_limit_is_100_by_default(self, adapter: LoggingStorageAdapter) -> None:
        """Without a limit no more than 100 entries are read."""
        await push_all(adapter, STORE, make_records("a1", 101))
        assert 100 == len(await adapter.read_events())

    async def test_the_log_of_some_stores(self, adapter: LoggingStorageAdapter) -> None:
        """Only the entries of the given stores are read, in the one order; limits count them."""
        for number in range(3):
            for store_id in (STORE, OTHER_STORE, "NOTE", "NOTES2"):
                await adapter.push_event(store_id, make_record(f"a{number}"))
        entries = list(await adapter.read_events())
        wanted = [each for each in entries if each.event_store_id in {STORE, OTHER_STORE}]
        assert wanted == list(await adapter.read_events([OTHER_STORE, STORE]))
        read = await adapter.read_events([STORE], after_position=entries[0].position, limit=1)
        assert [entries[4]] == list(read)

    async def test_the_log_of_no_store(self, adapter: LoggingStorageAdapter) -> None:
        """An empty list of stores gives nothing, as does a store without events."""
        await adapter.push_event(STORE, make_record())
        assert [] == list(await adapter.read_events([]))
        assert [] == list(await adapter.read_events([OTHER_STORE]))

    async def test_store_ids_of_the_log_are_data(self, adapter: LoggingStorageAdapter) -> None:
        """The name of a store may hold any characters."""
        ids = ["it's", 'it"s', "a,b", "a b", "[a]", "%", "\U0001f600", "notes", STORE]
        for each in ids:
            await adapter.push_event(each, make_record())
        for each in ids:
            read = await adapter.read_events([each])
            assert [each] == [entry.event_store_id for entry in read]

    async def test_a_replaced_event_keeps_its_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """Force changes the entry in its place, and adds none."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        before = list(await adapter.read_events())
        new = make_record("a1", 2, "new")
        await adapter.push_event(STORE, new, force=True)
        expected = [before[0], before[1]._replace(record=new), before[2]]
        assert expected == list(await adapter.read_events())

    async def test_a_replaced_group_keeps_its_positions(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A forced group changes entries in their places, and adds those that are new."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        before = list(await adapter.read_events())
        records = [make_record("a1", 1, "new"), make_record("a1", 2, "new"), make_record("a2")]
        group = [GroupedRecord(STORE, each, adapter) for each in records]
        await adapter.push_event_group(group, force=True)
        *replaced, added = await adapter.read_events()
        assert [*records[:2], before[2].record] == [each.record for each in replaced]
        assert [each.position for each in before] == [each.position for each in replaced]
        assert records[2] == added.record

    async def test_a_refused_push_leaves_no_entry(self, adapter: LoggingStorageAdapter) -> None:
        """Neither a push that conflicts nor a group that does is in the log."""
        await adapter.push_event(STORE, make_record("a1"))
        before = list(await adapter.read_events())
        assert await try_push(adapter.push_event(STORE, make_record("a1", 1, "other")))
        group = [GroupedRecord(STORE, make_record(name), adapter) for name in ("a0", "a1", "a2")]
        assert await try_push(adapter.push_event_group(group))
        assert before == list(await adapter.read_events())

    async def test_a_group_is_logged_in_its_order(self, adapter: LoggingStorageAdapter) -> None:
        """The events of a group follow each other as they do in the group."""
        await adapter.push_event(STORE, make_record("first"))
        records = [make_record(name) for name in ("b", "a", "c")]
        stores = (OTHER_STORE, STORE, OTHER_STORE)
        await adapter.push_event_group(
            [GroupedRecord(*each, adapter) for each in zip(stores, records, strict=True)]
        )
        await adapter.push_event(STORE, make_record("last"))
        names = [each.record.aggregate_id for each in await adapter.read_events()]
        assert ["first", "b", "a", "c", "last"] == names

    async def test_no_reference_is_given_out_by_the_log(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """Whoever changes a value that was read does not change the log."""
        await adapter.push_event(STORE, make_record("a1", 1, [1]))
        (entry,) = await adapter.read_events()
        cast("list[JSONValue]", entry.record.payload).append(2)
        assert [[1]] == [each.record.payload for each in await adapter.read_events()]

    async def test_a_long_log(self, adapter: LoggingStorageAdapter) -> None:
        """More entries than a backend returns at once (1.2 MB) are read, at once or in pages."""
        records = [make_record("a1", version + 1, "x" * 1000) for version in range(_MANY)]
        await push_all(adapter, STORE, records)
        whole = list(await adapter.read_events(limit=2 * _MANY))
        assert list(range(1, _MANY + 1)) == sorted(each.record.version for each in whole)
        assert whole == await self._follow(adapter, limit=250)

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
        before = await self._follow(adapter, limit=1000)
        last = before[-1].position if before else 0
        aggregate_id = f"any-{next(_fresh_numbers)}"
        for version, each in enumerate(stores, 1):
            await adapter.push_event(each, make_record(aggregate_id, version))
        read = await self._follow(adapter, wanted, limit=limit, after_position=last)
        expected = [
            (each, version)
            for version, each in enumerate(stores, 1)
            if wanted is None or each in wanted
        ]
        assert expected == [(each.event_store_id, each.record.version) for each in read]

    async def test_concurrent_pushes_are_logged_once(self, adapter: LoggingStorageAdapter) -> None:
        """Of many pushes of a few versions at once, the winners are in the log, and only they."""
        pushes = [make_record("a1", 1 + each % 4, each) for each in range(_WRITERS)]
        conflicts = await asyncio.gather(
            *(try_push(adapter.push_event(STORE, each)) for each in pushes)
        )
        winners = [
            push for push, conflict in zip(pushes, conflicts, strict=True) if conflict is None
        ]
        logged = [each.record for each in await adapter.read_events()]
        assert winners == sorted(logged, key=pushes.index)

    async def test_a_reader_skips_nothing_while_others_write(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A reader that follows 32 writers sees each event once, at its final place.

        Half of the writers push groups, over two stores.
        """
        writers = asyncio.gather(*(self._write(adapter, each) for each in range(_WRITERS)))
        seen: list[LogEntry] = []
        while True:
            is_last = writers.done()
            after = seen[-1].position if seen else 0
            found = await adapter.read_events(after_position=after, limit=7)
            self._check_positions(found, after)
            seen.extend(found)
            if is_last and not found:
                break
            await asyncio.sleep(0)
        await writers
        log = list(await adapter.read_events(limit=1000))
        assert log == seen, "a reader that followed the log has not seen what is in it now"
        events = {(e.event_store_id, e.record.aggregate_id, e.record.version) for e in seen}
        assert 6 * _WRITERS == len(events) == len(seen)
        for writer in range(_WRITERS):
            mine = [e.record.version for e in seen if e.record.aggregate_id == f"a{writer}"]
            assert sorted(mine) == mine

    @requires("works_in_several_event_loops")
    async def test_the_log_in_another_event_loop(self, adapter: LoggingStorageAdapter) -> None:
        """What was pushed in one event loop is read in another."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        expected = list(await adapter.read_events())
        assert expected == await run_elsewhere(lambda: self._follow(adapter, limit=10))

    async def _write(self, adapter: LoggingStorageAdapter, writer: int) -> None:
        for each in make_records(f"a{writer}", 3):
            if writer % 2:
                group = [GroupedRecord(store, each, adapter) for store in (STORE, OTHER_STORE)]
                await adapter.push_event_group(group)
            else:
                await adapter.push_event(STORE, each)
                await adapter.push_event(OTHER_STORE, each)

    async def _follow(
        self,
        adapter: LoggingStorageAdapter,
        wanted: Sequence[str] | None = None,
        *,
        limit: int,
        after_position: int = 0,
    ) -> list[LogEntry]:
        seen: list[LogEntry] = []
        while True:
            found = await adapter.read_events(wanted, after_position, limit)
            self._check_positions(found, after_position)
            seen.extend(found)
            if not found:
                return seen
            after_position = found[-1].position

    def _check_positions(self, found: Sequence[LogEntry], after_position: int) -> None:
        positions = [after_position, *(each.position for each in found)]
        assert sorted(set(positions)) == positions
