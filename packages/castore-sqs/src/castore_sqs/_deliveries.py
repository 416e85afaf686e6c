"""Messages that SQS handed out: handled and deleted, or left to the queue."""

import logging
from collections.abc import Iterable

from castore_core.workers import Attempts, MessageReturned, Outcome, Reporter, ends_task
from castore_sqs._context import SQSMessageContext
from castore_sqs._deleting import Deleter
from castore_sqs._in_flight import DeliveriesInFlight, Delivery
from castore_sqs._options import RetryDelay, check_retry_delay
from castore_sqs._reports import VisibilityLost
from castore_sqs._visibility import Visibility

_logger = logging.getLogger("castore_sqs")


class Deliveries:
    """Has messages handled, deletes those that were, and leaves all others to the queue."""

    def __init__(
        self,
        attempts: Attempts[Delivery, SQSMessageContext],
        *,
        in_flight: DeliveriesInFlight,
        deleter: Deleter,
        visibility: Visibility,
        reporter: Reporter,
        retry_delay: RetryDelay | None,
    ) -> None:
        self._attempts = attempts
        self._in_flight = in_flight
        self._deleter = deleter
        self._visibility = visibility
        self._reporter = reporter
        self._retry_delay = retry_delay

    async def handle(self, delivery: Delivery) -> bool:
        """Handle a message, and tell whether its group may go on.

        One whose attempt was stopped stays in flight.
        """
        if delivery.has_run_out:
            self._leave_to_others(delivery)
            return False
        outcome = await self._attempts.attempt(delivery)
        if outcome is Outcome.FAILED:
            self._leave_to_queue(delivery)
        elif outcome is Outcome.HANDLED:
            self._deleter.delete(delivery)
        return outcome is Outcome.HANDLED and not delivery.is_lost

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Return messages to the queue, unless they were handled, or are returned already."""
        for each in deliveries:
            if each.is_lost:
                self._in_flight.drop(each)
            elif not (each.is_handled or each.is_returned):
                self._visibility.give_back(each, 0)
                self._reporter.tell(MessageReturned(each.message_id))

    async def drain(self) -> None:
        """Wait until all is deleted, or back in the queue."""
        await self._deleter.drain()
        await self._visibility.drain()

    async def cancel(self) -> None:
        """Delete and return nothing more."""
        await self._deleter.cancel()
        await self._visibility.cancel()

    def _leave_to_others(self, delivery: Delivery) -> None:
        if not delivery.is_lost:  # otherwise a heartbeat has told
            reason = "its visibility timeout ran out before it could be handled"
            self._reporter.tell(VisibilityLost(delivery.message_id, reason))
        self._in_flight.drop(delivery)

    def _leave_to_queue(self, delivery: Delivery) -> None:
        """Let the queue hand a message out again, or move it away, when its policy says so."""
        delay = self._get_retry_delay(delivery.attempt)
        if delay is None or delivery.is_lost:
            self._in_flight.drop(delivery)
        else:
            self._visibility.give_back(delivery, delay)

    def _get_retry_delay(self, attempt: int) -> int | None:
        if not callable(self._retry_delay):
            return self._retry_delay
        try:
            delay = self._retry_delay(attempt)
        except BaseException as error:
            if ends_task(error):
                raise
            self._reporter.log_error(error, "retry_delay raised for attempt %d", attempt)
            return None
        return self._check(delay, attempt)

    def _check(self, delay: int, attempt: int) -> int | None:
        try:
            check_retry_delay(delay)
        except ValueError as error:
            _logger.warning("no delay for attempt %d: %s", attempt, error)
            return None
        return delay
