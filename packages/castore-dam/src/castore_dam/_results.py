"""Results of pouring."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from castore_core import EventRecord, JSONValue, ListedAggregate, format_timestamp, parse_timestamp


class PouredEvent(NamedTuple):
    """An event that was published: its name, without its payload."""

    event_store_id: str
    aggregate_id: str
    version: int
    timestamp: datetime

    @classmethod
    def of(cls, event_store_id: str, record: EventRecord) -> Self:
        """Return the name of a record."""
        return cls(event_store_id, record.aggregate_id, record.version, record.timestamp)

    def to_json(self) -> JSONValue:
        """Return JSON values of it."""
        return [*self[:3], format_timestamp(self.timestamp)]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the event of JSON values."""
        event_store_id, aggregate_id, version, timestamp = value
        return cls(event_store_id, aggregate_id, version, parse_timestamp(timestamp))


@dataclass(frozen=True)
class PouredEvents:
    """The result of pouring the events of an aggregate.

    Attributes:
        poured_event_count: how many messages the channel took.
        first_poured_event: the first of them; ``None`` where there was none.
        last_poured_event: the last of them.
    """

    poured_event_count: int
    first_poured_event: PouredEvent | None
    last_poured_event: PouredEvent | None


@dataclass(frozen=True)
class ScannedAggregates:
    """The first and the last aggregate that were scanned, by the timestamps of their first events.

    Both are ``None`` where there was none.
    """

    first_scanned_aggregate: ListedAggregate | None
    last_scanned_aggregate: ListedAggregate | None


@dataclass(frozen=True)
class PouredEventStore(PouredEvents, ScannedAggregates):
    """The result of pouring the events of an event store."""


@dataclass(frozen=True)
class PouredCollection(PouredEvents):
    """The result of pouring the events of several event stores.

    Attributes:
        scans: the aggregates that were scanned, by the id of their store.
    """

    scans: Mapping[str, ScannedAggregates]


@dataclass(frozen=True)
class PouredAggregateIds(ScannedAggregates):
    """The result of pouring aggregate ids.

    Attributes:
        poured_aggregate_id_count: how many messages the channel took.
    """

    poured_aggregate_id_count: int
