"""What type checkers know of a bus. Checked by pyright and mypy, and never run."""

from dataclasses import dataclass
from typing import Any, assert_type

import boto3
from mypy_boto3_events import EventBridgeClient
from mypy_boto3_s3 import S3Client
from types_aiobotocore_events import EventBridgeClient as AsyncEventBridgeClient

from castore_aws import S3ClaimCheck
from castore_core import (
    Event,
    EventStore,
    MessageChannelAdapter,
    NotificationMessage,
    NotificationMessageBus,
    StateCarryingMessage,
    StateCarryingMessageBus,
)
from castore_event_bridge import (
    EventBridgeHandler,
    EventBridgeMessage,
    EventBridgeMessageBusAdapter,
    EventBridgeMessageContext,
    EventBridgeMessageParser,
    event_pattern,
)


class Opened(Event, type="OPENED"):
    """An event."""


class Closed(Event, type="CLOSED"):
    """Another one."""


@dataclass(frozen=True)
class Door:
    """What is known."""

    aggregate_id: str
    version: int


def reduce(_: Door | None, event: Opened | Closed) -> Door:
    """Count the events."""
    return Door(event.aggregate_id, event.version)


doors = EventStore("DOORS", event_types=[Opened, Closed], reduce=reduce)
bus = NotificationMessageBus("BUS", source_event_stores=(doors,))
states = StateCarryingMessageBus("STATES", source_event_stores=(doors,))


def check_clients(
    sync_client: EventBridgeClient, async_client: AsyncEventBridgeClient, s3_client: S3Client
) -> None:
    """Take typed clients, and untyped ones."""
    adapter: MessageChannelAdapter = EventBridgeMessageBusAdapter(sync_client, "bus")
    EventBridgeMessageBusAdapter(boto3.client("events"), "bus")
    EventBridgeMessageBusAdapter(
        async_client, event_bus_name="bus", claim_check=S3ClaimCheck(s3_client, "bucket")
    )
    bus.message_channel_adapter = adapter


async def check_events(event: dict[str, Any]) -> None:
    """Know the messages of a channel."""
    parser = EventBridgeMessageParser(bus)
    assert_type(parser, EventBridgeMessageParser[NotificationMessage[Opened | Closed]])
    found = await parser.parse_event(event)
    assert_type(found, EventBridgeMessage[NotificationMessage[Opened | Closed]])
    message, context = await EventBridgeMessageParser(states).parse_event(event)
    assert_type(message, StateCarryingMessage[Opened | Closed, Door])
    assert_type(context, EventBridgeMessageContext)


async def handle(
    message: NotificationMessage[Opened | Closed], context: EventBridgeMessageContext
) -> None:
    """Handle a message."""


def handle_now(message: NotificationMessage[Event], context: EventBridgeMessageContext) -> None:
    """Handle a message of any event."""


async def handle_opened(
    message: NotificationMessage[Opened], context: EventBridgeMessageContext
) -> None:
    """Handle some of the messages only."""


def check_handlers() -> None:
    """Take functions and coroutine functions of all the messages, and no others."""
    assert_type(
        EventBridgeHandler(bus, handle), EventBridgeHandler[NotificationMessage[Opened | Closed]]
    )
    EventBridgeHandler(bus, handle_now)
    EventBridgeHandler(bus, handle_opened)  # type: ignore[arg-type]
    EventBridgeHandler(states, handle)  # type: ignore[arg-type]


def check_patterns() -> None:
    """Take classes and names, and tell the ways of replays."""
    event_pattern(event_store_id="DOORS", event_types=doors.event_types)
    event_pattern(event_store_id="DOORS", event_types=[Opened, "CLOSED"], replays="only")
    event_pattern(event_store_id="DOORS", replays="never")  # type: ignore[arg-type]
    event_pattern(event_store_id="DOORS", event_types=[Door])  # type: ignore[list-item]
