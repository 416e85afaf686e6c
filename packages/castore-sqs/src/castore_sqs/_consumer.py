"""A consumer of a queue: receives messages, has them handled, and leaves none in flight."""

import asyncio
import logging
from typing import Any, Final

from castore_core.workers import (
    Attempts,
    HandlerCalls,
    HandlerFunction,
    InFlight,
    Loop,
    MessageGroups,
    Reporter,
    Tasks,
)
from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._calls import QueueCalls
from castore_sqs._deleting import Deleter
from castore_sqs._deliveries import Deliveries
from castore_sqs._in_flight import Delivery
from castore_sqs._options import WorkerOptions
from castore_sqs._received import SQSMessage, SQSMessageParser
from castore_sqs._receiving import Receiver
from castore_sqs._reports import describe_report
from castore_sqs._visibility import Visibility

_POLL_MARGIN: Final = 5.0  # seconds that the answer to a poll may come late
_LAST_MOMENT: Final = 1.0  # seconds that a handler has to end once it is cancelled
_LAST_REQUESTS: Final = 5.0  # seconds, on top of those of the retries

_logger = logging.getLogger("castore_sqs")


class Consumer:
    """Consumes a queue, in loops that somebody else runs until ``is_stopping`` is set."""

    def __init__(
        self,
        adapter: SQSMessageQueueAdapter,
        parser: SQSMessageParser[Any],
        handler: HandlerFunction,
        *,
        options: WorkerOptions,
        is_stopping: asyncio.Event,
    ) -> None:
        self._parser = parser
        self._handler = handler
        self._options = options
        self._is_stopping = is_stopping
        self._is_fifo = adapter.queue_url.endswith(".fifo")  # AWS lets no other queue's name end so
        self._late: list[Delivery] = []
        self._in_flight = InFlight[Delivery](options.concurrency)
        self._build(QueueCalls(adapter, options))

    def _build(self, calls: QueueCalls) -> None:
        options, in_flight = self._options, self._in_flight
        reporter = Reporter(
            options.on_report,
            logger=_logger,
            describe=describe_report,
            log_error_texts=options.log_error_texts,
        )
        self._visibility = Visibility(
            calls, in_flight, reporter, timeout=options.visibility_timeout
        )
        self._handler_calls = HandlerCalls(
            self._handler,
            timeout=options.handler_timeout,
            grace=max(options.grace_period, _LAST_MOMENT),
        )
        self._deliveries = Deliveries(
            Attempts(
                self._read,
                self._handler_calls,
                reporter,
                skips=self._parser.skips,
                destination=self._parser.destination,
            ),
            in_flight=in_flight,
            deleter=Deleter(calls, in_flight, reporter),
            visibility=self._visibility,
            reporter=reporter,
            retry_delay=options.retry_delay,
        )
        self._groups = MessageGroups(self._deliveries.handle, self._deliveries.give_back)
        self._receiver = Receiver(
            calls,
            in_flight,
            reporter,
            options=options,
            take=self._take,
            is_stopping=self._is_stopping,
            is_fifo=self._is_fifo,
        )

    @property
    def loops(self) -> list[Loop]:
        """The heartbeat, and the receivers."""
        return [self._visibility.keep_hidden, *[self._receiver.run] * self._options.receivers]

    @property
    def longest_end(self) -> float:
        """How many seconds `put_down` may take."""
        polls = self._options.wait_time + _POLL_MARGIN
        handlers = self._options.grace_period + 2 * _LAST_MOMENT
        return max(polls, handlers) + self._options.retries.give_up_after + _LAST_REQUESTS

    async def put_down(self, loops: Tasks) -> None:
        """Delete handled messages, and return all others, with those of the last requests.

        No message is returned before these requests are answered: they would get it again, which
        counts as an attempt to handle it.
        """
        self._in_flight.close()
        _, *receivers = loops
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end_polls(receivers))
                tasks.create_task(self._end_handlers())
            self._deliveries.give_back(self._in_flight)
            await self._deliveries.drain()
        finally:
            await self._groups.cancel()
            await self._deliveries.cancel()
            self._handler.close()

    async def _read(self, delivery: Delivery) -> SQSMessage[Any]:
        return await self._parser.parse_record(delivery.record)

    def _take(self, delivery: Delivery) -> None:
        if self._is_stopping.is_set():
            self._late.append(delivery)
        else:
            self._groups.add(delivery, delivery.group_id if self._is_fifo else None)

    async def _end_polls(self, receivers: Tasks) -> None:
        _, late = await asyncio.wait(receivers, timeout=self._options.wait_time + _POLL_MARGIN)
        if late:
            _logger.warning("a request for messages takes too long, and is not waited for")
        self._deliveries.give_back(self._late)

    async def _end_handlers(self) -> None:
        await self._groups.wait(self._options.grace_period)
        self._groups.stop()
        self._handler_calls.stop(_LAST_MOMENT)
        await self._groups.wait(2 * _LAST_MOMENT)
        await self._groups.cancel()  # those whose bodies are still being fetched
