"""The trace that a push is part of, in the metadata of its events: where it ends, others go on."""

from typing import TypeVar

from castore_core._event import Event
from castore_core._json import ABSENT
from castore_core._record import EventRecord
from castore_core._telemetry import get_trace_metadata

E = TypeVar("E", bound=Event)


def add_trace(event: E, record: EventRecord) -> tuple[E, EventRecord]:
    """Return an event and its record with the trace of now, where its metadata has room for it.

    Metadata that is an object has room, unless the class of the event refuses further keys; so has
    the record of a class that declares no metadata. Keys that are there already stay as they are.
    """
    trace = get_trace_metadata()
    if not trace:
        return event, record
    if record.metadata is ABSENT and not hasattr(event, "metadata"):
        return event, record._replace(metadata={**trace})
    if not isinstance(record.metadata, dict):
        return event, record
    traced = record._replace(metadata={**trace, **record.metadata})
    try:  # the user's codec
        return type(event).from_record(traced), traced
    except Exception:  # noqa: BLE001 it has no room
        return event, record
