"""Event records as rows, and back."""

import json
from collections.abc import Sequence
from typing import Any

from castore_core import (
    ABSENT,
    Absent,
    EventRecord,
    JSONValue,
    LogEntry,
    format_timestamp,
    parse_timestamp,
)

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def record_to_values(event_store_id: str, record: EventRecord) -> dict[str, str | int | None]:
    """Return the values of a row, by the names of their columns."""
    return {
        "aggregate_name": event_store_id,
        "aggregate_id": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "data": _to_text(record.payload),
        "metadata": _to_text(record.metadata),
        "timestamp": format_timestamp(record.timestamp),
    }


def row_to_record(row: Sequence[Any]) -> EventRecord:
    """Read ``aggregate_id, version, type, timestamp, data, metadata``."""
    aggregate_id, version, event_type, timestamp, data, metadata = row
    return EventRecord(
        aggregate_id,
        version,
        event_type,
        parse_timestamp(timestamp),
        ABSENT if data is None else _decode(data),
        ABSENT if metadata is None else _decode(metadata),
    )


def row_to_entry(row: Sequence[Any]) -> LogEntry:
    """Read ``id, aggregate_name`` and what `row_to_record` reads."""
    position, event_store_id, *record = row
    return LogEntry(position, event_store_id, row_to_record(record))


def _to_text(value: JSONValue | Absent) -> str | None:
    return None if value is ABSENT else _encode(value)
