"""A clock that stands still until it is told to move."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from castore_core import format_timestamp, parse_timestamp, use_clock

START: Final = datetime(2022, 1, 1, tzinfo=UTC)
"""The first moment of a frozen clock."""


class FrozenClock:
    """Tells the same moment until it is moved: first 2022-01-01T00:00:00Z, unless told otherwise.

    As a context, it gives the time of all events that are made without a timestamp; in pytest, the
    fixture ``frozen_clock`` does. Its moments are those of events: in UTC with millisecond
    precision, what is finer is cut.

    Raises:
        ValueError: the moment is naive.
    """

    def __init__(self, moment: datetime = START) -> None:
        self._moment = _to_moment(moment)
        self._uses: list[AbstractContextManager[None]] = []

    def __enter__(self) -> Self:
        self._uses.append(use_clock(self))
        self._uses[-1].__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._uses.pop().__exit__(None, None, None)

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self._moment

    def __repr__(self) -> str:
        return f"FrozenClock({format_timestamp(self._moment)})"

    def tick(self, delta: timedelta | None = None, *, seconds: float = 1) -> datetime:
        """Move on by a timedelta, or by some seconds, and return the new moment.

        A negative one moves back, as the clocks of servers do at times.
        """
        return self.set(self._moment + (timedelta(seconds=seconds) if delta is None else delta))

    def set(self, moment: datetime) -> datetime:
        """Move to a moment, and return it.

        Raises:
            ValueError: the moment is naive.
        """
        self._moment = _to_moment(moment)
        return self._moment


def _to_moment(moment: datetime) -> datetime:
    return parse_timestamp(format_timestamp(moment))
