"""Event records as rows, and back."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from castore_core import (
    ABSENT,
    Absent,
    EventRecord,
    JSONValue,
    LogEntry,
    StorageError,
    format_position,
    format_timestamp,
    parse_timestamp,
)

# Half of the time of a read goes into JSON. Of the fast decoders, msgspec keeps integers of any
# size; orjson would turn those beyond 64 bits into floats.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def record_to_row(event_store_id: str, record: EventRecord) -> tuple[str | int | None, ...]:
    """Return the values of a row, in the order of ``INSERTED_COLUMNS``.

    Raises:
        StorageError: the payload or the metadata cannot be written as JSON.
    """
    aggregate_id, version, event_type, timestamp, payload, metadata = record
    try:
        data, other_data = _to_text(payload), _to_text(metadata)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        place = f"event {version} of aggregate {aggregate_id!r}"
        raise StorageError(f"{place} cannot be written: {error}") from error
    return (
        event_store_id,
        aggregate_id,
        version,
        event_type,
        data,
        other_data,
        format_timestamp(timestamp),
    )


def row_to_record(row: Sequence[Any]) -> EventRecord:
    """Read ``aggregate_id, version, type, timestamp, data, metadata``.

    Raises:
        StorageError: somebody else wrote what is no JSON, or no timestamp.
    """
    aggregate_id, version, event_type, timestamp, data, metadata = row
    try:
        return EventRecord(
            aggregate_id,
            version,
            event_type,
            parse_timestamp(timestamp),
            ABSENT if data is None else _from_text(data),
            ABSENT if metadata is None else _from_text(metadata),
        )
    except ValueError as error:
        place = f"event {version} of aggregate {aggregate_id!r}"
        raise StorageError(f"{place} cannot be read: {error}") from error


def row_to_entry(row: Sequence[Any]) -> LogEntry:
    """Read ``id, aggregate_name`` and what `row_to_record` reads."""
    return LogEntry(format_position(row[0]), row[1], row_to_record(row[2:]))


def _to_text(value: JSONValue | Absent) -> str | None:
    return None if value is ABSENT else _encode(value).decode()


def _from_text(text: str) -> JSONValue:
    value: JSONValue
    try:
        value = _decode(text)
    except msgspec.DecodeError:  # another writer's, such as a lone surrogate
        value = json.loads(text)
    return value
