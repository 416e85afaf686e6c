"""Keys that put the events of a scan in the order of their timestamps and versions."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from castore_dam._scan import EventScan, ScannedEvent, read_aggregate
from castore_dam._sorting import SortedEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_READ_AGAIN: Final = ""
"""Begins the place of an event of a late aggregate, as no place of a scan does."""

_Aggregate: TypeAlias = tuple[str, str]


class _Last(NamedTuple):
    """The greatest version of an aggregate so far, and the latest moment of its events."""

    version: int
    milliseconds: int


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
        self._last: dict[_Aggregate, _Last] = {}
        self._late: set[_Aggregate] = set()

    def make_keys(self, events: Sequence[ScannedEvent]) -> Sequence[SortedEvent]:
        """Return the events of a page with their keys."""
        if self._scan.is_by_aggregate and events and _name(events[0]) not in self._last:
            self._last.clear()  # the aggregates before it are complete
        return [self._make_key(each) for each in events]

    def is_replaced(self, event: SortedEvent) -> bool:
        """Tell whether `read_late` gives the event again, at its right place."""
        return bool(self._late) and (
            event.key[1] == self._number
            and event.key[2][0] != _READ_AGAIN
            and (event.event_store_id, event.record.aggregate_id) in self._late
        )

    async def read_late(self) -> AsyncGenerator[SortedEvent]:
        """Yield the events of late aggregates, with their keys."""
        for store_id, aggregate_id in sorted(self._late):
            adapter = self._scan.event_stores[store_id].get_storage_adapter()
            last = self._last.pop((store_id, aggregate_id)).version
            async for record in read_aggregate(adapter, store_id, aggregate_id, max_version=last):
                place = (_READ_AGAIN, store_id, aggregate_id, f"{record.version:016}")
                yield self._make_key(ScannedEvent(store_id, record, place))

    def _make_key(self, event: ScannedEvent) -> SortedEvent:
        name = _name(event)
        record = event.record
        own = (record.timestamp - _EPOCH) // _MILLISECOND
        last = self._last.get(name)
        if last is None:
            last = _Last(record.version, own)
        elif record.version < last.version:
            self._late.add(name)
        else:
            last = _Last(record.version, max(own, last.milliseconds))
        self._last[name] = last
        return SortedEvent(
            (last.milliseconds, self._number, event.place), event.event_store_id, record
        )


def _name(event: ScannedEvent) -> _Aggregate:
    return event.event_store_id, event.record.aggregate_id
