"""The event log contract: readers that follow a log while others write to it."""

import asyncio
from collections.abc import Sequence

import pytest

from castore_core import LOG_START, EventRecord, GroupedRecord, LogEntry, LogPosition
from castore_test_tools._contract import requires
from castore_test_tools._event_log_base import (
    EventLogContract,
    LoggingStorageAdapter,
    check_slice,
    read_log,
)
from castore_test_tools._running import (
    CANCELLED_AFTER,
    cancel_read,
    push_in_order,
    run_in_several_loops,
    try_push,
)
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_WRITERS = 32
_READERS = 10
_LIMIT = 7
_QUIET = "DIARIES"
_QUIET_WRITERS = 4


class LogReadersContract(EventLogContract):
    """Nothing appears behind a reader, and nothing is skipped."""

    async def test_concurrent_pushes_are_logged_once(self, adapter: LoggingStorageAdapter) -> None:
        """Of many pushes of a few aggregates at once, the winners are in the log, and only they."""
        pushes = [make_record(f"a{each % 4}", 1, each) for each in range(_WRITERS)]
        conflicts = await asyncio.gather(
            *(try_push(adapter.push_event(STORE, each)) for each in pushes)
        )
        winners = [
            push for push, conflict in zip(pushes, conflicts, strict=True) if conflict is None
        ]
        logged = [each.record for each in await read_log(adapter)]
        assert winners == sorted(logged, key=pushes.index)

    async def test_a_reader_skips_nothing_while_others_write(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A reader that follows 32 writers sees each event once, at its final place.

        Half of the writers push groups, over two stores.
        """
        writers = self._start_writers(adapter)
        seen = await self._follow(adapter, None, _LIMIT, writers)
        await writers
        log = await read_log(adapter, limit=1000)
        assert log == seen, "a reader that followed the log has not seen what is in it now"
        events = {(e.event_store_id, e.record.aggregate_id, e.record.version) for e in seen}
        assert 6 * _WRITERS + _QUIET_WRITERS == len(events) == len(seen)
        for place in {(each.event_store_id, each.record.aggregate_id) for each in seen}:
            versions = [e.record.version for e in seen if (e[1], e.record.aggregate_id) == place]
            assert sorted(versions) == versions

    async def test_readers_of_some_stores_skip_nothing_while_others_write(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """Readers of a quiet store and of busy ones see each of their events once, in its place.

        How far they have looked never goes back, and comes to the end when the writers do.
        """
        writers = self._start_writers(adapter)
        wanted = ([_QUIET], [_QUIET, OTHER_STORE], [STORE], ["NOBODY"])
        limits = (_LIMIT, _LIMIT, 1000, 1)  # for readers that keep up, and others
        seen = await asyncio.gather(
            *(self._follow(adapter, *each, writers) for each in zip(wanted, limits, strict=True))
        )
        await writers
        log = await read_log(adapter, limit=1000)
        expected = [[e for e in log if e.event_store_id in each] for each in wanted]
        assert expected == list(seen)
        busy = 3 * _WRITERS
        assert [_QUIET_WRITERS, _QUIET_WRITERS + busy, busy, 0] == [len(each) for each in seen]

    async def test_events_pushed_from_now_on_follow_the_last_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """A last position that was taken while 32 writers push loses no push that begins later."""
        begun: list[tuple[str, int]] = []
        taken: list[tuple[LogPosition, int]] = []

        async def push(records: Sequence[EventRecord]) -> None:
            for each in records:
                begun.append((each.aggregate_id, each.version))
                await adapter.push_event(STORE, each)

        writers = asyncio.gather(*(push(make_records(f"a{each}", 3)) for each in range(_WRITERS)))
        while not writers.done():
            position = await adapter.get_last_position()
            taken.append((position, len(begun)))
            await asyncio.sleep(0)
        await writers
        log = await read_log(adapter, limit=1000)
        for position, count in taken:
            found = {e.record[:2] for e in log if e.position > position}
            assert set(begun[count:]) <= found, f"{position!r} is behind a push that began later"

    async def test_nothing_appears_before_a_last_position(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """The log up to a last position that was taken while others write is final."""
        writers = self._start_writers(adapter)
        taken: list[tuple[LogPosition, list[LogEntry]]] = []
        while not writers.done():
            position = await adapter.get_last_position()
            taken.append((position, await read_log(adapter, limit=1000)))
            await asyncio.sleep(0)
        await writers
        log = await read_log(adapter, limit=1000)
        for position, read in taken:
            expected = [each for each in log if each.position <= position]
            assert expected == [each for each in read if each.position <= position]

    @requires("works_in_several_event_loops", "works_in_several_event_loops_at_once")
    async def test_readers_of_several_event_loops(self, adapter: LoggingStorageAdapter) -> None:
        """Readers and writers in three event loops at a time see what each of them pushes."""
        await push_in_order(adapter, STORE, make_records("a1", 3))

        async def write_and_read(loop: int) -> list[list[LogEntry]]:
            await adapter.push_event(STORE, make_record(f"of {loop}"))
            return await asyncio.gather(*(read_log(adapter, limit=2) for _ in range(_READERS)))

        reads = await run_in_several_loops(write_and_read)
        log = await read_log(adapter)
        for number, of_loop in enumerate(reads):
            for read in of_loop:
                assert log[: len(read)] == read
                assert f"of {number}" in {each.record.aggregate_id for each in read}

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_read_of_the_log(
        self, adapter: LoggingStorageAdapter, steps: int
    ) -> None:
        """A read that is cancelled raises `CancelledError`, unless it has returned before."""
        await adapter.push_event(STORE, make_record())
        await cancel_read(adapter.read_events(), steps)
        await cancel_read(adapter.get_last_position(), steps)
        await cancel_read(adapter.find_position(STORE, "a1", 1), steps)
        await cancel_read(adapter.count_events(), steps)
        assert [make_record()] == [each.record for each in await read_log(adapter)]

    def _start_writers(self, adapter: LoggingStorageAdapter) -> "asyncio.Future[list[None]]":
        return asyncio.gather(*(self._write(adapter, each) for each in range(_WRITERS)))

    async def _write(self, adapter: LoggingStorageAdapter, writer: int) -> None:
        for each in make_records(f"a{writer}", 3):
            if writer % 2:
                group = [GroupedRecord(store, each, adapter) for store in (STORE, OTHER_STORE)]
                await adapter.push_event_group(group)
            else:
                await adapter.push_event(STORE, each)
                await adapter.push_event(OTHER_STORE, each)
        if writer % (_WRITERS // _QUIET_WRITERS) == 0:
            await adapter.push_event(_QUIET, make_record(f"a{writer}", 1, "quiet"))

    async def _follow(
        self,
        adapter: LoggingStorageAdapter,
        wanted: Sequence[str] | None,
        limit: int,
        writers: "asyncio.Future[list[None]]",
    ) -> list[LogEntry]:
        """Follow a log until nothing follows after the writers are done."""
        seen: list[LogEntry] = []
        position = LOG_START
        while True:
            is_last = writers.done()
            found = await adapter.read_events(wanted, position, limit)
            check_slice(found, position, limit)
            seen.extend(found.entries)
            if is_last and found.position == position:
                return seen
            position = found.position
            await asyncio.sleep(0)
