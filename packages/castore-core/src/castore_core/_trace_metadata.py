"""The trace that a push is part of, in the metadata of its events: where it ends, others go on."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from castore_core._event import Event
from castore_core._json import ABSENT, JSONValue
from castore_core._record import EventRecord
from castore_core._telemetry import get_trace_metadata

E = TypeVar("E", bound=Event)


def add_trace(event: E, record: EventRecord) -> tuple[E, EventRecord]:
    """Return an event and its record with the trace of now, where its metadata has room for it.

    Metadata has room if it is declared as a ``dict`` or a ``Mapping``. Keys that are there already
    stay as they are. An event whose class refuses the trace goes without it.
    """
    trace = get_trace_metadata()
    if not trace:
        return event, record
    try:  # the user's annotations, and the user's codec
        return _add(event, record, trace) if _has_room(type(event)) else (event, record)
    except Exception:  # noqa: BLE001 it has no room
        return event, record


def _add(event: E, record: EventRecord, trace: Mapping[str, str]) -> tuple[E, EventRecord]:
    held: dict[str, JSONValue] = {}
    if isinstance(record.metadata, dict):
        held = record.metadata
    elif record.metadata is not ABSENT:
        return event, record
    traced = record._replace(metadata={**trace, **held})
    return type(event).from_record(traced), traced


def _has_room(event_type: type[Any]) -> bool:
    annotation = get_type_hints(event_type).get("metadata")
    is_union = get_origin(annotation) in {Union, UnionType}
    return any(map(_is_open, get_args(annotation) if is_union else (annotation,)))


def _is_open(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return not is_typeddict(kind) and isinstance(kind, type) and issubclass(kind, Mapping)
