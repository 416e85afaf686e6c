"""Pages of the log: the latest events first, of all storages, filtered within bounds."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from castore_core import (
    LOG_START,
    InvalidLogPositionError,
    LogEntry,
    LogPosition,
    ReversibleEventLog,
)
from castore_visualizer._storage_failures import StorageFailure, attempt

MOST_LOOKED_AT: Final = 3_000
"""How many events a page looks at, at most, to find those that a filter wants."""

_BATCH: Final = 500


@dataclass(frozen=True)
class LogFilter:
    """Which events are wanted. Empty texts and ``None`` want all; bounds are inclusive.

    ``searches_whole_log`` lets the storage look for the events of the store: it finds them however
    far they are, and may take as long as reading the log.
    """

    event_store_id: str = ""
    event_type: str = ""
    aggregate_id: str = ""
    after: datetime | None = None
    before: datetime | None = None
    searches_whole_log: bool = False

    def wants_store(self, event_store_id: str) -> bool:
        """Tell whether events of a store are wanted."""
        return self.event_store_id in {"", event_store_id}

    def wants(self, entry: LogEntry) -> bool:
        """Tell whether an event is wanted."""
        record = entry.record
        return (
            self.wants_store(entry.event_store_id)
            and self.event_type in {"", record.type}
            and self.aggregate_id in {"", record.aggregate_id}
            and (self.after is None or record.timestamp >= self.after)
            and (self.before is None or record.timestamp <= self.before)
        )

    @property
    def is_narrow(self) -> bool:
        """Whether events are passed over."""
        return bool(
            self.event_store_id or self.event_type or self.aggregate_id or self.after or self.before
        )


class LogPage(NamedTuple):
    """A page of events. ``following`` is where each log goes on; ``None`` where nothing follows.

    ``looked_at`` is the number of events that were read, ``reached`` the timestamp of the last.
    ``failures`` are the errors of logs that could not be read, or not further, as far as their
    stores are wanted.
    """

    entries: Sequence[LogEntry]
    following: list[LogPosition | None] | None
    looked_at: int
    reached: datetime | None
    failures: Sequence[StorageFailure]


class _Cursor:
    """Reads one log towards its start, or as far as it can be read."""

    def __init__(
        self,
        log: ReversibleEventLog,
        store_ids: list[str],
        before: LogPosition | None,
        patience: float | None,
    ) -> None:
        self._log = log
        self._store_ids = store_ids
        self._patience = patience
        self.before = before
        self.error: Exception | None = None
        self._entries: list[LogEntry] = []

    @property
    def is_at_end(self) -> bool:
        """Whether no entries follow, or none that can be read."""
        return self.before == LOG_START or self.error is not None

    async def peek(self, size: int) -> LogEntry | None:
        """Return the next entry, for which ``size`` are read at once where none is at hand."""
        if not self._entries and not self.is_at_end:
            await self._read(size)
        return self._entries[-1] if self._entries else None

    def take(self) -> LogEntry:
        """Take the entry that was peeked at."""
        entry = self._entries.pop()
        is_first_of_all = not self._entries and self._is_last
        self.before = LOG_START if is_first_of_all else entry.position
        return entry

    def describe_failure(self, log_filter: LogFilter) -> StorageFailure | None:
        """Return the error of the log, with those of its stores that are wanted."""
        if self.error is None:
            return None
        wanted = [each for each in self._store_ids if log_filter.wants_store(each)]
        return StorageFailure(wanted, self.error)

    async def _read(self, size: int) -> None:
        reading = self._log.read_events_backwards(self._store_ids, self.before, size)
        found = await attempt(reading, self._patience)
        if isinstance(found, InvalidLogPositionError):
            raise found  # the position is that of the address, and not of the storage
        if isinstance(found, Exception):
            self.error = found
            return
        self._entries = list(found.entries)[::-1]
        if not self._entries:
            self.before = LOG_START
        self._is_last = found.position == LOG_START


async def read_page(
    logs: Iterable[tuple[ReversibleEventLog, list[str]]],
    log_filter: LogFilter,
    before: Sequence[LogPosition | None],
    limit: int,
    patience: float,
) -> LogPage:
    """Read the events that precede some positions, one for each log, the latest first.

    The order is that of each log; between logs, that of the timestamps. A log that fails, or does
    not answer for ``patience`` seconds, ends there, and the others go on; where the whole log is
    searched, it may take as long as it needs.

    Raises:
        InvalidLogPositionError: a position is none of its log.
    """
    limit_of_each = None if log_filter.searches_whole_log else patience
    cursors = [
        _Cursor(log, _choose(store_ids, log_filter), position, limit_of_each)
        for (log, store_ids), position in zip(logs, before, strict=True)
    ]
    await asyncio.gather(*(each.peek(limit) for each in cursors))  # one that is slow delays none
    entries, looked_at, reached = await _walk(cursors, log_filter.wants, limit)
    following: list[LogPosition | None] = [each.before for each in cursors]
    is_end = all(each.is_at_end for each in cursors)
    failures = [each.describe_failure(log_filter) for each in cursors]
    return LogPage(
        entries,
        None if is_end else following,
        looked_at,
        reached,
        [each for each in failures if each is not None],
    )


async def _walk(
    cursors: Sequence[_Cursor], wants: Callable[[LogEntry], bool], limit: int
) -> tuple[list[LogEntry], int, datetime | None]:
    entries: list[LogEntry] = []
    reached: datetime | None = None
    looked_at = 0
    while len(entries) < limit and looked_at < MOST_LOOKED_AT:
        size = limit if looked_at < limit else _BATCH  # what follows is far, it seems
        heads = [(each, await each.peek(size)) for each in cursors]
        open_heads = [(each, entry) for each, entry in heads if entry is not None]
        if not open_heads:
            break
        cursor, entry = max(open_heads, key=lambda head: head[1].record.timestamp)
        cursor.take()
        looked_at += 1
        reached = entry.record.timestamp
        if wants(entry):
            entries.append(entry)
    return entries, looked_at, reached


def _choose(store_ids: list[str], log_filter: LogFilter) -> list[str]:
    if not log_filter.searches_whole_log or not log_filter.event_store_id:
        return store_ids
    return [each for each in store_ids if each == log_filter.event_store_id]
