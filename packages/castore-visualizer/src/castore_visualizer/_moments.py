"""Moments, as people read and write them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from castore_core import format_timestamp

_UNITS: Final = (
    ("year", 31_557_600),
    ("month", 2_629_800),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)


def parse_moment(text: str) -> datetime | None:
    """Return the moment of a text in the form of ISO 8601, in UTC where it names no offset.

    Raises:
        ValueError: it is no moment.
    """
    if not text.strip():
        return None
    moment = datetime.fromisoformat(text.strip())
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("it is before the year 1, or after 9999, in UTC") from error


def show_moment(moment: datetime) -> str:
    """Return a moment as it is shown: in UTC, with milliseconds where it has any."""
    text = format_timestamp(moment).removesuffix("Z").replace("T", " ")
    return text.removesuffix(".000")


def show_duration(duration: timedelta) -> str:
    """Return a duration in its greatest unit: ``3 hours``."""
    seconds = abs(duration.total_seconds())
    for name, size in _UNITS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number:,} {name}{'' if number == 1 else 's'}"
    return "less than a second"


def show_gap(gap: timedelta) -> str:
    """Return the time between an event and the one before it: ``+ 3 hours``."""
    if not gap:
        return "at once"
    return f"{'+' if gap > timedelta() else '-'} {show_duration(gap)}"


def show_age(moment: datetime, now: datetime) -> str:
    """Return how long ago a moment was, or how far ahead it is."""
    age = now - moment
    if abs(age) < timedelta(seconds=1):
        return "just now"
    return f"{show_duration(age)} ago" if age > timedelta() else f"in {show_duration(age)}"
