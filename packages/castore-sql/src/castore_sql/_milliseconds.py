"""Moments as whole milliseconds since 1970, as our own tables have them."""

from datetime import UTC, datetime, timedelta
from typing import Final

MILLISECOND: Final = timedelta(milliseconds=1)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return the milliseconds of an aware moment, cut to whole ones."""
    return (moment - _EPOCH) // MILLISECOND


def from_milliseconds(number: int) -> datetime:
    """Return the moment, in UTC."""
    return _EPOCH + number * MILLISECOND
