"""The worker: consumes a queue in a container, or in any process of its own."""

import asyncio
import logging
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from castore_aws import AWS_ERRORS, RetryPolicy, describe_fault
from castore_core import MessageChannel, format_error
from castore_core.workers import HandlerFunction, Lifecycle, check_type
from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._consumer import Consumer
from castore_sqs._options import BATCH_SIZE, HANDLER_TIMEOUT, RetryDelay, WorkerOptions
from castore_sqs._received import Handler, SQSMessageParser
from castore_sqs._reports import ReportHook

M = TypeVar("M")

_logger = logging.getLogger("castore_sqs")


class SQSWorker(Generic[M]):
    """Hands the messages of a queue to a handler, and deletes those that it handled.

    An error of the handler fails its message alone: the queue hands the message out again, until
    its redrive policy moves it away. The same happens after a time limit, and to bodies that are
    no message of the channel. A message that was not handled is never deleted. Messages may come
    more than once.

    In a FIFO queue, the messages of a group are handled one after the other. After one that was
    not handled, those of its group that were received with it are returned to the queue unhandled,
    which keeps the group back until the first one is seen again.

    Args:
        channel: the queue whose messages they are, or the bus, where a rule of EventBridge has the
            SQS queue as its target.
        handler: is called with a message and its `SQSMessageContext`. A coroutine function is
            awaited. A plain function runs in a thread, and in several at once. Awaitable results
            are awaited.
        adapter: tells which SQS queue is read, with which client. By default that is the adapter
            of the channel.
        concurrency: how many messages are in flight at most, 1 or more: from the moment that they
            are received until they are deleted or returned.
        batch_size: how many messages come with one request at most, 1 to 10. With 1, the messages
            of a FIFO group that wait for one that fails are not received with it, and do not
            follow it to the dead-letter queue.
        receivers: how many requests for messages are under way at once, 1 or more. They take effect
            where ``concurrency`` is more than ``batch_size`` for each.
        wait_time: how many seconds a request waits for a message (long polling), 1 to 20.
        visibility_timeout: how many seconds a message is hidden from others, 1 to 43,200. It is
            extended for as long as the message is in flight, every third of that time.
        retry_delay: how many seconds after a failure its message is seen again, 0 to 43,200, or a
            function of the number of the attempt that failed. With ``None``, that is when the
            visibility timeout runs out.
        handler_timeout: how many seconds a handler may take, more than 0 and up to 43,200, or
            ``None`` for no limit. Then it is cancelled, and its message fails.
        grace_period: how many seconds handlers may go on after `stop`, or after `run` was
            cancelled, 0 or more. Then they are cancelled. A handler that timed out has as long to
            end, and at least a second; then it is given up, and another message takes its place.
        retries: bounds the attempts of deletes and of changes of visibility. Requests for messages
            are tried again without end, after the same pauses.
        on_report: is called with each `WorkerReport`, for metrics. It should not take long.
        log_error_texts: whether the log has the texts of errors too. They may hold values of the
            payload, which are left out by default.

    Raises:
        TypeError: the channel has no adapter for SQS, and there is no other one; or an argument is
            of the wrong type, such as a handler that is a class.
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
        handler_timeout: float | None = HANDLER_TIMEOUT,
        grace_period: float = 20.0,
        retries: RetryPolicy | None = None,
        on_report: ReportHook | None = None,
        log_error_texts: bool = False,
    ) -> None:
        options = WorkerOptions(
            concurrency=concurrency,
            batch_size=batch_size,
            receivers=receivers,
            wait_time=wait_time,
            visibility_timeout=visibility_timeout,
            retry_delay=retry_delay,
            handler_timeout=handler_timeout,
            grace_period=grace_period,
            retries=RetryPolicy() if retries is None else retries,
            on_report=on_report,
            log_error_texts=log_error_texts,
        )
        check_type("channel", channel, MessageChannel)
        adapter = _get_adapter(channel) if adapter is None else adapter
        check_type("adapter", adapter, SQSMessageQueueAdapter)
        _check_client(adapter, receivers, wait_time)
        self._queue_url = adapter.queue_url
        self._life = self._begin_life(adapter, channel, HandlerFunction(handler), options)

    def _begin_life(
        self,
        adapter: SQSMessageQueueAdapter,
        channel: MessageChannel[M],
        handler: HandlerFunction,
        options: WorkerOptions,
    ) -> Lifecycle:
        parser = SQSMessageParser(channel, claim_check=adapter.claim_check)
        is_stopping = asyncio.Event()
        consumer = Consumer(adapter, parser, handler, options=options, is_stopping=is_stopping)
        return Lifecycle(
            self,
            consumer.loops,
            is_stopping=is_stopping,
            put_down=consumer.put_down,
            longest_end=consumer.longest_end,
            logger=_logger,
            describe=_describe,
        )

    def __repr__(self) -> str:
        return f"SQSWorker({self._queue_url!r})"

    async def run(self) -> None:
        """Handle messages until `stop` is called, or this is cancelled. A worker runs once.

        Either way, handlers may finish within the ``grace_period``. Then all messages that were
        handled are deleted, and all others are returned to the queue. That takes up to
        ``wait_time``, because a request for messages that is under way may still get some. Further
        cancellations change nothing: an anyio task group cancels again and again.

        Raises:
            ClientError, BotoCoreError: the queue refused the first request: it does not exist, or
                may not be read.
            RuntimeError: the worker has run already.
        """
        await self._life.run()

    def stop(self) -> None:
        """Let `run` come to an end; called again, it changes nothing.

        Any thread may call it, and a signal handler too.
        """
        self._life.stop()

    async def __aenter__(self) -> Self:
        """Run in the background. An error that ends the worker is logged at once."""
        self._life.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, wait for the end, and raise what `run` raised."""
        await self._life.join()


def _get_adapter(channel: MessageChannel[Any]) -> SQSMessageQueueAdapter:
    adapter = channel.get_message_channel_adapter()
    if not isinstance(adapter, SQSMessageQueueAdapter):
        raise TypeError(f"{channel!r} has no adapter for SQS, but {adapter!r}: give an adapter")
    return adapter


def _describe(error: Exception) -> str:
    """Return what AWS answered, which is nothing of a message, or the type and place of others."""
    return describe_fault(error) if isinstance(error, AWS_ERRORS) else format_error(error)


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
