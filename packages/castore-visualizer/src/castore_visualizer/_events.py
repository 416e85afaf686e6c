"""Events as they are shown: as they are stored, with masks applied."""

import json
from dataclasses import dataclass
from datetime import datetime

from castore_core import (
    Absent,
    EventRecord,
    JSONValue,
    LogEntry,
    format_message_id,
)
from castore_visualizer._masking import Field, Masking
from castore_visualizer._site import Site

_CORRELATION = ("correlation_id", "correlationId")
_CAUSATION = ("causation_id", "causationId")
_LINE = 200  # characters
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class ShownEvent:
    """An event for a template. ``hue`` is the number of the colour of its type.

    The ids of its correlation and cause are ``None`` where a mask hides them.
    """

    event_store_id: str
    aggregate_id: str
    version: int
    type: str
    timestamp: datetime
    payload: JSONValue | Absent
    metadata: JSONValue | Absent
    correlation_id: str | None
    causation_id: str | None
    hue: int

    @property
    def message_id(self) -> str:
        """The id by which other events name it as their cause."""
        return make_message_id(self.event_store_id, self.aggregate_id, self.version)

    @property
    def line(self) -> str:
        """The payload as one line of JSON, as far as a list has room for it."""
        if isinstance(self.payload, Absent):
            return ""
        text = ""
        for part in _ENCODER.iterencode(self.payload):  # of a large payload, only the beginning
            text += part
            if len(text) > _LINE:
                return f"{text[:_LINE]}…"
        return text


def show_event(site: Site, event_store_id: str, record: EventRecord) -> ShownEvent:
    """Return what is shown of a stored event."""
    metadata = _mask(site.masking, event_store_id, record, "metadata")
    return ShownEvent(
        event_store_id,
        record.aggregate_id,
        record.version,
        record.type,
        record.timestamp,
        _mask(site.masking, event_store_id, record, "payload"),
        metadata,
        _keep_shown(
            find_correlation_id(event_store_id, record), record.metadata, metadata, _CORRELATION
        ),
        _keep_shown(find_cause(record), record.metadata, metadata, _CAUSATION),
        site.get_hue(event_store_id, record.type),
    )


def show_entry(site: Site, entry: LogEntry) -> ShownEvent:
    """Return what is shown of an event of a log."""
    return show_event(site, entry.event_store_id, entry.record)


def make_message_id(event_store_id: str, aggregate_id: str, version: int) -> str:
    """Return the id of an event's message, ``store#aggregate#version``."""
    return format_message_id(event_store_id, aggregate_id, version)


def find_correlation_id(event_store_id: str, record: EventRecord) -> str:
    """Return the correlation of an event: an event without one begins a chain under its own id."""
    found = find_metadata(record.metadata, _CORRELATION)
    return found or make_message_id(event_store_id, record.aggregate_id, record.version)


def find_cause(record: EventRecord) -> str | None:
    """Return the id of the event that caused an event, as its metadata have it."""
    return find_metadata(record.metadata, _CAUSATION)


def find_metadata(metadata: JSONValue | Absent, keys: tuple[str, ...]) -> str | None:
    """Return the first text that an event's metadata have under one of some keys."""
    if not isinstance(metadata, dict):
        return None
    values = [metadata.get(each) for each in keys]
    return next((each for each in values if isinstance(each, str) and each), None)


def _keep_shown(
    found: str | None,
    stored: JSONValue | Absent,
    shown: JSONValue | Absent,
    keys: tuple[str, ...],
) -> str | None:
    """Return an id that was found in stored metadata, unless a mask has hidden it there."""
    return found if find_metadata(stored, keys) == find_metadata(shown, keys) else None


def _mask(
    masking: Masking, event_store_id: str, record: EventRecord, name: str
) -> JSONValue | Absent:
    field = Field(event_store_id, record.type, (name,))
    return masking.apply(field, getattr(record, name))
