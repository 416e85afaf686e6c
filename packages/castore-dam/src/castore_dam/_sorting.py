"""Sorting any number of events by their timestamps, in bounded memory.

Events are gathered up to a size, sorted, and written to a temporary file in chunks; the chunks are
merged at the end. The file has no name, and goes with the process.
"""

import asyncio
import pickle
import tempfile
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from operator import attrgetter
from sys import getsizeof
from typing import IO, Any, Final, NamedTuple, TypeAlias, cast

from castore_core import LogEntry, LogPosition
from castore_dam._flattening import flatten, restore

SortKey: TypeAlias = tuple[datetime, int, LogPosition]
"""A moment, the number of a scan, and the position in it: the first fields of a `SortedEvent`."""

_BUDGET: Final = 128 * 2**20  # bytes of events in memory
_SAMPLING: Final = 64  # of so many events, one is measured
_CHUNK: Final = 250  # events that are read again together


class SortedEvent(NamedTuple):
    """An event, after the fields that it is sorted by; no two events are alike in these."""

    moment: datetime
    number: int
    position: LogPosition
    event: LogEntry

    @property
    def key(self) -> SortKey:
        """The fields that it is sorted by."""
        return self[:3]


class _Chunk(NamedTuple):
    """A part of the file: events in the order of their keys."""

    first: SortKey
    start: int
    size: int


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
        self._chunks: list[_Chunk] = []
        self._file: IO[bytes] | None = None
        self.count = 0

    async def add(self, events: Sequence[SortedEvent]) -> None:
        """Take some events."""
        self._events.extend(events)
        self.count += len(events)
        self._size += sum(map(_measure, events[::_SAMPLING])) * _SAMPLING
        if self._size > self._budget:
            await asyncio.to_thread(self._spill)

    async def read(self) -> AsyncGenerator[Sequence[SortedEvent]]:
        """Yield all events that were taken, some at a time."""
        if self._file is not None:
            await asyncio.to_thread(self._spill)
        self._chunks.sort(key=attrgetter("first"))
        pending = self._events
        for chunk in self._chunks:
            if ready := bisect_left(pending, chunk.first):
                yield pending[:ready]
                del pending[:ready]
            pending += await asyncio.to_thread(self._load, chunk)
            pending.sort()
        pending.sort()
        yield pending

    def close(self) -> None:
        """Give the disk back."""
        if self._file is not None:
            self._file.close()

    def _spill(self) -> None:
        """Sort the events, and write them to the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 `close` closes it
        self._events.sort()
        for begin in range(0, len(self._events), _CHUNK):
            events = self._events[begin : begin + _CHUNK]
            packed = _pack(events)
            self._chunks.append(_Chunk(events[0].key, self._file.tell(), len(packed)))
            self._file.write(packed)
        self._events, self._size = [], 0

    def _load(self, chunk: _Chunk) -> list[SortedEvent]:
        assert self._file is not None  # noqa: S101 the chunk is in it
        self._file.seek(chunk.start)
        return _unpack(self._file.read(chunk.size))


class _FlatEvents(NamedTuple):
    """Events, some of which are nested too deeply for `pickle`: their values are flattened."""

    events: list[SortedEvent]


def _pack(events: list[SortedEvent]) -> bytes:
    try:
        return pickle.dumps(events, pickle.HIGHEST_PROTOCOL)
    except RecursionError:
        flat = _FlatEvents([_change_values(each, flatten) for each in events])
        return pickle.dumps(flat, pickle.HIGHEST_PROTOCOL)


def _unpack(packed: bytes) -> list[SortedEvent]:
    value: list[SortedEvent] | _FlatEvents = pickle.loads(packed)  # noqa: S301 we made it
    if isinstance(value, _FlatEvents):
        return [_change_values(each, restore) for each in value.events]
    return value


def _change_values(event: SortedEvent, change: Callable[[Any], Any]) -> SortedEvent:
    entry, record = event.event, event.event.record
    changed = record._replace(payload=change(record.payload), metadata=change(record.metadata))
    return event._replace(event=entry._replace(record=changed))


def _measure(event: SortedEvent) -> int:
    """Return about how many bytes an event takes in memory; the keys of objects are shared."""
    size = 0
    pending: list[object] = [event]
    while pending:
        value = pending.pop()
        size += getsizeof(value)
        if isinstance(value, dict):
            pending.extend(cast("dict[str, object]", value).values())
        elif isinstance(value, (list, tuple)):
            pending.extend(cast("Sequence[object]", value))
    return size
