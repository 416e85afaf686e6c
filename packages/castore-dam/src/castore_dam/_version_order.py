"""Keys that put the events of a scan in the order of their timestamps and versions."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from castore_core import LogEntry
from castore_dam._scan import EventScan, read_aggregate
from castore_dam._sorting import SortedEvent

_READ_AGAIN: Final = "\x01"
"""Begins the position of an event of a late aggregate, as no position of a log does."""

_Aggregate: TypeAlias = tuple[str, str]


class VersionOrder:
    """Gives keys to the events of one scan.

    A log may have a version before an earlier one of the same aggregate, where it allows gaps. Such
    aggregates are late: they are read again at the end, by version.

    Args:
        number: that of the scan.
        scan: gives the events.
    """

    def __init__(self, number: int, scan: EventScan) -> None:
        self._number = number
        self._scan = scan
        # The greatest version of each aggregate so far, and the latest moment of its events.
        self._last: dict[_Aggregate, tuple[int, datetime]] = {}
        self._late: set[_Aggregate] = set()

    def make_keys(self, events: Sequence[LogEntry]) -> Sequence[SortedEvent]:
        """Return the events of a page with their keys."""
        if self._scan.is_by_aggregate and events and _name(events[0]) not in self._last:
            self._last.clear()  # the aggregates before it are complete
        return [self._make_key(each) for each in events]

    @property
    def has_late(self) -> bool:
        """Whether some events are given twice."""
        return bool(self._late)

    def is_replaced(self, event: SortedEvent) -> bool:
        """Tell whether `read_late` gives the event again, at its right place."""
        return (
            event.number == self._number
            and not event.position.startswith(_READ_AGAIN)
            and _name(event.event) in self._late
        )

    async def read_late(self) -> AsyncGenerator[SortedEvent]:
        """Yield the events of late aggregates, with their keys."""
        for number, (store_id, aggregate_id) in enumerate(sorted(self._late)):
            adapter = self._scan.event_stores[store_id].get_storage_adapter()
            last, _ = self._last.pop((store_id, aggregate_id))
            async for record in read_aggregate(adapter, store_id, aggregate_id, max_version=last):
                position = f"{_READ_AGAIN}{number:016}#{record.version:016}"
                yield self._make_key(LogEntry(position, store_id, record))

    def _make_key(self, event: LogEntry) -> SortedEvent:
        position, store_id, record = event
        name = (store_id, record.aggregate_id)
        version, moment = record.version, record.timestamp
        if (last := self._last.get(name)) is not None:
            if version < last[0]:
                self._late.add(name)
                version = last[0]
            moment = max(moment, last[1])
        self._last[name] = version, moment
        return SortedEvent(moment, self._number, position, event)


def _name(event: LogEntry) -> _Aggregate:
    return event.event_store_id, event.record.aggregate_id
