"""Scans: all the stored events of event stores, page by page, as records.

Stores whose storage adapter is a log are read through it, all of one log together. The aggregates
of the others are listed, and read a few at a time.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

from castore_core import (
    LOG_START,
    EventLog,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    JSONValue,
    ListedAggregate,
    LogEntry,
    LogPosition,
    format_timestamp,
    is_event_log,
)
from castore_core.workers import check_whole
from castore_dam._concurrency import map_in_order
from castore_dam._event_stores import check_event_stores

PAGE = 500
"""The most events that are read at once."""

_LISTED = 100


class ScanPage(NamedTuple):
    """Some events, and the mark after which the scan goes on in another process.

    The position of an event is a text that sorts as its scan is ordered, as far as two events of
    one aggregate go.
    """

    events: Sequence[LogEntry]
    mark: JSONValue


class EventScan(Protocol):
    """The events of one or several stores, those of an aggregate in the order of the scan.

    Attributes:
        event_stores: the stores, by their ids.
        end: the end of the scan, which another process is given to scan the same events; ``None``
            where it has no end that can be kept.
        is_by_aggregate: whether the events of an aggregate follow each other.
    """

    event_stores: Mapping[str, EventStore]
    end: JSONValue
    is_by_aggregate: bool

    def read(self, after: JSONValue = None) -> AsyncGenerator[ScanPage]:
        """Yield the events that follow a mark, page by page. Close the generator."""
        ...


class LogScan:
    """The events of the stores of one log, in its order, up to an end.

    Args:
        event_stores: the stores.
        log: has their events.
        end: the last position to read.
    """

    is_by_aggregate = False

    def __init__(self, event_stores: Sequence[EventStore], log: EventLog, end: LogPosition) -> None:
        self.event_stores: Mapping[str, EventStore] = {
            each.event_store_id: each for each in event_stores
        }
        self.end: JSONValue = end
        self._log = log
        self._end = end

    async def read(self, after: JSONValue = None) -> AsyncGenerator[ScanPage]:
        """Yield the events that follow a position, page by page."""
        ids = tuple(self.event_stores)
        position = cast("LogPosition", after or LOG_START)
        while position < self._end:
            found = await self._log.read_events(ids, position, PAGE)
            if found.position == position:  # the end was that of events of other stores
                return
            position = min(found.position, self._end)
            events = found.entries
            if position == self._end:
                events = [each for each in events if each.position <= self._end]
            yield ScanPage(events, position)


class _Mark(NamedTuple):
    """The last event that was read, and the cursor to the page that listed its aggregate."""

    cursor: JSONValue = None
    began_at: str = ""
    aggregate_id: str = ""
    version: int = 0

    def find_place(self, aggregates: Sequence[ListedAggregate]) -> int:
        """Return how many aggregates of a page were read before that of the mark.

        Aggregates that began earlier, and came later, may have moved it to another page.
        """
        for index, each in enumerate(aggregates):
            if each.aggregate_id == self.aggregate_id:
                return index
        return sum(
            format_timestamp(each.initial_event_timestamp) < self.began_at for each in aggregates
        )


class _Listed(NamedTuple):
    cursor: JSONValue
    aggregate: ListedAggregate
    first_version: int

    def to_mark(self, version: int) -> JSONValue:
        """Return the mark of an event."""
        aggregate_id, began_at = self.aggregate
        return [self.cursor, format_timestamp(began_at), aggregate_id, version]


class ListScan:
    """The events of one store, aggregate by aggregate, in the order of their initial events.

    Aggregates without an event of version 1 are not listed, and so not scanned.

    Args:
        event_store: the store.
        at_once: how many aggregates are read at a time.
        until: aggregates that began later are left out.
    """

    is_by_aggregate = True

    def __init__(
        self, event_store: EventStore, *, at_once: int, until: datetime | None = None
    ) -> None:
        self.event_stores: Mapping[str, EventStore] = {event_store.event_store_id: event_store}
        self.end: JSONValue = None
        self._id = event_store.event_store_id
        self._adapter = event_store.get_storage_adapter()
        self._at_once = at_once
        self._until = until

    async def read(self, after: JSONValue = None) -> AsyncGenerator[ScanPage]:
        """Yield the events that follow a mark; a page has those of one aggregate."""
        mark = _Mark(*cast("tuple[Any, str, str, int]", after)) if after else _Mark()
        listed = self._list(mark)
        async with (
            aclosing(listed),
            aclosing(map_in_order(self._begin, listed, at_once=self._at_once)) as begun,
        ):
            async for each, first in begun:
                records = first
                while records:
                    last = records[-1].version
                    yield ScanPage([*map(self._to_entry, records)], each.to_mark(last))
                    records = await self._read_more(each.aggregate.aggregate_id, len(records), last)

    async def _list(self, mark: _Mark) -> AsyncGenerator[_Listed]:
        cursor = mark.cursor
        while True:
            found = await self._adapter.list_aggregate_ids(
                self._id, limit=_LISTED, initial_event_before=self._until, cursor=cursor
            )
            for each in found.aggregates[mark.find_place(found.aggregates) :]:
                is_marked = each.aggregate_id == mark.aggregate_id
                yield _Listed(cursor, each, mark.version + 1 if is_marked else 1)
            if found.cursor is None:
                return
            cursor = found.cursor

    async def _begin(self, listed: _Listed) -> tuple[_Listed, Sequence[EventRecord]]:
        return listed, await self._read(listed.aggregate.aggregate_id, listed.first_version)

    async def _read_more(self, aggregate_id: str, count: int, last: int) -> Sequence[EventRecord]:
        return await self._read(aggregate_id, last + 1) if count == PAGE else ()

    async def _read(self, aggregate_id: str, version: int) -> Sequence[EventRecord]:
        return await self._adapter.get_events(
            self._id, aggregate_id, min_version=version, limit=PAGE
        )

    def _to_entry(self, record: EventRecord) -> LogEntry:
        position = f"{record.aggregate_id}#{record.version:016}"
        return LogEntry(position, self._id, record)


async def read_aggregate(
    adapter: EventStorageAdapter,
    event_store_id: str,
    aggregate_id: str,
    *,
    min_version: int = 1,
    max_version: int | None = None,
) -> AsyncGenerator[EventRecord]:
    """Yield the events of an aggregate, read page by page."""
    first: int | None = min_version
    while first is not None:
        records = await adapter.get_events(
            event_store_id, aggregate_id, min_version=first, max_version=max_version, limit=PAGE
        )
        for each in records:
            yield each
        first = records[-1].version + 1 if len(records) == PAGE else None


async def open_scans(
    event_stores: Iterable[EventStore],
    *,
    at_once: int,
    until: datetime | None = None,
    ends: Sequence[JSONValue] | None = None,
) -> Sequence[EventScan]:
    """Return scans of all the events that are stored now: one for each log, and for each list.

    Args:
        event_stores: the stores.
        at_once: how many aggregates are read at a time, where there is no log.
        until: aggregates that began later may be left out.
        ends: the ends of the scans of the same stores in an earlier process.

    Raises:
        TypeError, ValueError: these are no event stores, or two have one id.
        UndefinedStorageAdapterError: a store has no storage adapter.
    """
    stores = check_event_stores(event_stores)
    check_whole("at_once", at_once, 1)
    groups = _group(stores)
    known = ends or [None] * len(groups)
    return [
        await _open_scan(group, at_once, until, end)
        for group, end in zip(groups, known, strict=True)
    ]


def describe_scans(event_stores: Sequence[EventStore]) -> JSONValue:
    """Return what each scan of `open_scans` reads. The marks of other scans mean nothing to it.

    Raises:
        UndefinedStorageAdapterError: a store has no storage adapter.
    """
    return [
        [_name_kind(group[0]), *(each.event_store_id for each in group)]
        for group in _group(event_stores)
    ]


def _group(event_stores: Sequence[EventStore]) -> Sequence[Sequence[EventStore]]:
    """Return the stores of each log together, and the others one by one."""
    groups: dict[tuple[int, str], list[EventStore]] = {}
    for each in event_stores:
        adapter = each.get_storage_adapter()
        key = "" if is_event_log(adapter) else each.event_store_id
        groups.setdefault((id(adapter), key), []).append(each)
    return [*groups.values()]


def _name_kind(event_store: EventStore) -> str:
    return "log" if is_event_log(event_store.get_storage_adapter()) else "list"


async def _open_scan(
    stores: Sequence[EventStore], at_once: int, until: datetime | None, end: JSONValue
) -> EventScan:
    adapter = stores[0].get_storage_adapter()
    if is_event_log(adapter):
        position = await adapter.get_last_position() if end is None else str(end)
        return LogScan(stores, adapter, position)
    return ListScan(stores[0], at_once=at_once, until=until)
