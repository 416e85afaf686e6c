"""The parts of the event log contract share this: the fixture, and how a log is read."""

from collections.abc import Sequence
from typing import Protocol

from castore_core import (
    LOG_START,
    EventLog,
    EventStorageAdapter,
    LogEntry,
    LogPosition,
    LogSlice,
)
from castore_test_tools._contract import adapter_fixture
from castore_test_tools._json_contract import JSONContract

_MOST_READS = 10_000


class LoggingStorageAdapter(EventStorageAdapter, EventLog, Protocol):
    """An event storage that is an event log too."""


class EventLogContract(JSONContract):
    """The fixture and the capabilities of `EventLogTests`."""

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    works_in_several_event_loops_at_once: bool = True
    """One adapter can be used in several event loops at the same time, each of a thread."""

    wakes_waiting_readers: bool = True
    """A push through an adapter ends the waits of its readers before their timeout."""

    @adapter_fixture
    def adapter(self) -> LoggingStorageAdapter:
        """Return an adapter without events."""
        raise NotImplementedError("override the fixture `adapter`: return an empty event log")


async def follow_log(
    log: EventLog,
    event_store_ids: Sequence[str] | None = None,
    *,
    after: LogPosition = LOG_START,
    limit: int = 100,
) -> LogSlice:
    """Read a log to its end, and return all entries with the position of the end.

    Each read may look at a part of the log only, so a single one shows little.
    """
    entries: list[LogEntry] = []
    for _ in range(_MOST_READS):
        found = await log.read_events(event_store_ids, after, limit)
        check_slice(found, after, limit)
        entries += found.entries
        if found.position == after:
            return LogSlice(entries, after)
        after = found.position
    raise AssertionError(f"a reader has not come to the end of the log after {_MOST_READS} reads")


async def read_log(
    log: EventLog,
    event_store_ids: Sequence[str] | None = None,
    *,
    after: LogPosition = LOG_START,
    limit: int = 100,
) -> list[LogEntry]:
    """Return all the entries that follow a position."""
    return [*(await follow_log(log, event_store_ids, after=after, limit=limit)).entries]


def check_slice(found: LogSlice, after: LogPosition, limit: int) -> None:
    """Assert that a slice follows a position, and never goes back."""
    positions = [after, *(each.position for each in found.entries)]
    assert {str} == {type(each) for each in (*positions, found.position)}
    assert sorted(set(positions)) == positions
    assert len(found.entries) <= limit
    if len(found.entries) == limit:
        assert positions[-1] == found.position, "entries may follow the last one of a full slice"
    assert positions[-1] <= found.position
