"""Receiving: long polls, one after the other, for as long as there is room."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

from castore_aws import AWS_ERRORS, is_retryable
from castore_core.workers import MessagesReceived, ReceiveFailed, Reporter
from castore_sqs._calls import QueueCalls
from castore_sqs._in_flight import DeliveriesInFlight, Delivery
from castore_sqs._options import WorkerOptions


class Receiver:
    """Asks the queue for messages until it is stopped.

    A poll that is under way then is not cancelled: the messages of its answer would be hidden from
    everybody. They are handed on as always, and ``take`` returns them.
    """

    def __init__(
        self,
        calls: QueueCalls,
        in_flight: DeliveriesInFlight,
        reporter: Reporter,
        *,
        options: WorkerOptions,
        take: Callable[[Delivery], None],
        is_stopping: asyncio.Event,
        is_fifo: bool,
    ) -> None:
        self._calls = calls
        self._in_flight = in_flight
        self._reporter = reporter
        self._take = take
        self._is_stopping = is_stopping
        self._visibility_timeout = options.visibility_timeout
        self._is_fifo = is_fifo
        self._batch_size = options.batch_size
        self._retries = options.retries
        self._has_answered = False

    async def run(self) -> None:
        """Receive until it is stopped.

        Raises:
            ClientError, BotoCoreError: the queue refused the first request: it does not exist, or
                may not be read.
        """
        while not self._is_stopping.is_set():
            room = await self._in_flight.reserve(self._batch_size)
            records = await self._receive(room)
            expires_at = monotonic() + self._visibility_timeout
            deliveries = [Delivery(each, expires_at) for each in records]
            self._in_flight.take(deliveries, room)
            for each in deliveries:
                self._take(each)

    async def _receive(self, most: int) -> Sequence[Mapping[str, Any]]:
        failures = 0
        attempt_id = _AttemptId(self._visibility_timeout) if self._is_fifo else None
        while not self._is_stopping.is_set():
            try:
                name = None if attempt_id is None else attempt_id.get()
                records = await self._calls.receive(most, name)
            except AWS_ERRORS as error:
                if not self._has_answered and not is_retryable(error):
                    raise
                failures += 1
                await self._pause(error, failures)
            else:
                self._has_answered = True
                self._reporter.tell(MessagesReceived(len(records)))
                return records
        return ()

    async def _pause(self, error: Exception, failures: int) -> None:
        delay = random.uniform(0, self._retries.get_longest_delay(failures))  # noqa: S311 no secret
        self._reporter.tell(ReceiveFailed(error, failures, delay))
        try:
            async with asyncio.timeout(delay):
                await self._is_stopping.wait()
        except TimeoutError:
            return


class _AttemptId:
    """Names an attempt to receive from a FIFO queue, for as long as its messages are hidden.

    With the same name, the queue hands out the messages whose answer was lost. Without it they
    would hold up their groups until they are seen again.
    """

    def __init__(self, lasts: float) -> None:
        self._lasts = lasts
        self._ends_at = 0.0
        self._name = ""

    def get(self) -> str:
        """Return the name, a new one where the old one is over."""
        now = monotonic()
        if now >= self._ends_at:
            self._name = uuid4().hex
            self._ends_at = now + self._lasts
        return self._name
