"""Handing messages to the handler: those of a group one after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from inspect import isawaitable
from time import perf_counter
from typing import Final, Generic, TypeAlias, TypeVar

from castore_sqs._cancellation import ends_task, is_cancelled
from castore_sqs._deleting import Deleter
from castore_sqs._in_hand import Delivery, InHand
from castore_sqs._received import Handler, SQSMessage, SQSMessageParser
from castore_sqs._reports import (
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageUnreadable,
    Reporter,
    VisibilityLost,
)
from castore_sqs._visibility import Visibility

M = TypeVar("M")

RetryDelay: TypeAlias = int | Callable[[int], int]
"""Whole seconds, or a function that tells them from the number of the attempt that failed."""

LONGEST_TIMEOUT: Final = 43_200  # seconds; AWS's own limit

_logger = logging.getLogger("castore_sqs")


class Lanes(Generic[M]):
    """Handles messages, each lane by a task of its own.

    The messages of a FIFO group share a lane. After one that was not handled, the rest of its lane
    is returned: the queue keeps the group back until the first of them is seen again.
    """

    def __init__(
        self,
        parser: SQSMessageParser[M],
        handler: Handler[M],
        *,
        in_hand: InHand,
        deleter: Deleter,
        visibility: Visibility,
        reporter: Reporter,
        retry_delay: RetryDelay | None,
    ) -> None:
        self._parser = parser
        self._handler = handler
        self._in_hand = in_hand
        self._deleter = deleter
        self._visibility = visibility
        self._reporter = reporter
        self._retry_delay = retry_delay
        self._groups: dict[str, deque[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, delivery: Delivery, group_id: str | None) -> None:
        """Handle a message, after those of its group, if it has one."""
        if group_id is not None and group_id in self._groups:
            self._groups[group_id].append(delivery)
            return
        lane = deque([delivery])
        if group_id is not None:
            self._groups[group_id] = lane
        task = asyncio.get_running_loop().create_task(self._work_off(lane, group_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, grace_period: float) -> None:
        """Let handlers go on for so many seconds, cancel them, and wait until they are through."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_period)
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel what handlers are left."""
        for task in self._tasks:
            task.cancel()

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Return messages to the queue, unless they were handled, or are returned already."""
        for each in deliveries:
            if each.is_lost:
                self._in_hand.drop(each)
            elif not (each.is_handled or each.is_returned):
                self._visibility.give_back(each, 0)
                self._reporter.tell(MessageReturned(each.message_id))

    async def _work_off(self, lane: deque[Delivery], group_id: str | None) -> None:
        try:
            while lane and not is_cancelled():
                delivery = lane[0]
                is_handled = await self._handle(delivery)
                lane.popleft()
                if not is_handled or delivery.is_lost:
                    break
        finally:
            if group_id is not None:
                del self._groups[group_id]
        self.give_back(lane)

    async def _handle(self, delivery: Delivery) -> bool:
        """Tell whether a message was handled, and what follows it in its group may be."""
        if delivery.has_run_out:
            if not delivery.is_lost:  # otherwise a heartbeat has told
                reason = "its visibility timeout ran out before it could be handled"
                self._reporter.tell(VisibilityLost(delivery.message_id, reason))
            self._in_hand.drop(delivery)
            return False
        try:
            received = await self._parser.parse_record(delivery.record)
        except BaseException as error:
            if ends_task(error):
                raise
            place = delivery.message_id, delivery.attempt
            self._reporter.tell(MessageUnreadable(*place, error))
            self._leave_to_queue(delivery)
            return False
        return await self._attempt(delivery, received)

    async def _attempt(self, delivery: Delivery, received: SQSMessage[M]) -> bool:
        message, context = received
        began = perf_counter()
        try:
            result = self._handler(message, context)
            if isawaitable(result):
                await result
        except BaseException as error:
            if ends_task(error):
                raise
            self._reporter.tell(MessageFailed(context, error, perf_counter() - began))
            self._leave_to_queue(delivery)
            return False
        self._deleter.delete(delivery)
        self._reporter.tell(MessageHandled(context, perf_counter() - began))
        return True

    def _leave_to_queue(self, delivery: Delivery) -> None:
        """Let the queue hand a message out again, or move it away, when its policy says so."""
        delay = self._get_retry_delay(delivery.attempt)
        if delay is None or delivery.is_lost:
            self._in_hand.drop(delivery)
        else:
            self._visibility.give_back(delivery, delay)

    def _get_retry_delay(self, attempt: int) -> int | None:
        if not callable(self._retry_delay):
            return self._retry_delay
        try:
            delay = self._retry_delay(attempt)
            check_retry_delay(delay)
        except Exception:
            _logger.exception("retry_delay gave no delay for attempt %d", attempt)
            return None
        return delay


def check_retry_delay(delay: object) -> None:
    """Raise a `ValueError` for what SQS does not take: it would refuse other messages with it."""
    if not (isinstance(delay, int) and 0 <= delay <= LONGEST_TIMEOUT):
        raise ValueError(f"retry_delay is not 0 to {LONGEST_TIMEOUT} whole seconds: {delay!r}")
