"""The worker: consumes streams in a container, or in any process of its own."""

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar, cast
from uuid import uuid4

from redis.asyncio import RedisCluster

from castore_core import MessageChannel, format_error
from castore_core.workers import HandlerFunction, Lifecycle, check_type
from castore_redis._adapter import RedisMessageQueueAdapter
from castore_redis._client import REDIS_ERRORS, RedisClient, describe_fault
from castore_redis._consumer import Consumer
from castore_redis._context import RedisMessageContext
from castore_redis._group import GROUP
from castore_redis._lag import QueueLag
from castore_redis._options import BATCH_SIZE, HANDLER_TIMEOUT, RetryDelay, WorkerOptions
from castore_redis._reports import ReportHook

M = TypeVar("M")

Handler: TypeAlias = Callable[[M, RedisMessageContext], Awaitable[object] | None]

_logger = logging.getLogger("castore_redis")


class RedisWorker(Generic[M]):
    """Hands the messages of a queue to a handler, and acknowledges those that it handled.

    An error of the handler fails its message alone, and so does the end of its time, or a body
    that is no message of the channel. The message is tried again, and is moved to the dead letters
    after ``max_attempts``. A message that was not handled is never dropped. Messages may come more
    than once.

    The messages of an aggregate are handled one after the other, and those behind one that failed
    wait for it. Across workers this holds where each stream has one at a time (``ordered``): the
    others are ready to take its place, or that of another stream.

    Call `RedisMessageQueueAdapter.create_group` once, before workers run.

    Args:
        channel: the queue whose messages they are.
        handler: is called with a message and its `RedisMessageContext`. A coroutine function is
            awaited. A plain function runs in a thread, and in several at once. Awaitable results
            are awaited.
        adapter: tells which streams are read, with which client. By default that is the adapter
            of the channel.
        group: the name of the consumer group: each group gets each message.
        consumer: the name of the worker within its group, a new one by default. No two workers may
            have one name.
        ordered: whether a stream is read by one worker at a time, which keeps the order of an
            aggregate. Otherwise all workers share all streams, without an order across them.
        concurrency: how many messages are in flight at most, 1 or more: from the moment that they
            are received until they are acknowledged.
        batch_size: how many messages come with one request at most, 1 or more.
        max_waiting: how many messages may wait for a retry, or behind one that does, 1 or more.
            They do not count as in flight. Then nothing is received until there are fewer.
        wait_time: how many seconds a request waits for a message, 0.01 or more, and less than the
            ``socket_timeout`` of the client.
        visibility_timeout: after how many seconds others get the messages, and the streams, of a
            worker that died; 0.01 or more. Heartbeats are sent every third of that time.
        max_attempts: how many attempts a message has before it is a dead letter, 1 or more, or
            ``None`` for no limit. Attempts that a worker died in count.
        retry_delay: how many seconds after a failure its message is tried again, 0 or more, or a
            function of the number of the attempt that failed. With ``None``, that is the
            ``visibility_timeout``.
        handler_timeout: how many seconds a handler may take, more than 0, or ``None`` for no limit.
            Then it is cancelled, and its message fails.
        grace_period: how many seconds handlers may go on after `stop`, or after `run` was
            cancelled, 0 or more. Then they are cancelled. A handler that timed out has as long to
            end, and at least a second; then it is given up, and another message takes its place.
        on_report: is called with each `WorkerReport`, for metrics. It should not take long.
        log_error_texts: whether the log has the texts of errors too. They may hold values of the
            payload, which are left out by default.

    Raises:
        TypeError: the channel has no adapter for Redis, and there is no other one; or an argument
            is of the wrong type, such as a handler that is a class.
        UndefinedMessageChannelAdapterError: it has none at all.
        ValueError: an option is out of its bounds, or does not fit the client.
    """

    def __init__(
        self,
        channel: MessageChannel[M],
        handler: Handler[M],
        *,
        adapter: RedisMessageQueueAdapter | None = None,
        group: str = GROUP,
        consumer: str | None = None,
        ordered: bool = True,
        concurrency: int = 10,
        batch_size: int = BATCH_SIZE,
        max_waiting: int = 1_000,
        wait_time: float = 2.0,
        visibility_timeout: float = 30.0,
        max_attempts: int | None = 5,
        retry_delay: RetryDelay | None = None,
        handler_timeout: float | None = HANDLER_TIMEOUT,
        grace_period: float = 20.0,
        on_report: ReportHook | None = None,
        log_error_texts: bool = False,
    ) -> None:
        options = WorkerOptions(
            group=group,
            consumer=_make_name() if consumer is None else consumer,
            ordered=ordered,
            concurrency=concurrency,
            batch_size=batch_size,
            max_waiting=max_waiting,
            wait_time=wait_time,
            visibility_timeout=visibility_timeout,
            max_attempts=max_attempts,
            retry_delay=retry_delay,
            handler_timeout=handler_timeout,
            grace_period=grace_period,
            on_report=on_report,
            log_error_texts=log_error_texts,
        )
        check_type("channel", channel, MessageChannel)
        self._adapter = _get_adapter(channel) if adapter is None else adapter
        check_type("adapter", self._adapter, RedisMessageQueueAdapter)
        _check_client(self._adapter.redis, wait_time, len(self._adapter.streams))
        self._group = group
        self._consumer = options.consumer
        self._life = self._begin_life(channel, HandlerFunction(handler), options)

    def _begin_life(
        self, channel: MessageChannel[M], handler: HandlerFunction, options: WorkerOptions
    ) -> Lifecycle:
        is_stopping = asyncio.Event()
        consumer = Consumer(
            self._adapter, channel, handler, options=options, is_stopping=is_stopping
        )
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
        return f"RedisWorker({self._adapter!r}, group={self._group!r})"

    @property
    def consumer(self) -> str:
        """The name of the worker within its group."""
        return self._consumer

    async def run(self) -> None:
        """Handle messages until `stop` is called, or this is cancelled. A worker runs once.

        Either way, handlers may finish within the ``grace_period``. Then all messages that were
        handled are acknowledged, all others are given back, and so are the leases of the streams.
        Further cancellations change nothing: an anyio task group cancels again and again.

        Raises:
            RedisError: Redis refused the first requests: there is no such group, or the user is
                unknown, or lacks a permission.
            RuntimeError: the worker has run already.
        """
        await self._life.run()

    def stop(self) -> None:
        """Let `run` come to an end; called again, it changes nothing.

        Any thread may call it, and a signal handler too.
        """
        self._life.stop()

    async def get_lag(self) -> QueueLag:
        """Return how far the workers of the group are behind, this one and the others.

        Raises:
            RedisError: Redis did not answer, or there is no such group.
        """
        return await self._adapter.get_lag(self._group)

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


