"""Texts and numbers as PostgreSQL keeps them."""

import re
from decimal import Decimal
from typing import Final

import msgspec

from castore_core import Absent, EventRecord, InvalidEventError, JSONValue

_MANY_DIGITS: Final = (
    1e16  # where JSON has an exponent, which JSONB drops, and the fraction with it
)
_MAY_HAVE_EXPONENT: Final = re.compile(r"\de\+?\d").search
_MAY_HAVE_NUL: Final = "\\u0000"


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
        InvalidEventError: a text, or a key, has a NUL.
    """
    if _MAY_HAVE_NUL in text and _has_nul(value):
        raise InvalidEventError(record.type, field, "has a NUL, which JSONB cannot hold")
    if _MAY_HAVE_EXPONENT(text):
        return msgspec.json.encode(_spell_out(value)).decode()
    return text


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
