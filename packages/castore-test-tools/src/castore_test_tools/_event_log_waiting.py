"""The event log contract: waits for the next event.

A wait may return early, so that a reader reads, and waits again if there is nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from castore_core import LOG_START, GroupedRecord, LogEntry, LogPosition
from castore_test_tools._contract import requires
from castore_test_tools._event_log_base import EventLogContract, LoggingStorageAdapter
from castore_test_tools._running import CANCELLED_AFTER, delay, push_in_order, run_elsewhere
from castore_test_tools._values import OTHER_STORE, STORE, make_record, make_records

_LONG = 600.0
_SHORT = 0.05
_READERS = 32
_ROUNDS = 200


class WaitingContract(EventLogContract):
    """Waits end when an event follows, or when their time is over."""

    async def test_a_wait_for_what_is_there_already(self, adapter: LoggingStorageAdapter) -> None:
        """A wait ends at once where an event follows, of whichever store."""
        await push_in_order(adapter, STORE, make_records("a1", 2))
        first = await adapter.find_position(STORE, "a1", 1)
        assert first is not None
        await self._ends_soon(
            adapter.wait_for_events(LOG_START, _LONG), adapter.wait_for_events(first, _LONG)
        )

    async def test_a_wait_ends_after_its_timeout(self, adapter: LoggingStorageAdapter) -> None:
        """A wait for nothing ends without an error, in an empty log and at the end of another."""
        await self._ends_soon(adapter.wait_for_events(LOG_START, _SHORT))
        await adapter.push_event(STORE, make_record())
        last = await adapter.get_last_position()
        await self._ends_soon(adapter.wait_for_events(last, _SHORT))

    @pytest.mark.parametrize("timeout", [0, -1])
    async def test_a_wait_without_time(
        self,
        adapter: LoggingStorageAdapter,
        timeout: float,  # noqa: ASYNC109 it is what the test is about
    ) -> None:
        """A wait of no time, or of less, is a look."""
        await self._ends_soon(adapter.wait_for_events(LOG_START, timeout))
        await adapter.push_event(STORE, make_record())
        last = await adapter.get_last_position()
        await self._ends_soon(
            adapter.wait_for_events(last, timeout), adapter.wait_for_events(LOG_START, timeout)
        )

    @pytest.mark.parametrize("steps", CANCELLED_AFTER)
    async def test_a_cancelled_wait(self, adapter: LoggingStorageAdapter, steps: int) -> None:
        """A wait that is cancelled raises `CancelledError`, and leaves other waits alone."""
        other = asyncio.ensure_future(adapter.wait_for_events(LOG_START, 2 * _SHORT))
        wait = asyncio.ensure_future(adapter.wait_for_events(LOG_START, _LONG))
        for _ in range(steps):
            await asyncio.sleep(0)
        has_returned = wait.done()
        wait.cancel()
        await asyncio.wait([wait], timeout=self._patience)
        assert wait.cancelled() or has_returned
        await adapter.push_event(STORE, make_record())
        await self._ends_soon(other, adapter.wait_for_events(LOG_START, _LONG))
        last = await adapter.get_last_position()
        await self._ends_soon(adapter.wait_for_events(last, _SHORT))

    @requires("wakes_waiting_readers")
    async def test_a_push_wakes_all_readers(self, adapter: LoggingStorageAdapter) -> None:
        """A push, of an event or a group, ends the waits of all readers, not of the first alone."""

        async def wake(push: Callable[[], Awaitable[None]]) -> None:
            last = await adapter.get_last_position()
            readers = [asyncio.ensure_future(_read_next(adapter, last)) for _ in range(_READERS)]
            await asyncio.sleep(_SHORT)
            await push()
            await self._ends_soon(*readers)

        group = [GroupedRecord(STORE, make_record(each), adapter) for each in ("a2", "a3")]
        await wake(lambda: adapter.push_event(STORE, make_record()))
        await wake(lambda: adapter.push_event_group(group))

    @requires("wakes_waiting_readers")
    async def test_events_of_any_store_wake_a_reader(self, adapter: LoggingStorageAdapter) -> None:
        """A wait is for an event of any store, so that it ends with one of a new store, too."""
        for number, store_id in enumerate((STORE, OTHER_STORE, "DIARIES", STORE)):
            last = await adapter.get_last_position()
            reader = asyncio.ensure_future(_read_next(adapter, last))
            await asyncio.sleep(_SHORT)
            await adapter.push_event(store_id, make_record(f"a{number}"))
            await self._ends_soon(reader)
            assert [store_id] == [each.event_store_id for each in reader.result()]

    @requires("wakes_waiting_readers")
    async def test_no_wake_up_is_lost(self, adapter: LoggingStorageAdapter) -> None:
        """A push that falls in with the begin of a wait, at whichever step, ends it."""
        for number in range(_ROUNDS):
            last = await adapter.get_last_position()
            reader = asyncio.ensure_future(delay(_read_next(adapter, last), number % 5))
            if number % 2:  # what another thread does takes time, and not turns
                await asyncio.sleep(number % 7 / 2000)
            push = adapter.push_event(STORE, make_record(f"a{number}"))
            await delay(push, number // 5 % 5)
            await self._ends_soon(reader)

    @requires("works_in_several_event_loops")
    async def test_waits_in_another_event_loop(self, adapter: LoggingStorageAdapter) -> None:
        """A wait ends in a second event loop as it does in the first one, and there again."""
        await self._ends_soon(adapter.wait_for_events(LOG_START, _SHORT))
        await run_elsewhere(lambda: adapter.wait_for_events(LOG_START, _SHORT))
        await adapter.push_event(STORE, make_record())
        await run_elsewhere(lambda: adapter.wait_for_events(LOG_START, _LONG))
        last = await adapter.get_last_position()
        await self._ends_soon(adapter.wait_for_events(last, _SHORT))

    @requires("wakes_waiting_readers", "works_in_several_event_loops")
    async def test_readers_wake_in_another_event_loop(self, adapter: LoggingStorageAdapter) -> None:
        """A push ends the waits of its own event loop, be it the first one or the second."""

        async def wake(aggregate_id: str) -> None:
            last = await adapter.get_last_position()
            reader = asyncio.ensure_future(_read_next(adapter, last))
            await asyncio.sleep(_SHORT)
            await adapter.push_event(STORE, make_record(aggregate_id))
            await self._ends_soon(reader)

        await wake("a1")
        await run_elsewhere(lambda: wake("a2"))
        await wake("a3")

    async def _ends_soon(self, *waits: Awaitable[object]) -> None:
        """Assert that waits end without an error, long before a timeout that is long."""
        tasks = [asyncio.ensure_future(each) for each in waits]
        _, pending = await asyncio.wait(tasks, timeout=self._patience)
        for each in pending:
            each.cancel()
        assert 0 == len(pending), "a wait did not end"
        assert not any(each.cancelled() for each in tasks), "a wait that nobody cancelled ended so"
        await asyncio.gather(*tasks)


async def _read_next(adapter: LoggingStorageAdapter, after: LogPosition) -> Sequence[LogEntry]:
    """Wait until something follows a position, and read it."""
    while True:
        await adapter.wait_for_events(after, _LONG)
        found = await adapter.read_events(None, after)
        if found.entries:
            return found.entries
        after = found.position
        await asyncio.sleep(0)
