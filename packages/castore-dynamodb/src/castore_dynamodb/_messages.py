"""The messages of stored events: they carry the events as they are stored."""

from typing import Any, TypeAlias

from castore_core import (
    ABSENT,
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    EventRecord,
    InvalidMessageError,
    MessageBody,
    MessageRecord,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessage,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
    format_timestamp,
)
from castore_dynamodb._stream_records import StoredEvent

AggregateExistsChannel: TypeAlias = AggregateExistsMessageQueue | AggregateExistsMessageBus
NotificationChannel: TypeAlias = NotificationMessageQueue[Any] | NotificationMessageBus[Any]
StateCarryingChannel: TypeAlias = (
    StateCarryingMessageQueue[Any, Any] | StateCarryingMessageBus[Any, Any]
)
Channel: TypeAlias = AggregateExistsChannel | NotificationChannel | StateCarryingChannel


async def make_message(channel: Channel, stored: StoredEvent) -> MessageRecord | None:
    """Return what a channel carries of an event, or ``None`` where that is nothing.

    The event is not decoded: its type may be unknown here. A state-carrying channel needs the
    aggregate after it, which the event store loads.

    Raises:
        CastoreError: the aggregate cannot be loaded, or not at the version of the event.
        MessageChannelEventStoreNotFoundError: the event's store is no source of the channel.
    """
    match channel:
        case AggregateExistsMessageQueue() | AggregateExistsMessageBus():
            return _make_aggregate_exists(channel, stored)
        case NotificationMessageQueue() | NotificationMessageBus():
            channel.get_source_event_store(stored.event_store_id)
            return _make_notification(stored)
        case StateCarryingMessageQueue() | StateCarryingMessageBus():
            return await _make_state_carrying(channel, stored)


def _make_aggregate_exists(
    channel: AggregateExistsChannel, stored: StoredEvent
) -> MessageRecord | None:
    event_store_id, record = stored
    if record.version > 1:
        return None
    message = AggregateExistsMessage(event_store_id, record.aggregate_id, record.timestamp)
    return channel.message_to_record(message)


def _make_notification(stored: StoredEvent) -> MessageRecord:
    event_store_id, record = stored
    body: MessageBody = {"eventStoreId": event_store_id, "event": _write_event(record)}
    return MessageRecord(event_store_id, record.aggregate_id, record.version, record.type, body)


async def _make_state_carrying(channel: StateCarryingChannel, stored: StoredEvent) -> MessageRecord:
    event_store_id, record = stored
    source = channel.get_source_event_store(event_store_id)
    loaded = await source.get_existing_aggregate(record.aggregate_id, max_version=record.version)
    if loaded.last_event.version != record.version:
        reason = f"{record.aggregate_id!r} has no event of version {record.version}"
        raise InvalidMessageError(channel.message_channel_id, reason)
    message = StateCarryingMessage(event_store_id, loaded.last_event, loaded.aggregate)
    aggregate = channel.message_to_record(message).body["aggregate"]
    notification = _make_notification(stored)
    return notification._replace(body={**notification.body, "aggregate": aggregate})


def _write_event(record: EventRecord) -> MessageBody:
    """Write an event as messages carry it: absent means absent, and null is null."""
    event: MessageBody = {
        "aggregateId": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "timestamp": format_timestamp(record.timestamp),
    }
    if record.payload is not ABSENT:
        event["payload"] = record.payload
    if record.metadata is not ABSENT:
        event["metadata"] = record.metadata
    return event
