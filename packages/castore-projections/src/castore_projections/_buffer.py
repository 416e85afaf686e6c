"""Events that were read from the log, and are still to be handled."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from castore_core import LOG_START, MAX_PARKED_AT_ONCE, LogEntry, LogPosition


class Batch(NamedTuple):
    """The first events of a buffer.

    Attributes:
        entries: those to handle.
        held: those that wait behind a parked event of their aggregate.
        position: the place in the log up to which nothing else is to be handled.
    """

    entries: list[LogEntry]
    held: list[LogEntry]
    position: LogPosition


class Buffer:
    """Keeps events in the order of the log until they are handled, or parked.

    ``end`` is the position up to which the log was read, and ``position`` the one up to which
    nothing is left to handle.
    """

    def __init__(self, position: LogPosition = LOG_START) -> None:
        self.end = position
        self._start = position
        self._entries: deque[LogEntry] = deque()

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def first(self) -> LogEntry:
        """The event that is next."""
        return self._entries[0]

    @property
    def position(self) -> LogPosition:
        """The position up to which nothing is left to handle."""
        return self._start if self._entries else self.end

    def fill(self, entries: Iterable[LogEntry], end: LogPosition) -> None:
        """Add the events of the log up to a position."""
        self._entries.extend(entries)
        self.end = end

    def take(
        self,
        *,
        before: LogPosition | None,
        handled: Collection[LogPosition],
        holds: Callable[[LogEntry], bool],
        limit: int | None = None,
    ) -> Batch:
        """Return the first events, up to one at a position; they stay in the buffer.

        At most ``limit`` are to be handled.
        """
        entries: list[LogEntry] = []
        held: list[LogEntry] = []
        position = self._start
        for entry in self._entries:
            if entry.position == before:
                break
            if holds(entry):
                if len(held) == MAX_PARKED_AT_ONCE:
                    break
                held.append(entry)
            elif entry.position not in handled:
                if len(entries) == limit:
                    break
                entries.append(entry)
            position = entry.position
        else:
            position = self.end
        return Batch(entries, held, position)

    def take_first(self) -> Batch:
        """Return the first event alone; it stays in the buffer."""
        is_last = len(self._entries) == 1
        return Batch([self.first], [], self.end if is_last else self.first.position)

    def drop(self, position: LogPosition) -> None:
        """Forget the events up to a position."""
        self._start = position
        while self._entries and self._entries[0].position <= position:
            self._entries.popleft()
