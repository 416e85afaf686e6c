"""The worker: consumes a queue in a container, or in any process of its own."""

import asyncio
import logging
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, cast

from castore_aws import RetryPolicy
from castore_core import MessageChannel
from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._calls import BATCH_SIZE, QueueCalls
from castore_sqs._deleting import Deleter
from castore_sqs._in_hand import Delivery, InHand
from castore_sqs._lanes import LONGEST_TIMEOUT, Lanes, RetryDelay, check_retry_delay
from castore_sqs._received import Handler, SQSMessageParser
from castore_sqs._receiving import Receiver
from castore_sqs._reports import Reporter, ReportHook
from castore_sqs._visibility import Visibility

M = TypeVar("M")

_LONGEST_WAIT: Final = 20  # seconds; AWS's own limit
_POLL_MARGIN: Final = 5.0  # seconds that the answer to a poll may come late

_logger = logging.getLogger("castore_sqs")


class SQSWorker(Generic[M]):
    """Hands the messages of a queue to a handler, and deletes those that it handled.

    What the handler raises fails its message alone: the queue hands that out again, until its
    redrive policy moves it away. So it is with what is no message of the channel. Nothing is ever
    deleted that was not handled. Messages may come more than once.

    In a FIFO queue, the messages of a group are handled one after the other. After one that was
    not handled, those of its group that were received with it are returned to the queue unhandled,
    which keeps the group back until the first one is seen again.

    Args:
        channel: the queue whose messages they are, or the bus, where a rule of EventBridge has the
            SQS queue as its target.
        handler: is called with a message and its `SQSMessageContext`. What it returns is awaited,
            if it can be. A plain function holds up the event loop, heartbeats too.
        adapter: tells which SQS queue is read, with which client. By default that is the adapter
            of the channel.
        concurrency: how many messages the worker has in hand at most, 1 or more: from the moment
            that they are received until they are deleted or returned.
        batch_size: how many messages come with one request at most, 1 to 10. With 1, the messages
            of a FIFO group that wait for one that fails are not received with it, and do not
            follow it to the dead-letter queue.
        receivers: how many requests for messages are under way at once, 1 or more. They take effect
            where ``concurrency`` is more than ``batch_size`` for each.
        wait_time: how many seconds a request waits for a message (long polling), 1 to 20.
        visibility_timeout: how many seconds a message is hidden from others, 1 to 43,200. It is
            extended for as long as the message is in hand, every third of that time.
        retry_delay: how many seconds after a failure its message is seen again, 0 to 43,200, or a
            function of the number of the attempt that failed. With ``None``, that is when the
            visibility timeout runs out.
        grace_period: how many seconds handlers may go on after `stop`, 0 or more. Then they are
            cancelled.
        retries: bounds the attempts of deletes and of changes of visibility. Requests for messages
            are tried again without end, after the same pauses.
        on_report: is called with each `WorkerReport`, for metrics. It should not take long.

    Raises:
        TypeError: the channel has no adapter for SQS, and there is no other one.
        UndefinedMessageChannelAdapterError: it has none at all.
        ValueError: an option is out of its bounds, or does not fit the configuration of the client.
    """

    def __init__(
        self,
        channel: MessageChannel[M],
        handler: Handler[M],
        *,
        adapter: SQSMessageQueueAdapter | None = None,
        concurrency: int = 10,
        batch_size: int = BATCH_SIZE,
        receivers: int = 1,
        wait_time: int = 20,
        visibility_timeout: int = 30,
        retry_delay: RetryDelay | None = None,
        grace_period: float = 20.0,
        retries: RetryPolicy | None = None,
        on_report: ReportHook | None = None,
    ) -> None:
        _check_between(1, wait_time, _LONGEST_WAIT, "wait_time")
        _check_between(1, visibility_timeout, LONGEST_TIMEOUT, "visibility_timeout")
        if not (retry_delay is None or callable(retry_delay)):
            check_retry_delay(retry_delay)
        _check_at_least(1, concurrency, "concurrency")
        _check_at_least(1, receivers, "receivers")
        if not 1 <= batch_size <= BATCH_SIZE:
            raise ValueError(f"batch_size is not 1 to {BATCH_SIZE}: {batch_size!r}")
        _check_at_least(0, grace_period, "grace_period")
        adapter = _get_adapter(channel) if adapter is None else adapter
        _check_client(adapter, receivers, wait_time)
        retries = RetryPolicy() if retries is None else retries

        self._queue_url = adapter.queue_url
        self._receivers = receivers
        self._wait_time = wait_time
        self._grace_period = grace_period
        self._is_stopping = asyncio.Event()
        self._run_task: asyncio.Task[None] | None = None
        self._has_run = False
        self._late: list[Delivery] = []
        reporter = Reporter(on_report)
        calls = QueueCalls(
            adapter, wait_time=wait_time, visibility_timeout=visibility_timeout, retries=retries
        )
        self._in_hand = InHand(concurrency)
        self._deleter = Deleter(calls, self._in_hand, reporter)
        self._visibility = Visibility(calls, self._in_hand, reporter, timeout=visibility_timeout)
        self._lanes = Lanes(
            SQSMessageParser(channel, claim_check=adapter.claim_check),
            handler,
            in_hand=self._in_hand,
            deleter=self._deleter,
            visibility=self._visibility,
            reporter=reporter,
            retry_delay=retry_delay,
        )
        self._receiver = Receiver(
            calls,
            self._in_hand,
            reporter,
            take=self._take,
            is_stopping=self._is_stopping,
            visibility_timeout=visibility_timeout,
            is_fifo=self._is_fifo,
            batch_size=batch_size,
            retries=retries,
        )

    def __repr__(self) -> str:
        return f"SQSWorker({self._queue_url!r})"

    async def run(self) -> None:
        """Handle messages until `stop` is called, or this is cancelled. A worker runs once.

        After `stop`, handlers may finish within the ``grace_period``; when this is cancelled, they
        are cancelled at once. Either way it ends when all that was handled is deleted, and all else
        is returned to the queue. That takes up to ``wait_time``, because a request for messages
        that is under way may still get some. Cancelling it twice leaves them hidden until their
        visibility timeout runs out.

        Raises:
            ClientError, BotoCoreError: the queue refused the first request: it does not exist, or
                may not be read.
            RuntimeError: the worker has run already.
        """
        if self._has_run:
            raise RuntimeError(f"{self!r} has run already: make another one")
        self._has_run = True
        heartbeat = asyncio.create_task(self._visibility.keep_hidden())
        receivers = [asyncio.create_task(self._receiver.run()) for _ in range(self._receivers)]
        background = heartbeat, *receivers
        try:
            await self._wait_for_end(background)
            self.stop()
            await self._put_down(receivers, self._grace_period)
        except asyncio.CancelledError:
            self.stop()
            await self._put_down(receivers, 0)
            raise
        finally:
            self._lanes.cancel()  # a second cancellation does not wait for them
            for task in background:
                task.cancel()
            outcomes = await asyncio.gather(*background, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def stop(self) -> None:
        """Let `run` come to an end; called again, it changes nothing.

        Call it in the thread of the event loop: for signals, by its ``add_signal_handler``.
        """
        self._is_stopping.set()
        self._in_hand.close()

    async def __aenter__(self) -> Self:
        """Run in the background. What ends that is logged at once."""
        self._run_task = asyncio.create_task(self._run_in_background())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and wait for the end; what `run` raised is raised here."""
        self.stop()
        if self._run_task is not None:
            await self._run_task

    async def _run_in_background(self) -> None:
        try:
            await self.run()
        except Exception:
            _logger.exception("%r ended, and handles nothing any more", self)
            raise

    @property
    def _is_fifo(self) -> bool:
        return self._queue_url.endswith(".fifo")  # AWS lets no other queue's name end so

    def _take(self, delivery: Delivery) -> None:
        if self._is_stopping.is_set():
            self._late.append(delivery)
        else:
            self._lanes.take(delivery, delivery.group_id if self._is_fifo else None)

    async def _wait_for_end(self, background: tuple[asyncio.Task[None], ...]) -> None:
        """Wait for `stop`, or for what ends in the background by an error."""
        stopped = asyncio.create_task(self._is_stopping.wait())
        try:
            await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()

    async def _put_down(self, receivers: list[asyncio.Task[None]], grace_period: float) -> None:
        """Delete what was handled, and return all else, with what the last requests get.

        Nothing is returned before they are answered: they would get it again, which counts as an
        attempt to handle it.
        """
        handlers = asyncio.create_task(self._lanes.end(grace_period))
        try:
            _, late = await asyncio.wait(receivers, timeout=self._wait_time + _POLL_MARGIN)
            if late:
                _logger.warning("%r did not wait for a request that takes too long", self)
            self._lanes.give_back(self._late)
            await handlers
        finally:
            handlers.cancel()
        self._lanes.give_back(self._in_hand)
        await self._deleter.drain()
        await self._visibility.drain()


def _get_adapter(channel: MessageChannel[Any]) -> SQSMessageQueueAdapter:
    adapter = channel.get_message_channel_adapter()
    if not isinstance(adapter, SQSMessageQueueAdapter):
        raise TypeError(f"{channel!r} has no adapter for SQS, but {adapter!r}: give an adapter")
    return adapter


def _check_client(adapter: SQSMessageQueueAdapter, receivers: int, wait_time: int) -> None:
    config = cast("Any", adapter.client).meta.config
    if config.max_pool_connections <= receivers:
        raise ValueError(
            f"the client has max_pool_connections={config.max_pool_connections}, which leaves none "
            f"to delete messages while {receivers} are waiting for some"
        )
    if config.read_timeout is not None and config.read_timeout <= wait_time:
        raise ValueError(
            f"the client has read_timeout={config.read_timeout}, which ends before "
            f"wait_time={wait_time}"
        )


def _check_between(least: int, value: int, most: int, name: str) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is not {least} to {most} seconds: {value!r}")


def _check_at_least(least: int, value: float, name: str) -> None:
    if not value >= least:
        raise ValueError(f"{name} is not {least} or more: {value!r}")
