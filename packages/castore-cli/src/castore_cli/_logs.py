"""Logs of storage adapters."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

from castore_cli.errors import UsageError
from castore_core import (
    LOG_START,
    EventLog,
    EventStore,
    LogEntry,
    LogPosition,
    ReversibleEventLog,
    is_event_log,
    is_reversible_event_log,
)

_PAGE: Final = 500
_LOOKBACK: Final = 10_000  # entries


def find_log(store: EventStore) -> EventLog | None:
    """Return the storage adapter of a store, if it is a log."""
    adapter = store.storage_adapter
    return adapter if is_event_log(adapter) else None


def get_log(store: EventStore) -> EventLog:
    """Return the storage adapter of a store, which has to be a log.

    Raises:
        UsageError: it is none.
        UndefinedStorageAdapterError: there is no adapter.
    """
    log = find_log(store)
    if log is None:
        kind = type(store.get_storage_adapter()).__name__
        raise UsageError(
            f"event store {store.event_store_id!r} has no log to follow: {kind} is none"
        )
    return log


async def find_last_entries(
    count: int,
    log: EventLog,
    event_store_ids: Sequence[str],
    end: LogPosition,
    accepts: Callable[[LogEntry], bool],
) -> Sequence[LogEntry]:
    """Return the last entries up to a position that are accepted, in the order of the log.

    Raises:
        UsageError: the log cannot be read from its end.
    """
    if not is_reversible_event_log(log):
        name = type(log).__name__
        raise UsageError(f"--last needs a log that can be read from its end, which {name} cannot")
    found: list[LogEntry] = []
    async with aclosing(_read_backwards(log, event_store_ids, end)) as entries:
        async for each in entries:
            if accepts(each):
                found.append(each)
            if len(found) == count:
                break
    return found[::-1]


async def find_position_before(
    moment: datetime, log: EventLog, event_store_ids: Sequence[str], end: LogPosition
) -> LogPosition:
    """Return a position that the entries since a moment follow, up to an end.

    Timestamps may run backwards in a log: it looks back until 10,000 entries in a row are earlier.
    A log that cannot be read from its end is read from its start.
    """
    if not is_reversible_event_log(log):
        return LOG_START
    earlier: list[LogPosition] = []
    async with aclosing(_read_backwards(log, event_store_ids, end)) as entries:
        async for each in entries:
            if each.record.timestamp >= moment:
                earlier.clear()
            else:
                earlier.append(each.position)
            if len(earlier) == _LOOKBACK:
                break
    return earlier[0] if earlier else LOG_START


async def _read_backwards(
    log: ReversibleEventLog, event_store_ids: Sequence[str], end: LogPosition
) -> AsyncGenerator[LogEntry]:
    """Yield the entries up to a position, the latest first.

    Later ones may be there already, which `read_events` holds back.
    """
    before: LogPosition | None = None
    while before != LOG_START:
        found = await log.read_events_backwards(event_store_ids, before, _PAGE)
        for each in found.entries:
            if each.position <= end:
                yield each
        before = found.position
