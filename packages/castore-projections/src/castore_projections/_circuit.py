"""The circuit breaker: where every event fails, the events are not parked one after the other."""

from typing import Final

from castore_core import LogPosition

_FIRST_DELAY: Final = 1.0  # seconds
_LONGEST_DELAY: Final = 60.0  # seconds


class Circuit:
    """Counts the events that failed in a row.

    From the ``threshold`` on it is open: the next event is tried only after a delay, which grows.
    When one is handled again, it closes.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._failed: list[LogPosition] = []

    @property
    def failures(self) -> int:
        """The number of events that failed in a row."""
        return len(self._failed)

    @property
    def is_open(self) -> bool:
        """Whether too many did."""
        return self.failures >= self._threshold

    @property
    def delay(self) -> float:
        """Seconds to wait before the next event."""
        if not self.is_open:
            return 0.0
        return min(_FIRST_DELAY * 2.0 ** min(self.failures - self._threshold, 10), _LONGEST_DELAY)

    def fail(self, position: LogPosition) -> None:
        """Note that an event failed for the last time."""
        self._failed.append(position)

    def close(self) -> list[LogPosition]:
        """Note that an event was handled, and return those to try again."""
        failed = self._failed if self.is_open else []
        self._failed = []
        return failed
