"""The circuit breaker: where every event fails, the events are not parked one after the other."""

from time import monotonic
from typing import Final

from castore_core import LogPosition

_FIRST_DELAY: Final = 1.0  # seconds
_LONGEST_DELAY: Final = 60.0  # seconds


class Circuit:
    """Counts the events that failed in a row.

    From the ``threshold`` on it is open: the next event is tried only after a delay, which grows.
    When one is handled again, it closes. It outlives the readers of a runner.

    ``failed`` has the positions of those events.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._next_at = 0.0
        self.failed: list[LogPosition] = []

    @property
    def failures(self) -> int:
        """The number of events that failed in a row."""
        return len(self.failed)

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
        self.failed.append(position)
        self._next_at = monotonic() + self.delay

    @property
    def left(self) -> float:
        """How many seconds of the delay are left."""
        return max(0.0, self._next_at - monotonic()) if self.is_open else 0.0

    def close(self) -> None:
        """Note that an event was handled."""
        self.failed = []
