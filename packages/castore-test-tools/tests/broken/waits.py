"""Event logs that do not wake their readers, or wake them for no reason of theirs."""

import asyncio
from typing import Any

from castore_core import EventRecord, LogPosition, parse_position
from castore_in_memory import InMemoryEventStorageAdapter


class OtherWaits(InMemoryEventStorageAdapter):
    """Waits by a way of its own."""

    def follows(self, after: LogPosition) -> bool:
        """Tell whether an event follows a position."""
        return len(self._log) > parse_position(after)

    async def wait_for_push(self, timeout: float | None) -> None:  # noqa: ASYNC109 as in the protocol
        """Wait for the next push."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            self._waiters.discard(waiter)


class WaitsForTheNextPush(OtherWaits):
    """Does not look at what is there already."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Wait for a push in any case."""
        parse_position(after)
        await self.wait_for_push(timeout)


class WaitsForEver(OtherWaits):
    """Has no clock."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Drop the timeout."""
        if not self.follows(after):
            await self.wait_for_push(None)


class NoTimeIsAnyTime(OtherWaits):
    """Tests a timeout for truth."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Take 0 for none."""
        if not self.follows(after):
            await self.wait_for_push(timeout or None)


class NegativeTimeoutFails(InMemoryEventStorageAdapter):
    """Refuses a time that is over."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Raise."""
        if timeout < 0:
            raise RuntimeError("the time is over")
        await super().wait_for_events(after, timeout)


class CancelledWaitReturns(InMemoryEventStorageAdapter):
    """Takes a cancellation for a reason to look."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Say nothing."""
        try:
            await super().wait_for_events(after, timeout)
        except asyncio.CancelledError:
            return


class CancelledWaitEndsOthers(OtherWaits):
    """Has one future for all that wait."""

    _pushed: "asyncio.Future[None] | None" = None

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Wait for the future itself."""
        await asyncio.sleep(0)
        if self.follows(after):
            return
        if self._pushed is None or self._pushed.done():
            self._pushed = asyncio.get_running_loop().create_future()
            self._waiters.add(self._pushed)
        try:
            async with asyncio.timeout(timeout):
                await self._pushed
        except TimeoutError:
            return


class SleepsThrough(InMemoryEventStorageAdapter):
    """Hears of no push, and does not declare it."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Let the time pass."""
        if not (await self.read_events(None, after, 1)).entries:
            await asyncio.sleep(timeout)


class WakingFewer(InMemoryEventStorageAdapter):
    """Does not wake all that wait."""

    def choose(self, waiters: "list[asyncio.Future[None]]", event_store_id: str) -> Any:
        """Return those to wake."""
        return waiters

    def _write(self, event_store_id: str, record: EventRecord) -> None:
        waiters = self._waiters
        self._waiters = set(self.choose([*waiters], event_store_id))
        super()._write(event_store_id, record)
        self._waiters = waiters


class WakesOneReader(WakingFewer):
    """Wakes the first that it finds."""

    def choose(self, waiters: "list[asyncio.Future[None]]", event_store_id: str) -> Any:
        """Take one."""
        return waiters[:1]


class WakesForOneStore(WakingFewer):
    """Wakes for events of the store that came up first."""

    def choose(self, waiters: "list[asyncio.Future[None]]", event_store_id: str) -> Any:
        """Look at the store."""
        first = self._log[0].event_store_id if self._log else event_store_id
        return waiters if event_store_id == first else ()


class LooksThenWaits(OtherWaits):
    """Lets others push between its look and its wait."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Pause."""
        if not self.follows(after):
            await asyncio.sleep(0)
            await self.wait_for_push(max(timeout, 0))


class WaitsInOneEventLoop(InMemoryEventStorageAdapter):
    """Keeps the event loop of the first that waited."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        await super().wait_for_events(after, timeout)
