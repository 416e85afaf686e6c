"""Event storage in memory: the smallest honest implementation of the contract."""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import cast

from castore_core import (
    AggregateIdsSlice,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    ListedAggregate,
    LogEntry,
)
from castore_in_memory._copy import copy_json

_position = attrgetter("position")


class InMemoryEventStorageAdapter:
    """Keeps events in this process: for tests, for trying things out, and as a model to read.

    It is an event storage and an event log. Values are copied in and out, so that nobody can
    change history. Groups are atomic over any number of these adapters. Use it from one event
    loop at a time.

    Each method lets other tasks go first, as a storage on a server would: those who race for a
    version meet conflicts here too.

    It may begin with ``initial_events``, each with the id of its event store.

    Raises:
        EventAlreadyExistsError: two of them have one version.
    """

    def __init__(self, initial_events: Iterable[tuple[str, EventRecord]] = ()) -> None:
        self._aggregates: defaultdict[tuple[str, str], dict[int, LogEntry]] = defaultdict(dict)
        self._lists: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._log: list[LogEntry] = []
        for event_store_id, record in initial_events:
            self._refuse_taken(event_store_id, record)
            self._write(event_store_id, _copy_record(record))

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write all the events of a group, or none: nothing is awaited between check and write."""
        writes = [
            (_own(each.storage_adapter), each.event_store_id, _copy_record(each.record))
            for each in group
        ]
        await asyncio.sleep(0)
        if not force:
            for adapter, event_store_id, record in writes:
                adapter._refuse_taken(event_store_id, record)
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
        return [_copy_record(entries[version].record) for version in versions[:limit]]

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
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Read the events that follow a position, at most ``limit``, of some or all stores."""
        await asyncio.sleep(0)
        following = islice(self._log, bisect_right(self._log, after_position, key=_position), None)
        wanted = (
            each
            for each in following
            if event_store_ids is None or each.event_store_id in event_store_ids
        )
        return [each._replace(record=_copy_record(each.record)) for each in islice(wanted, limit)]

    def _refuse_taken(self, event_store_id: str, record: EventRecord) -> None:
        if record.version in self._aggregates.get((event_store_id, record.aggregate_id), {}):
            raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)

    def _write(self, event_store_id: str, record: EventRecord) -> None:
        entries = self._aggregates[event_store_id, record.aggregate_id]
        replaced = entries.get(record.version)
        position = len(self._log) + 1 if replaced is None else replaced.position
        entry = LogEntry(position, event_store_id, record)
        entries[record.version] = entry
        if replaced is None:
            self._log.append(entry)
        else:
            self._log[position - 1] = entry
        if record.version == 1:
            self._list(entry, replaced)

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


def _copy_record(record: EventRecord) -> EventRecord:
    return record._replace(
        payload=copy_json(record.payload),
        metadata=copy_json(record.metadata),
    )
