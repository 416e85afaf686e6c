"""Event storage in memory: the smallest honest implementation of the contract."""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple, cast

from castore_core import (
    LOG_START,
    AggregateIdsSlice,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    ListedAggregate,
    LogEntry,
    LogPosition,
    LogSlice,
    VersionAssertionError,
    VersionGapError,
    check_log_query,
    format_position,
    parse_position,
)


class _Write(NamedTuple):
    adapter: "InMemoryEventStorageAdapter"
    event_store_id: str
    record: EventRecord


class InMemoryEventStorageAdapter:
    """Keeps events in this process: for tests, for trying things out, and as a model to read.

    It is an event storage and an event log. Values are copied in and out, so that nobody can
    change history. Groups are atomic over any number of these adapters. Use it from one event
    loop at a time.

    Each method lets other tasks go first, as a storage on a server would: those who race for a
    version meet conflicts here too.

    Args:
        initial_events: what it begins with, each event with the id of its event store. An aggregate
            may begin with a later version than 1.
        allow_gaps: whether a version can be pushed where the one before is missing.

    Raises:
        EventAlreadyExistsError: two of the initial events have one version.
    """

    def __init__(
        self,
        initial_events: Iterable[tuple[str, EventRecord]] = (),
        *,
        allow_gaps: bool = False,
    ) -> None:
        self._allow_gaps = allow_gaps
        self._aggregates: defaultdict[tuple[str, str], dict[int, LogEntry]] = defaultdict(dict)
        self._lists: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._log: list[LogEntry] = []
        self._waiters: set[asyncio.Future[None]] = set()
        for event_store_id, record in initial_events:
            self._refuse_taken(event_store_id, record)
            self._write(event_store_id, record.copy())

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write all the events of a group, or none: nothing is awaited between check and write."""
        writes = [
            _Write(_own(adapter), event_store_id, record.copy())
            for event_store_id, record, adapter in group
        ]
        await asyncio.sleep(0)
        for each in asserted:
            _own(each.storage_adapter)._check_version(each)
        if not force:
            self._refuse_conflicts(writes)
        for adapter, event_store_id, record in writes:
            adapter._write(event_store_id, record)

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[EventRecord]:
        """Read the events of an aggregate in the order of their versions."""
        await asyncio.sleep(0)
        entries = self._aggregates.get((event_store_id, aggregate_id), {})
        versions = [
            version
            for version in sorted(entries, reverse=reverse)
            if (min_version is None or version >= min_version)
            and (max_version is None or version <= max_version)
        ]
        return [entries[version].record.copy() for version in versions[:limit]]

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List the aggregates that have an event of version 1, ordered by its timestamp and id."""
        await asyncio.sleep(0)
        listed = self._lists.get(event_store_id, [])
        first, end = 0, len(listed)
        if initial_event_after is not None:
            first = bisect_left(listed, (initial_event_after, ""))
        if initial_event_before is not None:
            end = bisect_right(listed, initial_event_before, key=lambda place: place[0])
        if cursor is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor)
            place = (last.initial_event_timestamp, last.aggregate_id)
            if reverse:
                end = min(end, bisect_left(listed, place))
            else:
                first = max(first, bisect_right(listed, place))
        places = range(first, end)[::-1] if reverse else range(first, end)
        ahead = None if limit is None else limit + 1
        found = [_to_listed(listed[index]) for index in islice(places, ahead)]
        return AggregateIdsSlice.from_lookahead(found, limit)

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that follow a position, at most ``limit``, of some or all stores."""
        check_log_query(event_store_ids, limit)
        start = parse_position(after)
        await asyncio.sleep(0)
        found = [
            each._replace(record=each.record.copy())
            for each in islice(self._follow(event_store_ids, start), limit)
        ]
        if len(found) == limit:
            return LogSlice(found, found[-1].position)
        return LogSlice(found, max(after, self._get_last_position()))

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that precede a position, or the last ones, the latest first."""
        check_log_query(event_store_ids, limit)
        end = None if before is None else parse_position(before)
        await asyncio.sleep(0)
        found = [
            each._replace(record=each.record.copy())
            for each in islice(self._trace_back(event_store_ids, end), limit)
        ]
        return LogSlice(found, found[-1].position if len(found) == limit else LOG_START)

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log as of now."""
        await asyncio.sleep(0)
        return self._get_last_position()

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, or ``None`` where there is no such event."""
        await asyncio.sleep(0)
        entry = self._aggregates.get((event_store_id, aggregate_id), {}).get(version)
        return None if entry is None else entry.position

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count the events that follow a position, of some or all stores."""
        check_log_query(event_store_ids)
        start = parse_position(after)
        await asyncio.sleep(0)
        return sum(1 for _ in self._follow(event_store_ids, start))

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 its end is no error
        """Wait until an event follows a position, at most ``timeout`` seconds."""
        number = parse_position(after)
        await asyncio.sleep(0)
        if len(self._log) > number:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=max(timeout, 0))
        finally:
            self._waiters.discard(waiter)

    def _follow(self, event_store_ids: Sequence[str] | None, start: int) -> Iterable[LogEntry]:
        following = islice(self._log, start, None)
        if event_store_ids is None:
            return following
        return (each for each in following if each.event_store_id in event_store_ids)

    def _trace_back(
        self, event_store_ids: Sequence[str] | None, before: int | None
    ) -> Iterable[LogEntry]:
        end = len(self._log) if before is None else min(max(before - 1, 0), len(self._log))
        preceding = (self._log[index] for index in range(end)[::-1])
        if event_store_ids is None:
            return preceding
        return (each for each in preceding if each.event_store_id in event_store_ids)

    def _get_last_position(self) -> LogPosition:
        return self._log[-1].position if self._log else LOG_START

    def _check_version(self, asserted: AssertedVersion) -> None:
        event_store_id, aggregate_id, version, _ = asserted
        entries = self._aggregates.get((event_store_id, aggregate_id), {})
        if max(entries, default=0) != version:
            raise VersionAssertionError(event_store_id, aggregate_id, version)

    @staticmethod
    def _refuse_conflicts(writes: Sequence[_Write]) -> None:
        """Refuse events whose version is taken, or whose version before is missing."""
        ahead: set[tuple[int, str, str, int]] = set()
        for adapter, event_store_id, record in writes:
            adapter._refuse_taken(event_store_id, record)
            aggregate = (id(adapter), event_store_id, record.aggregate_id)
            if (*aggregate, record.version - 1) not in ahead:
                adapter._refuse_gap(event_store_id, record)
            ahead.add((*aggregate, record.version))

    def _refuse_taken(self, event_store_id: str, record: EventRecord) -> None:
        if self._has(event_store_id, record.aggregate_id, record.version):
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)

    def _refuse_gap(self, event_store_id: str, record: EventRecord) -> None:
        if self._allow_gaps or record.version == 1:
            return
        if not self._has(event_store_id, record.aggregate_id, record.version - 1):
            raise VersionGapError(event_store_id, record.aggregate_id, record.version)

    def _has(self, event_store_id: str, aggregate_id: str, version: int) -> bool:
        return version in self._aggregates.get((event_store_id, aggregate_id), {})

    def _write(self, event_store_id: str, record: EventRecord) -> None:
        entries = self._aggregates[event_store_id, record.aggregate_id]
        replaced = entries.get(record.version)
        number = len(self._log) + 1 if replaced is None else parse_position(replaced.position)
        entry = LogEntry(format_position(number), event_store_id, record)
        entries[record.version] = entry
        self._log[number - 1 : number] = [entry]  # appended, or in the old one's place
        if record.version == 1:
            self._list(entry, replaced)
        for each in self._waiters:
            if not each.done() and not each.get_loop().is_closed():
                each.set_result(None)

    def _list(self, entry: LogEntry, replaced: LogEntry | None) -> None:
        listed = self._lists[entry.event_store_id]
        if replaced is not None:
            listed.remove(_place(replaced))
        insort(listed, _place(entry))


def _place(entry: LogEntry) -> tuple[datetime, str]:
    return entry.record.timestamp, entry.record.aggregate_id


def _to_listed(place: tuple[datetime, str]) -> ListedAggregate:
    timestamp, aggregate_id = place
    return ListedAggregate(aggregate_id, timestamp)


def _own(storage_adapter: object) -> InMemoryEventStorageAdapter:
    # The core gives a group to adapters of one class only.
    return cast("InMemoryEventStorageAdapter", storage_adapter)
