"""What type checkers know of received messages. Checked by pyright and mypy, and never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from castore_core import (
    Event,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
)
from castore_sqs import SQSHandler, SQSMessage, SQSMessageContext, SQSMessageParser


class Opened(Event, type="OPENED"):
    """An event."""


class Closed(Event, type="CLOSED"):
    """Another one."""


class Lit(Event, type="LIT"):
    """An event of another store."""


@dataclass(frozen=True)
class Door:
    """What is known of a door."""

    aggregate_id: str
    version: int


def reduce_door(_: Door | None, event: Opened | Closed) -> Door:
    """Count the events."""
    return Door(event.aggregate_id, event.version)


doors = EventStore("DOORS", event_types=[Opened, Closed], reduce=reduce_door)
queue = NotificationMessageQueue("QUEUE", source_event_stores=(doors,))
bus = NotificationMessageBus("BUS", source_event_stores=(doors,))


async def handle(message: NotificationMessage[Opened | Closed], _: SQSMessageContext) -> None:
    """Take what the queue carries."""
    assert_type(message.event, Opened | Closed)


def handle_now(_: NotificationMessage[Opened | Closed], __: SQSMessageContext) -> None:
    """Do it at once."""


def handle_more(
    message: NotificationMessage[Opened | Closed | Lit], context: SQSMessageContext
) -> None:
    """Take more than the queue carries."""
    assert_type(message.event, Opened | Closed | Lit)
    assert_type(context, SQSMessageContext)


def handle_lamp(_: NotificationMessage[Lit], __: SQSMessageContext) -> None:
    """Take something else."""


def handle_opened(_: NotificationMessage[Opened], __: SQSMessageContext) -> None:
    """Take less than the queue carries."""


def handle_alone(_: NotificationMessage[Opened | Closed]) -> None:
    """Want no context."""


assert_type(SQSHandler(queue, handle), SQSHandler[NotificationMessage[Opened | Closed]])
assert_type(SQSHandler(bus, handle_now), SQSHandler[NotificationMessage[Opened | Closed]])
SQSHandler(queue, handle_more)
SQSHandler(queue, handle_lamp)  # type: ignore[arg-type]
SQSHandler(queue, handle_opened)  # type: ignore[arg-type]
SQSHandler(queue, handle_alone)  # type: ignore[arg-type]


async def check_record(record: dict[str, Any]) -> None:
    """Know the message of a record."""
    parser = SQSMessageParser(queue)
    message = await parser.parse_record(record)
    assert_type(message, SQSMessage[NotificationMessage[Opened | Closed]])
    assert_type(message.message.event, Opened | Closed)
