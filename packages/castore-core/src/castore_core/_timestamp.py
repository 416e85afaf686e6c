"""Moments: aware, in UTC, of millisecond precision, as the whole Castore family writes them."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present moment."""
    return to_utc_milliseconds(datetime.now(UTC))


def to_utc_milliseconds(moment: datetime) -> datetime:
    """Convert an aware moment to UTC, and cut what is finer than a millisecond.

    Raises:
        ValueError: the moment is naive, or has no place in the years 1 to 9999 of UTC.
    """
    if moment.tzinfo is not UTC:
        if moment.utcoffset() is None:
            raise ValueError("is naive: give it a tzinfo, such as datetime.UTC")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("is outside the years 1 to 9999 of UTC") from None
    if moment.microsecond % 1000:
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return moment


def format_timestamp(moment: datetime) -> str:
    """Write an aware moment as ``2022-01-01T00:00:00.000Z``; these texts sort as the moments do.

    Raises:
        ValueError: the moment is naive, or has no place in the years 1 to 9999 of UTC.
    """
    if moment.tzinfo is not UTC:
        moment = to_utc_milliseconds(moment)
    return moment.isoformat(timespec="milliseconds")[:23] + "Z"


def parse_timestamp(text: str) -> datetime:
    """Read a moment written in ISO 8601 with an offset.

    Raises:
        ValueError: the text is no such moment.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC and moment.microsecond % 1000 == 0:
        return moment
    return to_utc_milliseconds(moment)
