"""Messages that a stream handed out: handled and acknowledged, tried again, or moved away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from castore_core.workers import Attempts, Outcome, Reporter, ends_task
from castore_redis._acknowledging import Acknowledger
from castore_redis._client import REDIS_ERRORS
from castore_redis._context import RedisMessageContext
from castore_redis._delivery import NOT_OWN, Delivery, Held
from castore_redis._options import WorkerOptions, check_retry_delay
from castore_redis._reports import MessageDeadLettered, MessageLost
from castore_redis._returning import Returns

_LONGEST_PAUSE: Final = 5.0  # seconds

_logger = logging.getLogger("castore_redis")


class Deliveries:
    """Has messages handled, as often as they may be, in the order of their aggregate."""

    def __init__(
        self,
        attempts: Attempts[Delivery, RedisMessageContext],
        *,
        held: Held,
        acknowledger: Acknowledger,
        returns: Returns,
        reporter: Reporter,
        options: WorkerOptions,
        is_stopping: asyncio.Event,
    ) -> None:
        self._attempts = attempts
        self._held = held
        self._acknowledger = acknowledger
        self._returns = returns
        self._reporter = reporter
        self._options = options
        self._is_stopping = is_stopping

    async def handle(self, delivery: Delivery) -> bool:
        """Handle a message until that worked, and tell whether its group may go on.

        One whose attempt was stopped stays in flight.
        """
        if not await self._held.readmit(delivery):
            return False
        try:
            return await self._handle(delivery)
        finally:
            self._held.unblock(delivery)

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Return messages to their stream, unless they were handled, or are returned already."""
        for each in deliveries:
            if each.is_lost:
                self._held.drop(each)
            elif not each.is_handled:
                self._returns.add(each)

    async def drain(self) -> None:
        """Wait until all is acknowledged, or given back."""
        await self._acknowledger.drain()
        await self._returns.drain()

    async def cancel(self) -> None:
        """Acknowledge and return nothing more."""
        await self._acknowledger.cancel()
        await self._returns.cancel()

    async def _handle(self, delivery: Delivery) -> bool:
        while not delivery.has_run_out:
            if self._has_no_attempt_left(delivery.attempt - 1):  # its last worker died with it
                return await self._bury(delivery, delivery.attempt - 1)
            outcome = await self._attempts.attempt(delivery)
            if outcome is Outcome.HANDLED:
                self._acknowledger.add(delivery)
                return self._may_go_on(delivery)
            if outcome is Outcome.STOPPED:
                return False
            if self._has_no_attempt_left(delivery.attempt):
                return await self._bury(delivery, delivery.attempt)
            if not await self._wait_for_retry(delivery):
                return False
            if not await self._count_attempt(delivery):
                break
        return self._leave(delivery)

    def _has_no_attempt_left(self, attempts: int) -> bool:
        most = self._options.max_attempts
        return most is not None and attempts >= most

    async def _wait_for_retry(self, delivery: Delivery) -> bool:
        """Wait, and tell whether the worker still goes on then."""
        delivery.has_failed = True
        self._held.block(delivery)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._get_retry_delay(delivery.attempt)):
                await delivery.stream.interruption.wait()
        return not self._is_stopping.is_set() and await self._held.readmit(delivery)

    async def _count_attempt(self, delivery: Delivery) -> bool:
        """Count another attempt, and tell whether the message is still this worker's."""
        attempt = delivery.attempt + 1
        is_own = await self._insist(
            delivery, lambda: delivery.stream.calls.count_attempt(delivery.message_id, attempt)
        )
        if is_own:
            delivery.attempt, delivery.has_failed = attempt, False
        return is_own

    async def _bury(self, delivery: Delivery, attempts: int) -> bool:
        """Move a message to the dead letters, and tell whether its group may go on."""
        is_own = await self._insist(
            delivery, lambda: delivery.stream.calls.bury(delivery.message_id, attempts)
        )
        if not is_own:
            return self._leave(delivery)
        self._reporter.tell(MessageDeadLettered(delivery.message_id, attempts))
        delivery.is_handled = delivery.stream.needs_trim = True
        self._held.drop(delivery)
        return True

    async def _insist(self, delivery: Delivery, ask: Callable[[], Awaitable[bool]]) -> bool:
        """Ask until there is an answer, or others may have the message."""
        pause = 0.1  # seconds
        while not (delivery.has_run_out or self._is_stopping.is_set()):
            try:
                return await ask()
            except REDIS_ERRORS as error:
                _logger.warning("message %s waits for Redis: %s", delivery.message_id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        return False

    def _may_go_on(self, delivery: Delivery) -> bool:
        """Tell whether the next message of a group may follow one that is done with.

        Where the worker has the lease of a stream, that does not depend on the message: nobody else
        would handle what follows, even if this message was deleted meanwhile.
        """
        stream = delivery.stream
        return stream.is_held if stream.is_leased else not delivery.has_run_out

    def _leave(self, delivery: Delivery) -> bool:
        """Leave a message to others, and tell whether its group may go on."""
        stream = delivery.stream
        if self._is_stopping.is_set() or (stream.has_lease and not stream.is_held):  # it leaves
            self.give_back([delivery])
            return False
        if not delivery.is_lost and (stream.is_held or not stream.is_leased):  # otherwise told
            self._reporter.tell(MessageLost(delivery.message_id, NOT_OWN))
        self._held.drop(delivery)
        return stream.is_held or not stream.is_leased

    def _get_retry_delay(self, attempt: int) -> float:
        delay = self._options.retry_delay
        if not callable(delay):
            return self._options.visibility_timeout if delay is None else delay
        try:
            found = delay(attempt)
            check_retry_delay(found)
        except BaseException as error:
            if ends_task(error):
                raise
            self._reporter.log_error(error, "no retry_delay for attempt %d", attempt)
            return self._options.visibility_timeout
        return found
