"""The event stores and messages that the contract suite of channels publishes."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from castore_core import (
    DataclassCodec,
    Event,
    EventStore,
    JSONValue,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_test_tools._values import OTHER_STORE, STORE, moment


class Noted(Event, type="NOTED"):
    """Something was written down."""

    payload: JSONValue
    metadata: JSONValue | None = None


class Cleared(Event, type="CLEARED"):
    """The note is empty again."""

    metadata: JSONValue | None = None


NoteEvent: TypeAlias = Noted | Cleared


@dataclass(frozen=True)
class Note:
    """A note, as it is after an event."""

    aggregate_id: str
    version: int
    content: JSONValue


def _reduce(_: Note | None, event: NoteEvent) -> Note:
    content = event.payload if isinstance(event, Noted) else None
    return Note(event.aggregate_id, event.version, content)


def _make_store(event_store_id: str) -> EventStore[NoteEvent, Note]:
    return EventStore(
        event_store_id,
        event_types=[Noted, Cleared],
        reduce=_reduce,
        aggregate_codec=DataclassCodec(Note),
    )


SOURCES: Final = (_make_store(STORE), _make_store(OTHER_STORE))

Notification: TypeAlias = NotificationMessage[NoteEvent]
StateMessage: TypeAlias = StateCarryingMessage[NoteEvent, Note]


def make_notification(
    version: int = 1,
    *,
    aggregate_id: str = "a1",
    event_store_id: str = STORE,
    payload: JSONValue = "milk",
    metadata: JSONValue = None,
) -> Notification:
    """Return a message about an event."""
    event = Noted(
        aggregate_id=aggregate_id,
        version=version,
        timestamp=moment(version - 1),
        payload=payload,
        metadata=metadata,
    )
    return NotificationMessage(event_store_id, event)


def make_notifications(aggregate_id: str, count: int) -> list[Notification]:
    """Return messages about successive events of an aggregate."""
    return [make_notification(each, aggregate_id=aggregate_id) for each in range(1, count + 1)]


def make_state(version: int = 1, *, content: JSONValue) -> StateMessage:
    """Return a message about an event and the note after it."""
    event = make_notification(version, payload=content).event
    return StateCarryingMessage(STORE, event, Note("a1", version, content))
