"""The event log contract: reading from the end, where a log can."""

from typing import Any, cast

import pytest

from castore_core import (
    LOG_START,
    EventLog,
    InvalidLogPositionError,
    LogEntry,
    LogPosition,
    ReversibleEventLog,
    is_reversible_event_log,
)
from castore_test_tools._event_log_base import EventLogContract, LoggingStorageAdapter, read_log
from castore_test_tools._running import push_in_order
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_MOST_READS = 100


class BackwardsContract(EventLogContract):
    """A log that has `read_events_backwards` gives the same entries, the latest first.

    A log without it passes: it is optional.
    """

    async def test_a_log_is_read_from_its_end(self, adapter: LoggingStorageAdapter) -> None:
        """Pages of any size have all the entries of a read forwards, in the opposite order."""
        log = _find_reversible(adapter)
        if log is None:
            return
        await push_in_order(adapter, STORE, make_records("a1", 4))
        await push_in_order(adapter, OTHER_STORE, make_records("a1", 3))
        await push_in_order(adapter, STORE, make_records("a2", 2))
        for wanted in (None, [], [STORE], [OTHER_STORE, STORE], ["NOBODY"]):
            forwards = await read_log(adapter, wanted)
            for limit in (1, 2, 100):
                assert forwards[::-1] == await _read_backwards(log, wanted, limit)

    async def test_an_empty_log_ends_at_its_start(self, adapter: LoggingStorageAdapter) -> None:
        """Nothing is read of it, and nothing precedes."""
        log = _find_reversible(adapter)
        if log is not None:
            assert ((), LOG_START) == _plain(await log.read_events_backwards())

    async def test_the_bound_of_a_read_backwards_is_exclusive(
        self, adapter: LoggingStorageAdapter
    ) -> None:
        """The event at the position does not come again, and before the first one is none."""
        log = _find_reversible(adapter)
        if log is None:
            return
        await push_in_order(adapter, STORE, make_records("a1", 2))
        first, second = await read_log(adapter)
        assert ((first,), LOG_START) == _plain(
            await log.read_events_backwards(before=second.position)
        )
        for each in (first.position, LOG_START):
            assert ((), LOG_START) == _plain(await log.read_events_backwards(before=each))

    async def test_a_read_backwards_checks_its_query(self, adapter: LoggingStorageAdapter) -> None:
        """A text for a list, a limit below 1 and a position of another log are refused."""
        log = _find_reversible(adapter)
        if log is None:
            return
        await adapter.push_event("N", make_record())
        for options in ({"event_store_ids": "NOTES"}, {"limit": 0}):
            with pytest.raises(ValueError):  # noqa: PT011 any text will do
                await log.read_events_backwards(**cast("Any", options))
        with pytest.raises(InvalidLogPositionError):
            await log.read_events_backwards(before="nowhere")


def _find_reversible(log: EventLog) -> ReversibleEventLog | None:
    return log if is_reversible_event_log(log) else None


def _plain(found: Any) -> tuple[tuple[LogEntry, ...], LogPosition]:
    return tuple(found.entries), found.position


async def _read_backwards(
    log: ReversibleEventLog, event_store_ids: list[str] | None, limit: int
) -> list[LogEntry]:
    entries: list[LogEntry] = []
    before: LogPosition | None = None
    for _ in range(_MOST_READS):
        found = await log.read_events_backwards(event_store_ids, before, limit)
        assert len(found.entries) <= limit
        entries += found.entries
        before = found.position
        if before == LOG_START:
            return entries
    raise AssertionError(f"a reader has not come to the start of the log after {_MOST_READS} reads")
