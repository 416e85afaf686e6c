"""Counts of what was poured and scanned, which a checkpoint keeps."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from castore_core import EventRecord, JSONValue, ListedAggregate, LogEntry
from castore_dam._filters import TimestampFilter
from castore_dam._results import PouredEvent, ScannedAggregates


class PourTally:
    """How many events were poured, and the first and last of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: PouredEvent | None = None
        self.last: PouredEvent | None = None

    def add(self, events: Sequence[tuple[str, EventRecord]]) -> None:
        """Count a batch of events of stores."""
        self.count += len(events)
        if events:
            self.first = self.first or PouredEvent.of(*events[0])
            self.last = PouredEvent.of(*events[-1])

    def to_json(self) -> JSONValue:
        """Return JSON values of it."""
        return [self.count, *(each and each.to_json() for each in (self.first, self.last))]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the tally of JSON values."""
        tally = cls()
        tally.count, *ends = value
        tally.first, tally.last = [each and PouredEvent.from_json(each) for each in ends]
        return tally


class ScanTally:
    """The first and last aggregates of each store that were scanned.

    Args:
        event_store_ids: the stores.
        wanted: aggregates that began after its end are not scanned.
    """

    def __init__(self, event_store_ids: Iterable[str], wanted: TimestampFilter) -> None:
        self._until = wanted.end
        self._ends: dict[str, list[ListedAggregate]] = {each: [] for each in event_store_ids}

    def see(self, events: Iterable[LogEntry]) -> None:
        """Note the aggregates of initial events."""
        for each in events:
            if each.record.version == 1:
                self._add(each.event_store_id, each.record)

    def _add(self, event_store_id: str, record: EventRecord) -> None:
        if self._until is not None and record.timestamp > self._until:
            return
        ends = self._ends[event_store_id]
        ends.append(ListedAggregate(record.aggregate_id, record.timestamp))
        if len(ends) > 2:  # noqa: PLR2004 the first and the last
            ends.sort(key=_by_timestamp)
            del ends[1:-1]

    def get_scans(self) -> dict[str, ScannedAggregates]:
        """Return what was scanned, by the id of the store."""
        return {each: _to_scanned(ends) for each, ends in self._ends.items()}

    def to_json(self) -> JSONValue:
        """Return JSON values of it."""
        return {
            store_id: [each.to_cursor() for each in ends] for store_id, ends in self._ends.items()
        }

    def restore(self, value: Any) -> None:
        """Take the values of `to_json`."""
        self._ends = {
            store_id: [ListedAggregate.from_cursor(store_id, each) for each in ends]
            for store_id, ends in value.items()
        }


def _by_timestamp(aggregate: ListedAggregate) -> tuple[Any, str]:
    return aggregate.initial_event_timestamp, aggregate.aggregate_id


def _to_scanned(ends: list[ListedAggregate]) -> ScannedAggregates:
    ordered = sorted(ends, key=_by_timestamp)
    return ScannedAggregates(ordered[0], ordered[-1]) if ordered else ScannedAggregates(None, None)
