"""Sorting any number of events by their timestamps, in bounded memory.

Events are gathered up to a size, sorted, and written to a temporary file as a run; the runs are
merged at the end. The file has no name, and goes with the process.
"""

import asyncio
import pickle
import tempfile
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import IO, NamedTuple, TypeAlias

from castore_core import EventRecord
from castore_dam._scan import PAGE, Place

SortKey: TypeAlias = tuple[int, int, Place]
"""Milliseconds, the number of the scan, and the place in it."""

_BUDGET = 64 * 2**20  # bytes of events in memory
_EXPANSION = 5  # bytes in memory for each byte of a pickle
_SAMPLING = 8  # of so many events, one is measured
_CHUNK = 256  # events that are read from a run at a time


class SortedEvent(NamedTuple):
    """An event, and the key to sort it by, which no other event has."""

    key: SortKey
    event_store_id: str
    record: EventRecord


class _Run(NamedTuple):
    """A part of the file that is sorted: where it starts, and ends."""

    start: int
    end: int


class EventSorter:
    """Takes events in any order, and gives them back in the order of their keys.

    Args:
        budget: about how many bytes of events are kept in memory. Their size is measured by
            samples.
    """

    def __init__(self, budget: int = _BUDGET) -> None:
        self._budget = budget
        self._events: list[SortedEvent] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._runs: list[_Run] = []
        self.count = 0

    async def add(self, events: Sequence[SortedEvent]) -> None:
        """Take some events."""
        self._events.extend(events)
        self.count += len(events)
        self._size += _measure(events[::_SAMPLING]) * _SAMPLING
        if self._size > self._budget:
            await asyncio.to_thread(self._spill)

    async def read(self) -> AsyncGenerator[Sequence[SortedEvent]]:
        """Yield all events that were taken, page by page."""
        self._events.sort()
        if not self._runs:
            for begin in range(0, len(self._events), PAGE):
                yield self._events[begin : begin + PAGE]
            return
        merged = merge(*map(self._read_run, self._runs), self._events)
        while page := await asyncio.to_thread(_take_page, merged):
            yield page

    def close(self) -> None:
        """Give the disk back."""
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 `close` closes it
        self._events.sort()
        start = self._file.seek(0, 2)
        for begin in range(0, len(self._events), _CHUNK):
            pickle.dump(self._events[begin : begin + _CHUNK], self._file, pickle.HIGHEST_PROTOCOL)
        self._runs.append(_Run(start, self._file.tell()))
        self._events, self._size = [], 0

    def _read_run(self, run: _Run) -> Generator[SortedEvent]:
        assert self._file is not None  # noqa: S101 the run is in it
        position = run.start
        while position < run.end:
            self._file.seek(position)
            chunk: list[SortedEvent] = pickle.load(self._file)  # noqa: S301 the file is our own
            position = self._file.tell()
            yield from chunk


def _measure(events: Sequence[SortedEvent]) -> int:
    return sum(len(pickle.dumps(each)) for each in events) * _EXPANSION


def _take_page(events: Iterator[SortedEvent]) -> Sequence[SortedEvent]:
    return [*islice(events, PAGE)]
