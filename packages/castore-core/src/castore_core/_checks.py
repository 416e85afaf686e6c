"""Checks of arguments, the same for all storages."""

from datetime import datetime

from castore_core._event import MAX_VERSION
from castore_core._json import is_unicode
from castore_core._position import check_limit
from castore_core._timestamp import to_utc_milliseconds


def checked_aggregate_id(aggregate_id: object) -> str:
    """Refuse an id that no event can have, and return a plain text.

    Raises:
        ValueError: it is no text, empty, or not well-formed Unicode.
    """
    if not isinstance(aggregate_id, str):
        raise ValueError(f"aggregate_id is not a string: {aggregate_id!r}")
    if not aggregate_id or not is_unicode(aggregate_id):
        raise ValueError(f"aggregate_id is empty, or not well-formed Unicode: {aggregate_id!r}")
    return str.__str__(aggregate_id)


def checked_version(version: object) -> int:
    """Refuse a version that no aggregate can be at; 0 stands for one without events.

    Raises:
        ValueError: it is no integer from 0 to 2**53 - 1.
    """
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise ValueError(f"version is not an integer from 0 to 2**53 - 1: {version!r}")
    return version


def checked_integer(name: str, value: int | None) -> int | None:
    """Refuse a value that is no integer, and bring an integer within 0 and the last version."""
    if value is None:
        return None
    if type(value) is not int:
        raise ValueError(f"{name} is not an integer: {value!r}")
    return max(0, min(value, MAX_VERSION))


def checked_limit(limit: int | None) -> int | None:
    """Refuse a limit that is no integer of 1 or more."""
    if limit is not None:
        check_limit(limit)
    return checked_integer("limit", limit)


def checked_moment(name: str, moment: object) -> datetime | None:
    """Refuse a naive moment, and bring one to UTC and milliseconds."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise ValueError(f"{name} is not a datetime: {moment!r}")
    try:
        return to_utc_milliseconds(moment)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
