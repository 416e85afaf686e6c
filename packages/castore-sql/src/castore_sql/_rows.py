"""Event records as rows, and back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from castore_core import ABSENT, Absent, EventRecord, JSONValue, StorageError
from castore_sql._json import ENCODE_ERRORS, from_text, to_text
from castore_sql._queries import Row


def record_to_texts(record: EventRecord) -> tuple[str | None, str | None]:
    """Return the payload and the metadata as JSON, and ``None`` for an absent one.

    Raises:
        StorageError: they cannot be written as JSON.
    """
    try:
        return _to_text(record.payload), _to_text(record.metadata)
    except ENCODE_ERRORS as error:
        raise StorageError(f"{_describe(record)} cannot be written: {error}") from error


def row_to_record(row: Row, read_moment: Callable[[Any], datetime]) -> EventRecord:
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
            read_moment(timestamp),
            ABSENT if data is None else from_text(data),
            ABSENT if metadata is None else from_text(metadata),
        )
    except ValueError as error:
        place = f"event {version} of aggregate {aggregate_id!r}"
        raise StorageError(f"{place} cannot be read: {error}") from error


def _describe(record: EventRecord) -> str:
    return f"event {record.version} of aggregate {record.aggregate_id!r}"


def _to_text(value: JSONValue | Absent) -> str | None:
    return None if value is ABSENT else to_text(value)
