"""Moments: aware, in UTC, of millisecond precision, as the whole Castore family writes them."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Returns the present moment, aware."""

# In a tuple, where libraries that freeze the time do not replace it by a subclass of theirs.
_PLAIN: Final = (datetime,)


def _system_clock() -> datetime:
    return datetime.now(UTC)


# For the whole process, and no context variable: a task may run in a copy of an older context,
# as the tests and fixtures of a test do.
_clock: Clock = _system_clock
_clocks_in_use: Final[dict[object, Clock]] = {}


@contextmanager
def use_clock(clock: Clock) -> Generator[None]:
    """Take the time of events that are made without a ``timestamp`` from a clock of your own.

    So does `utc_now`, by which bookmarks in memory and parked events have their moments.

    It holds in the whole process, in all its threads and tasks, until the context ends: it is
    meant for tests and simulations. Of contexts within each other, the innermost counts.
    A clock that returns a naive moment makes the event raise a `ValueError`.
    """
    global _clock  # noqa: PLW0603 what this function is for
    use = object()
    _clock = _clocks_in_use[use] = clock
    try:
        yield
    finally:
        del _clocks_in_use[use]  # not always the last: contexts of several tasks overlap
        _clock = next(reversed(_clocks_in_use.values()), _system_clock)


def utc_now() -> datetime:
    """Return the present moment, by the clock in use: aware, in UTC and whole milliseconds."""
    return to_utc_milliseconds(_clock())


def to_utc_milliseconds(moment: datetime) -> datetime:
    """Convert an aware moment to UTC, and cut it to milliseconds.

    A moment of a subclass (of pendulum, of pandas) becomes a plain `datetime`, whatever the
    subclass overrides.

    Raises:
        ValueError: the moment is naive, or has no place in the years 1 to 9999 of UTC.
    """
    if type(moment) is not _PLAIN[0]:
        moment = _to_plain(moment)
    if moment.tzinfo is not UTC:
        if moment.utcoffset() is None:
            raise ValueError("is naive: give it a tzinfo, such as datetime.UTC")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("is outside the years 1 to 9999 of UTC") from None
    if finer := moment.microsecond % 1000:
        moment -= timedelta(microseconds=finer)  # half the price of replace()
    return moment


def format_timestamp(moment: datetime) -> str:
    """Write an aware moment as ``2022-01-01T00:00:00.000Z``; these texts sort as the moments do.

    Raises:
        ValueError: the moment is naive, or has no place in the years 1 to 9999 of UTC.
    """
    if moment.tzinfo is not UTC or type(moment) is not _PLAIN[0]:
        moment = to_utc_milliseconds(moment)
    return moment.isoformat("T", "milliseconds")[:23] + "Z"


def _to_plain(moment: datetime) -> datetime:
    return _PLAIN[0](
        moment.year,
        moment.month,
        moment.day,
        moment.hour,
        moment.minute,
        moment.second,
        moment.microsecond,
        moment.tzinfo,
        fold=moment.fold,
    )


def parse_timestamp(text: str) -> datetime:
    """Read a moment written in ISO 8601 with an offset.

    Raises:
        ValueError: the text is no such moment.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC and moment.microsecond % 1000 == 0:
        return moment
    return to_utc_milliseconds(moment)
