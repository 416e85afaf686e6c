"""Notes: an event store whose events have room for the trace, and a queue of its messages."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from castore_core import (
    ABSENT,
    DataclassCodec,
    Event,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    JSONValue,
    NotificationMessageQueue,
    Snapshots,
)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
SECRET = "the password is swordfish"  # noqa: S105 what must not be recorded


class Noted(Event, type="NOTED"):
    """Somebody noted something."""

    payload: str
    metadata: dict[str, JSONValue] | None = None


@dataclass(frozen=True)
class Note:
    """The last that was noted."""

    aggregate_id: str
    version: int
    text: str


NoteStore: TypeAlias = EventStore[Noted, Note]


def reduce_note(_: Note | None, event: Noted) -> Note:
    """Keep the last text."""
    return Note(event.aggregate_id, event.version, event.payload)


def make_notes(
    adapter: EventStorageAdapter | None = None,
    *,
    event_store_id: str = "NOTES",
    snapshots: Snapshots | None = None,
) -> NoteStore:
    """Return a new store."""
    return EventStore(
        event_store_id,
        event_types=[Noted],
        reduce=reduce_note,
        storage_adapter=adapter,
        aggregate_codec=DataclassCodec(Note),
        snapshots=snapshots,
    )


def make_record(
    aggregate_id: str = "a", version: int = 1, payload: Any = ABSENT, **fields: Any
) -> EventRecord:
    """Return a note as it is stored, one second after the version before."""
    moment = MOMENT + timedelta(seconds=version)
    return EventRecord(aggregate_id, version, "NOTED", moment, payload)._replace(**fields)


def make_queue(*stores: NoteStore) -> NotificationMessageQueue[Any]:
    """Return a queue of the messages of stores."""
    return NotificationMessageQueue("NOTE_QUEUE", source_event_stores=stores)
