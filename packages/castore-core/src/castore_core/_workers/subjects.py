"""Subjects of messages: ids, which may be logged and counted."""

from typing import Any, NamedTuple, cast

from castore_core._message import (
    AggregateExistsMessage,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_core.errors import EventDecodeError, UnknownEventTypeError


class MessageSubject(NamedTuple):
    """The event that a message is about, or the aggregate, without its payload and metadata.

    ``version`` and ``type`` are those of the event, and ``None`` where the message is about an
    aggregate.
    """

    event_store_id: str
    aggregate_id: str
    version: int | None = None
    type: str | None = None

    def __str__(self) -> str:
        place = f"aggregate {self.aggregate_id!r} in event store {self.event_store_id!r}"
        return place if self.version is None else f"event {self.version} ({self.type}) of {place}"


def find_subject(message: object) -> MessageSubject | None:
    """Return what a message is about, where it is one of castore's."""
    if isinstance(message, (NotificationMessage, StateCarryingMessage)):
        told = cast("NotificationMessage[Any]", message)
        event = told.event
        return MessageSubject(told.event_store_id, event.aggregate_id, event.version, event.type)
    if isinstance(message, AggregateExistsMessage):
        return MessageSubject(message.event_store_id, message.aggregate_id)
    return None


def find_unread_subject(error: BaseException) -> MessageSubject | None:
    """Return what a message is about that could not be read, where its error tells."""
    if isinstance(error, (EventDecodeError, UnknownEventTypeError)):
        place = error.event_store_id, error.aggregate_id, error.version, error.event_type
        return MessageSubject(*place)
    return None
