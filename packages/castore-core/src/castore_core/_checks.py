"""What the options of a query have to be."""

from datetime import datetime

from castore_core._event import MAX_VERSION
from castore_core._timestamp import to_utc_milliseconds


def checked_integer(name: str, value: int | None) -> int | None:
    """Refuse what is no integer, and bring one within 0 and the greatest version."""
    if value is None:
        return None
    if type(value) is not int:
        raise ValueError(f"{name} is not an integer: {value!r}")
    return max(0, min(value, MAX_VERSION))


def checked_limit(limit: int | None) -> int | None:
    """Refuse what is no integer of 1 or more."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is not 1 or more: {limit!r}")
    return checked_integer("limit", limit)


def checked_moment(name: str, moment: datetime | None) -> datetime | None:
    """Refuse a naive moment, and bring one to UTC and milliseconds."""
    if moment is None:
        return None
    try:
        return to_utc_milliseconds(moment)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
