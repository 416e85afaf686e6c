"""Texts and numbers as PostgreSQL keeps them."""

import re
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from castore_core import Absent, EventRecord, InvalidEventError, JSONValue, StorageError
from castore_sql._writes import Assertion, Insert

_MANY_DIGITS: Final = (
    1e16  # where JSON has an exponent, which JSONB drops, and the fraction with it
)
# A digit, an "e" and a digit; it begins with the letter, for which a search leaps to its place.
_MAY_HAVE_EXPONENT: Final = re.compile(r"e(?<=\de)\+?\d").search
_MAY_HAVE_NUL: Final = "\\u0000"


class TextColumns(NamedTuple):
    """The limits of the columns of a table of Castore's, in characters."""

    has_uuids: bool
    name_length: int | None
    id_length: int | None
    type_length: int | None


def find_unfit(columns: TextColumns, step: Insert | Assertion) -> StorageError | None:
    """Say what a table cannot hold, or would change: PostgreSQL cuts off spaces that do not fit."""
    if isinstance(step, Insert):
        event_store_id, aggregate_id, event_type = step.row[0], step.row[1], step.row[3]
    else:
        event_store_id, aggregate_id, event_type = step.event_store_id, step.aggregate_id, ""
    if columns.has_uuids and not _is_uuid(aggregate_id):
        return StorageError(
            f"the column aggregate_id holds UUIDs, in lower case, which {aggregate_id!r} is not"
        )
    for name, text, length in (
        ("aggregate_name", event_store_id, columns.name_length),
        ("aggregate_id", aggregate_id, columns.id_length),
        ("type", event_type, columns.type_length),
    ):
        if length is not None and len(text) > length:
            return StorageError(
                f"the column {name} holds {length} characters: {text!r} has {len(text)}"
            )
    return None


def check_texts(event_store_id: str, record: EventRecord) -> None:
    """Refuse a NUL, which no text of PostgreSQL can hold.

    Raises:
        InvalidEventError: an id or the type has one.
    """
    for field, value in (
        ("event_store_id", event_store_id),
        ("aggregate_id", record.aggregate_id),
        ("type", record.type),
    ):
        if "\0" in value:
            raise InvalidEventError(record.type, field, "has a NUL, which PostgreSQL cannot hold")


def to_jsonb(record: EventRecord, field: str, value: JSONValue | Absent, text: str) -> str:
    """Return JSON that JSONB keeps: floats stay floats, whatever their size.

    Raises:
        InvalidEventError: a text, or a key, has a NUL; or it has a great float, or what may be a
            NUL, and is nested too deeply to look at.
    """
    try:
        if _MAY_HAVE_NUL in text and _has_nul(value):
            raise InvalidEventError(record.type, field, "has a NUL, which JSONB cannot hold")
        if _MAY_HAVE_EXPONENT(text):
            return msgspec.json.encode(_spell_out(value)).decode()
    except RecursionError as error:
        raise InvalidEventError(record.type, field, "is nested too deeply") from error
    return text


def _is_uuid(text: str) -> bool:
    """Tell whether it is a UUID that is read as it was written."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _has_nul(value: JSONValue | Absent) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _spell_out(value: JSONValue | Absent) -> object:
    """Return the same value, in which great floats are JSON with all their digits."""
    if isinstance(value, float) and abs(value) >= _MANY_DIGITS:
        return msgspec.Raw(f"{Decimal(repr(value)):f}.0".encode())
    if isinstance(value, dict):
        return {key: _spell_out(each) for key, each in value.items()}
    return [_spell_out(each) for each in value] if isinstance(value, list) else value
