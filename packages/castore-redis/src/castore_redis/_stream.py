"""A stream that a worker reads, alone for as long as it has the lease, or with others."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Final

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 it is the client's
    ReadOnlyError,
    RedisClusterException,
    TimeoutError,  # noqa: A004 it is the client's
    TryAgainError,
)

from castore_core.workers import MessagesReceived, ReceiveFailed, Reporter
from castore_redis._client import REDIS_ERRORS, is_missing_group, is_refusal
from castore_redis._delivery import Delivery, Held
from castore_redis._options import WorkerOptions
from castore_redis._reports import GroupRecreated, StreamLost, StreamTaken
from castore_redis._stream_calls import Entry, Page, StreamCalls

_PASSING: Final = (
    *(BusyLoadingError, ClusterDownError, ConnectionError, ReadOnlyError),
    *(RedisClusterException, TimeoutError, TryAgainError, OSError),
)
"""Errors that a server may not have a moment later."""

_FIRST: Final = "-"  # the cursor of the first pending entry
_LONGEST_PAUSE: Final = 5.0  # seconds
_LONGEST_POLL: Final = 1.0  # seconds between two looks at a lease that another worker has

_logger = logging.getLogger("castore_redis")


class Stream:
    """Reads a stream until the worker is stopped.

    With leases, one worker reads the stream. It claims all pending entries first, in their order,
    and again where an answer with entries was lost. Without, entries that were idle for too long
    are claimed now and then.

    Args:
        take: gets what was received.
        may_take: tells whether the worker should have the lease of one more stream.
    """

    def __init__(
        self,
        calls: StreamCalls,
        held: Held,
        reporter: Reporter,
        *,
        options: WorkerOptions,
        take: Callable[[Iterable[Delivery]], None],
        may_take: Callable[[], bool],
        is_stopping: asyncio.Event,
    ) -> None:
        self.calls = calls
        self.is_leased = options.ordered
        self.needs_trim = False
        self.interruption = asyncio.Event()  # wakes those who wait for a retry
        self._held = held
        self._reporter = reporter
        self._options = options
        self._take = take
        self._may_take = may_take
        self._is_stopping = is_stopping
        self._has_lease = False
        self._is_leaving = False
        self._lease_ends_at = 0.0
        self._last_id = ""
        self._cursor = _FIRST
        self._claims_at = 0.0
        self._has_answered = self._has_received = False

    @property
    def name(self) -> str:
        """The key of the stream."""
        return self.calls.keys.stream

    @property
    def has_lease(self) -> bool:
        """Whether the worker took the lease, and has not given it up."""
        return self._has_lease

    @property
    def has_run_out(self) -> bool:
        """Whether another worker may have the lease, by the clock."""
        return monotonic() >= self._lease_ends_at

    @property
    def is_held(self) -> bool:
        """Whether messages of the stream may be handled."""
        return self._has_lease and not self._is_leaving and not self.has_run_out

    async def run(self) -> None:
        """Receive until the worker is stopped.

        Raises:
            RedisError: Redis refused the first requests: there is no such group, or no permission.
        """
        failures = 0
        while not self._is_stopping.is_set():
            try:
                await self._step()
                failures = 0
            except REDIS_ERRORS as error:
                if self._is_final(error):
                    raise
                failures += 1
                self._cursor = _FIRST  # an answer with entries may be lost
                if not await self._mend(error):
                    await self._pause(error, failures)

    def extend(self, since: float) -> None:
        """Note that the lease was extended at a time on the monotonic clock."""
        self._lease_ends_at = since + self._options.visibility_timeout

    def lose(self, reason: str) -> None:
        """Note that the lease is lost."""
        if self._has_lease:
            self._has_lease = False
            self._reporter.tell(StreamLost(self.name, reason))
            self.interrupt()

    def leave(self) -> None:
        """Give the lease up, as soon as no message is in flight."""
        self._is_leaving = True
        self.interrupt()

    def claim_again(self) -> None:
        """Look for pending entries that the worker does not have."""
        self._cursor = _FIRST

    def interrupt(self) -> None:
        """Wake those who wait for a retry, or for new entries."""
        self.interruption.set()

    async def release(self) -> None:
        """Give the lease up at once."""
        if self._has_lease:
            self._has_lease = False
            await self.calls.release()

    def _is_final(self, error: Exception) -> bool:
        """Tell whether an error ends the worker, which would never receive anything."""
        if is_refusal(error):
            return not self._has_received
        if self._has_answered or isinstance(error, _PASSING):
            return False
        error.add_note(f"stream {self.name}: does `create_group` have to be called?")
        return True

    async def _step(self) -> None:
        if not self._has_answered:
            await self.calls.check_group()
            self._has_answered = True
        if self.is_leased and not self.is_held:
            await self._acquire()
        elif self._cursor and (self.is_leased or monotonic() >= self._claims_at):
            await self._receive(self._claim)
        elif not await self._receive(self._read):
            await self._until_interrupted(self.calls.wait(self._last_id, self._options.wait_time))

    async def _acquire(self) -> None:
        """Take the lease, when all messages that the worker had before are gone."""
        await self._until_interrupted(self._held.wait_until_none(self), by_leases=False)
        if self._is_stopping.is_set():
            return
        await self.release()
        self._is_leaving = False
        since = monotonic()
        if self._may_take() and await self.calls.acquire():
            self.extend(since)
            self._has_lease = True
            self._last_id, self._cursor = "", _FIRST
            self.interruption.clear()
            self._reporter.tell(StreamTaken(self.name))
        else:
            pause = min(_LONGEST_POLL, self._options.visibility_timeout / 3)
            await self._until_interrupted(asyncio.sleep(pause), by_leases=False)

    async def _receive(self, ask: Callable[[int], Awaitable[Page]]) -> bool:
        """Ask for messages, and tell whether to ask again at once: there may be more."""
        room = await self._held.reserve(self._options.batch_size)
        deliveries: list[Delivery] = []
        try:
            if room == 0 or self._is_stopping.is_set():
                return True
            since = monotonic()
            page = await ask(room)
            deliveries = [self._to_delivery(each, since) for each in page.entries]
        finally:
            self._held.take(deliveries, room)
        return self._note(page, deliveries) or len(deliveries) == room

    def _note(self, page: Page, deliveries: list[Delivery]) -> bool:
        """Take note of a page, and tell whether another one is needed."""
        if page.state == "ok":
            self._has_received = True
            self._last_id = page.last_id
            self._reporter.tell(MessagesReceived(len(deliveries)))
            self._take(deliveries)
            return False
        if page.state == "lost":
            self.lose("another worker has it, or it ran out")
        else:
            self._cursor = _FIRST
        return True

    async def _read(self, room: int) -> Page:
        return await self.calls.read(room, self._last_id if self.is_leased else "")

    async def _claim(self, room: int) -> Page:
        known_ids = [each.message_id for each in self._held.of(self)]
        page = await self.calls.claim(room, self._cursor, known_ids)
        if page.state == "ok":
            self._cursor = page.cursor
            if not page.cursor:
                await self._end_claims()
        return page

    async def _end_claims(self) -> None:
        """Remove consumers that have nothing any more; without leases, claim again later."""
        if not self.is_leased:
            self._cursor = _FIRST
            self._claims_at = monotonic() + self._options.visibility_timeout / 3
        try:
            await self.calls.forget_consumers(itself=False)
        except REDIS_ERRORS as error:  # what was claimed must not be lost
            _logger.debug("idle consumers of stream %s were not removed: %s", self.name, error)

    def _to_delivery(self, entry: Entry, since: float) -> Delivery:
        expires_at = since + self._options.visibility_timeout
        return Delivery(self, entry.message_id, entry.fields, entry.attempt, expires_at)

    async def _mend(self, error: Exception) -> bool:
        """Create a group again that was there before, and tell whether that was it."""
        if not is_missing_group(error):
            return False
        try:
            await self.calls.create_group()
        except REDIS_ERRORS:
            return False
        self._last_id = ""
        self._reporter.tell(GroupRecreated(self.name))
        return True

    async def _pause(self, error: Exception, failures: int) -> None:
        longest = min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 10))
        delay = random.uniform(0, longest)  # noqa: S311 no secret
        self._reporter.tell(ReceiveFailed(error, failures, delay))
        await self._until_interrupted(asyncio.sleep(delay), by_leases=False)

    async def _until_interrupted(self, work: Awaitable[object], *, by_leases: bool = True) -> None:
        """Wait for something, or until the worker is stopped, or the lease is lost."""
        signal = self.interruption if by_leases and self.is_leased else self._is_stopping
        tasks = [asyncio.ensure_future(each) for each in (work, signal.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_through = tasks[0].done()
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if is_through:
            tasks[0].result()
