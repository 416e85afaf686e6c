"""What type checkers know of streams. Checked by pyright and mypy, and never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from castore_core import (
    AggregateExistsMessageQueue,
    Event,
    EventRecord,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
)
from castore_dynamodb import DynamoDBStreamHandler, DynamoDBStreamParser, StoredEvent


class Opened(Event, type="OPENED"):
    """An event of one store."""


class Closed(Event, type="CLOSED"):
    """Another one."""


class Lit(Event, type="LIT"):
    """An event of another store."""


class Quenched(Event, type="QUENCHED"):
    """Another one."""


@dataclass(frozen=True)
class State:
    """What is known of either."""

    aggregate_id: str
    version: int


def reduce_door(_: State | None, event: Opened | Closed) -> State:
    """Count the events."""
    return State(event.aggregate_id, event.version)


def reduce_lamp(_: State | None, event: Lit | Quenched) -> State:
    """Count the events."""
    return State(event.aggregate_id, event.version)


doors = EventStore("DOORS", event_types=[Opened, Closed], reduce=reduce_door)
lamps = EventStore("LAMPS", event_types=[Lit, Quenched], reduce=reduce_lamp)

parser = DynamoDBStreamParser((doors, lamps))
assert_type(parser, DynamoDBStreamParser[Opened | Closed | Lit | Quenched])

queue = NotificationMessageQueue("QUEUE", source_event_stores=(doors, lamps))
assert_type(
    DynamoDBStreamHandler(parser, queue), DynamoDBStreamHandler[Opened | Closed | Lit | Quenched]
)


def check_record(record: dict[str, Any]) -> None:
    """Know the events of a record."""
    assert_type(
        parser.parse_record(record), NotificationMessage[Opened | Closed | Lit | Quenched] | None
    )


def check_stored_event(record: dict[str, Any]) -> None:
    """Know what is stored of any event."""
    stored = parser.read_stored_event(record)
    assert_type(stored, StoredEvent | None)
    if stored is not None:
        assert_type(stored.record, EventRecord)


def check_other_channels(
    bus: NotificationMessageBus[Opened | Closed | Lit | Quenched],
    states: StateCarryingMessageBus[Opened | Closed | Lit | Quenched, State],
    aggregates: AggregateExistsMessageQueue,
) -> None:
    """Pass events on to channels of all kinds."""
    DynamoDBStreamHandler(parser, bus)
    DynamoDBStreamHandler(parser, states)
    DynamoDBStreamHandler(parser, aggregates, log_error_texts=True)


def check_channel_of_other_states(
    other_states: StateCarryingMessageQueue[Lit | Quenched, State],
) -> None:
    """Refuse a state-carrying channel that does not carry the events."""
    one_parser = DynamoDBStreamParser((doors,))
    DynamoDBStreamHandler(one_parser, other_states)  # type: ignore[misc]


def check_channel_of_other_stores() -> None:
    """Refuse a channel that does not carry the events."""
    other_queue = NotificationMessageQueue("QUEUE", source_event_stores=(lamps,))
    one_parser = DynamoDBStreamParser((doors,))
    DynamoDBStreamHandler(one_parser, other_queue)  # type: ignore[misc]
