"""The event log contract: positions, and how far a read has looked."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from castore_core import (
    LOG_START,
    GroupedRecord,
    InvalidLogPositionError,
    LogPosition,
    LogSlice,
    StorageError,
)
from castore_test_tools._contract import requires
from castore_test_tools._event_log_base import (
    EventLogContract,
    LoggingStorageAdapter,
    check_slice,
    follow_log,
    read_log,
)
from castore_test_tools._running import call, push_all, push_in_order, thaw
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_MANY = 300  # more than the digits of a number that is written without zeros in front can sort
_FEW = 12

Use: TypeAlias = Callable[[LoggingStorageAdapter, LogPosition], Awaitable[Any]]

_USES_OF_A_POSITION: Final[dict[str, Use]] = {
    "read_events": lambda log, position: log.read_events(after=position),
    "count_events": lambda log, position: log.count_events(after=position),
    "wait_for_events": lambda log, position: log.wait_for_events(position, 0.05),
}
_USES: Final[dict[str, Use]] = {
    "read_events": lambda log, position: log.read_events(after=position),
    "get_last_position": lambda log, _: log.get_last_position(),
    "find_position": lambda log, _: log.find_position(STORE, "a1", 1),
    "count_events": lambda log, _: log.count_events(),
}


class PositionsContract(EventLogContract):
    """Positions are texts that sort as the log is ordered, and tell a reader where to go on."""

    async def test_positions_sort_as_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """Positions are texts after that of the start, and Python sorts them as the log is."""
        singles = [make_record(f"a{number}") for number in range(_MANY - _FEW)]
        await push_all(adapter, STORE, singles)
        group = [GroupedRecord(OTHER_STORE, each, adapter) for each in make_records("a1", 3)]
        await adapter.push_event_group(group)
        await push_in_order(adapter, OTHER_STORE, make_records("a2", _FEW - len(group)))
        positions = [each.position for each in await read_log(adapter, limit=2 * _MANY)]
        assert [str] * _MANY == [type(each) for each in positions]
        assert min(positions) > LOG_START
        assert sorted(set(positions)) == positions

    async def test_a_full_slice_ends_with_its_last_entry(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A read that found as many entries as it may says to go on after the last of them."""
        for number in range(_FEW):
            store_id = OTHER_STORE if number % 3 else STORE
            await adapter.push_event(store_id, make_record(f"a{number}"))
        for limit in range(1, _FEW + 2):
            for wanted in (None, [STORE], [OTHER_STORE]):
                found = await adapter.read_events(wanted, limit=limit)
                check_slice(found, LOG_START, limit)

    async def test_the_end_of_the_log(self, adapter: LoggingStorageAdapter) -> None:
        """A read returns the position that it was given where nothing follows, and only there."""
        await push_in_order(adapter, STORE, make_records("a1", 4))
        *others, last = [each.position for each in await read_log(adapter)]
        for wanted in (None, [STORE], [OTHER_STORE]):
            for each in (LOG_START, *others):
                assert each != (await adapter.read_events(wanted, each)).position
            end = await adapter.read_events(wanted, last)
            assert LogSlice([], last) == end._replace(entries=[*end.entries])

    async def test_a_reader_of_a_quiet_store_comes_to_the_end(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """The position moves over the events of other stores, until nothing follows it at all."""
        await adapter.push_event(STORE, make_record())
        (entry,) = await read_log(adapter)
        await push_all(adapter, OTHER_STORE, [make_record(f"a{each}") for each in range(_FEW)])
        entries, end = await follow_log(adapter, [STORE], after=entry.position, limit=2)
        assert [] == list(entries)
        assert end > entry.position
        assert [] == await read_log(adapter, after=end)

    async def test_a_reader_of_a_quiet_store_finds_its_next_event(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A read that found nothing has not looked further than the log went."""
        end = LOG_START
        for number, record in enumerate(make_records("a1", _FEW)):
            await adapter.push_event(OTHER_STORE, make_record(f"a{number}"))
            end = (await follow_log(adapter, [STORE], after=end)).position
            await adapter.push_event(STORE, record)
            entries, end = await follow_log(adapter, [STORE], after=end)
            assert [record] == [each.record for each in entries]

    @pytest.mark.parametrize("use", _USES_OF_A_POSITION.values(), ids=_USES_OF_A_POSITION)
    async def test_a_foreign_position_is_refused(
        self, adapter: LoggingStorageAdapter, use: Use
    ) -> None:
        """A position of another kind of log is no place in this one, be it empty or not."""
        for position in ("not a position", "~"):
            with pytest.raises(InvalidLogPositionError) as caught:
                await use(adapter, position)
            assert position == caught.value.position
        await adapter.push_event(STORE, make_record())
        for position in ("not a position", "~"):
            with pytest.raises(InvalidLogPositionError):
                await use(adapter, position)

    async def test_a_refused_position_pickles(self, adapter: LoggingStorageAdapter) -> None:
        """The error keeps its type and values from process to process."""
        with pytest.raises(InvalidLogPositionError) as caught:
            await adapter.read_events(after="not a position")
        thawed = thaw(caught.value)
        assert (type(caught.value), caught.value.args) == (type(thawed), thawed.args)
        assert "not a position" == thawed.position

    # The last position

    async def test_the_last_position_of_an_empty_log(self, adapter: LoggingStorageAdapter) -> None:
        """A log without events ends where it starts."""
        assert LOG_START == await adapter.get_last_position()

    async def test_nothing_follows_the_last_position(self, adapter: LoggingStorageAdapter) -> None:
        """All events are at the last position or before it, whichever store they are of."""
        await push_all(adapter, STORE, [make_record(f"a{each}") for each in range(_FEW)])
        await push_in_order(adapter, OTHER_STORE, make_records("a1", 2))
        last = await adapter.get_last_position()
        assert [] == await read_log(adapter, after=last)
        assert last >= max(each.position for each in await read_log(adapter))

    async def test_later_events_follow_the_last_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A reader that begins at the end as of now is given all that is pushed from now on."""
        records = make_records("a1", _FEW)
        for count, each in enumerate(records):
            last = await adapter.get_last_position()
            await adapter.push_event(STORE, each)
            found = [entry.record for entry in await read_log(adapter, after=last)]
            assert [each] == found, f"the log had {count} events"

    async def test_force_moves_nothing_behind_the_last_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A replaced event is not pushed from now on: it stays where it was."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        last = await adapter.get_last_position()
        await adapter.push_event(STORE, make_record("a1", 2, "new"), force=True)
        group = [GroupedRecord(STORE, make_record("a1", each, "new"), adapter) for each in (1, 3)]
        await adapter.push_event_group(group, force=True)
        assert [] == await read_log(adapter, after=last)

    # The position of an event

    async def test_the_position_of_an_event(self, adapter: LoggingStorageAdapter) -> None:
        """An event is found at the position that readers of the log are given."""
        for store_id in (STORE, OTHER_STORE):
            for name in ("a1", "a2"):
                await push_in_order(adapter, store_id, make_records(name, 2))
        entries = await read_log(adapter)
        found = [
            await adapter.find_position(store_id, record.aggregate_id, record.version)
            for _, store_id, record in entries
        ]
        assert [each.position for each in entries] == found

    async def test_an_event_without_a_position(self, adapter: LoggingStorageAdapter) -> None:
        """An event that is not there has none, whether its store, aggregate or version is unknown.

        The parts of other events do not make one.
        """
        await push_in_order(adapter, STORE, make_records("a1", 2))
        await adapter.push_event(OTHER_STORE, make_record("a2"))
        places = [("NOTE", "a1", 1), (STORE, "a", 1), (STORE, "a1", 3), (STORE, "a2", 1)]
        found = [await adapter.find_position(*each) for each in places]
        assert [None] * len(places) == found

    async def test_force_keeps_the_position_of_an_event(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A replaced event is found where the old one was."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        before = await adapter.find_position(STORE, "a1", 2)
        assert before is not None
        await adapter.push_event(STORE, make_record("a1", 2, "new"), force=True)
        assert before == await adapter.find_position(STORE, "a1", 2)

    # The backend

    @requires("connect_again")
    async def test_another_adapter_reads_the_log(
        self, adapter: LoggingStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """Positions belong to the log: another adapter on the same client goes on from them."""
        await push_in_order(adapter, STORE, make_records("a1", 3))
        other = await call(connect_again)
        entries = await read_log(adapter)
        assert entries == await read_log(other)
        assert entries[1:] == await read_log(other, after=entries[0].position)
        assert entries[-1].position == await other.find_position(STORE, "a1", 3)
        last = await other.get_last_position()
        await adapter.push_event(STORE, make_record("a1", 4))
        assert [4] == [each.record.version for each in await read_log(other, after=last)]

    @requires("connect_again")
    async def test_the_log_is_read_anew(
        self, adapter: LoggingStorageAdapter, connect_again: Callable[[], Any]
    ) -> None:
        """An adapter that has read the log, and its end, sees what another one pushes later.

        An event that the other one replaces is new for it, too.
        """
        other = await call(connect_again)
        for version in (1, 2):
            end = await adapter.get_last_position()
            assert version - 1 == len(await read_log(adapter)) == await adapter.count_events()
            assert None is await adapter.find_position(STORE, "a1", version)
            await other.push_event(STORE, make_record("a1", version))
            assert version == await adapter.count_events()
            entries = await read_log(adapter)
            assert [*range(1, version + 1)] == [each.record.version for each in entries]
            assert entries[-1:] == await read_log(adapter, after=end)
            positions = [await adapter.find_position(STORE, "a1", version)]
            positions.append(await adapter.get_last_position())
            assert [entries[-1].position] * 2 == positions
        new = make_record("a1", 1, "new")
        await other.push_event(STORE, new, force=True)
        assert [new] == [each.record for each in (await read_log(adapter))[:1]]

    @requires("break_backend")
    @pytest.mark.parametrize("use", _USES.values(), ids=_USES)
    async def test_failures_of_the_log_are_translated(
        self, adapter: LoggingStorageAdapter, break_backend: Callable[[], Any], use: Use
    ) -> None:
        """An error of the backend is the cause of a `StorageError`, that pickles."""
        await call(break_backend)
        with pytest.raises(StorageError) as caught:
            await use(adapter, LOG_START)
        assert caught.value.__cause__ is not None, "raise StorageError(...) from error"
        thawed = thaw(caught.value)
        assert (type(caught.value), str(caught.value)) == (type(thawed), str(thawed))
