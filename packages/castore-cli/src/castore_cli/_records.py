"""Stored events as rows: as they are in the storage, whatever the store makes of them."""

from typing import Any

from castore_cli._terminal import Terminal
from castore_cli._texts import format_json
from castore_core import Absent, EventRecord


def to_row(record: EventRecord) -> dict[str, Any]:
    """Return an event as it is on the wire: absent fields stay absent, and null stays null."""
    row: dict[str, Any] = {
        "aggregateId": record.aggregate_id,
        "version": record.version,
        "type": record.type,
        "timestamp": record.timestamp,
    }
    values = {"payload": record.payload, "metadata": record.metadata}
    return row | {key: each for key, each in values.items() if not isinstance(each, Absent)}


def to_shown_row(record: EventRecord, terminal: Terminal) -> dict[str, Any]:
    """Return an event as a terminal shows it: to people, in a table that has the JSON of values."""
    row = to_row(record)
    if not terminal.is_json:
        row.update({key: format_json(row[key]) for key in ("payload", "metadata") if key in row})
    return row
