"""The canonical form of stored events: one line of text for each, to hash.

The line of an event is the JSON text of a list: the version, the type, the timestamp, a list with
the payload, and a list with the metadata; the last two are empty where there is none. Keys are
sorted, and a number with an integral value is written as an integer.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from castore_core import ABSENT, Absent, EventRecord, JSONValue, format_json, format_timestamp


def format_record(record: EventRecord) -> str:
    """Return the canonical line of an event, without its end."""
    return format_json(
        [
            record.version,
            record.type,
            format_timestamp(record.timestamp),
            _enclose(record.payload),
            _enclose(record.metadata),
        ]
    )


class ContentHash:
    """The SHA-256 of the canonical lines of events, each with a newline."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.count = 0

    def add(self, line: str) -> None:
        """Take the line of the next event."""
        self._hash.update(f"{line}\n".encode())
        self.count += 1

    def get_digest(self) -> str:
        """Return the hash of all lines so far, in hexadecimal."""
        return self._hash.hexdigest()


def _enclose(value: JSONValue | Absent) -> JSONValue:
    return [] if value is ABSENT else [_normalise(value)]


def _normalise(value: JSONValue) -> JSONValue:
    match value:
        case Mapping():
            return {key: _normalise(value[key]) for key in sorted(value)}
        case float() if value.is_integer():
            return int(value)
        case Sequence() if not isinstance(value, str):
            return [_normalise(each) for each in value]
        case _:
            return value