def _make_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def _get_adapter(channel: MessageChannel[Any]) -> RedisMessageQueueAdapter:
    adapter = channel.get_message_channel_adapter()
    if not isinstance(adapter, RedisMessageQueueAdapter):
        raise TypeError(f"{channel!r} has no adapter for Redis, but {adapter!r}: give an adapter")
    return adapter


def _describe(error: Exception) -> str:
    """Return the answer of Redis, which has no payload, or the type and place of other errors."""
    return describe_fault(error) if isinstance(error, REDIS_ERRORS) else format_error(error)


def _check_client(client: RedisClient, wait_time: float, streams: int) -> None:
    options = _get_options(client)
    socket_timeout = options.get("socket_timeout")
    if socket_timeout is not None and socket_timeout <= wait_time:
        raise ValueError(
            f"the client has socket_timeout={socket_timeout}, which ends before "
            f"wait_time={wait_time}"
        )
    connections = options.get("max_connections")
    if connections is not None and connections <= streams:
        raise ValueError(
            f"the client has max_connections={connections}, which leaves none to acknowledge "
            f"messages while {streams} are waiting for some"
        )


def _get_options(client: RedisClient) -> dict[str, Any]:
    if isinstance(client, RedisCluster):
        return dict(cast("Any", client).connection_kwargs)
    single = cast("Any", client)
    if single.single_connection_client:
        return {"max_connections": 1}
    pool = single.connection_pool
    options = {"socket_timeout": _get_default_timeout(pool.connection_class)}
    return {**options, **pool.connection_kwargs, "max_connections": pool.max_connections}


def _get_default_timeout(connection_class: type[Any]) -> float | None:
    """Return the time limit of a connection that was given none: 5 seconds since redis-py 8."""
    for each in connection_class.__mro__:
        parameter = inspect.signature(each).parameters.get("socket_timeout")
        if parameter is not None:
            default: float | None = parameter.default
            return default
    return None
