"""A consumer of streams: receives messages, has them handled, and leaves none in flight."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final
from uuid import uuid4

from castore_core import InvalidMessageError, MessageChannel
from castore_core.telemetry import Destination
from castore_core.workers import (
    Attempts,
    HandlerCalls,
    HandlerFunction,
    Loop,
    MessageGroups,
    Reporter,
    Tasks,
)
from castore_redis._acknowledging import Acknowledger
from castore_redis._adapter import RedisMessageQueueAdapter
from castore_redis._client import REDIS_ERRORS, Commands, describe_fault
from castore_redis._context import RedisMessageContext
from castore_redis._deliveries import Deliveries
from castore_redis._delivery import Delivery, Held
from castore_redis._entries import BODY, REPLAY, read_headers
from castore_redis._heartbeat import Balance, Heartbeat, trim
from castore_redis._keys import name_keys
from castore_redis._options import WorkerOptions
from castore_redis._reports import describe_report
from castore_redis._returning import Returns
from castore_redis._stream import Stream
from castore_redis._stream_calls import StreamCalls

_LEAST_PATIENCE: Final = 1.0  # seconds that an answer may take
_LAST_MOMENT: Final = 1.0  # seconds that a handler has to end once it is cancelled
_LAST_ANSWER: Final = 5.0  # seconds that the last answers of the streams may take
_LAST_REQUESTS: Final = 10.0  # seconds

_logger = logging.getLogger("castore_redis")


class Consumer:
    """Consumes streams, in loops that somebody else runs until ``is_stopping`` is set."""

    def __init__(
        self,
        adapter: RedisMessageQueueAdapter,
        channel: MessageChannel[Any],
        handler: HandlerFunction,
        *,
        options: WorkerOptions,
        is_stopping: asyncio.Event,
    ) -> None:
        self._channel = channel
        self._handler = handler
        self._options = options
        self._is_stopping = is_stopping
        patience = max(options.visibility_timeout, _LEAST_PATIENCE)
        self._commands = Commands(adapter.redis, patience=patience)
        self._held = Held(options.concurrency, options.max_waiting)
        self._reporter = Reporter(
            options.on_report,
            logger=_logger,
            describe=describe_report,
            log_error_texts=options.log_error_texts,
        )
        self._build_handling()
        self._build_streams(adapter.streams)

    def _build_handling(self) -> None:
        options, held, reporter = self._options, self._held, self._reporter
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
                skips=self._channel.skips,
                destination=Destination(self._channel.message_channel_id, "redis"),
            ),
            held=held,
            acknowledger=Acknowledger(held, reporter, patience=options.visibility_timeout),
            returns=Returns(held, reporter),
            reporter=reporter,
            options=options,
            is_stopping=self._is_stopping,
        )
        self._groups = MessageGroups(self._deliveries.handle, self._deliveries.give_back)

    def _build_streams(self, names: Iterable[str]) -> None:
        options = self._options
        token = f"{options.consumer}:{uuid4().hex}"
        self._streams = [self._make_stream(each, token) for each in names]
        self._heartbeat = Heartbeat(
            self._streams, self._held, self._reporter, timeout=options.visibility_timeout
        )
        self._balance = Balance(
            self._streams, self._commands, name=token, timeout=options.visibility_timeout
        )

    def _make_stream(self, name: str, token: str) -> Stream:
        options = self._options
        calls = StreamCalls(
            self._commands,
            name_keys(name, options.group),
            group=options.group,
            consumer=options.consumer,
            token=token if options.ordered else "",
            idle=options.idle_milliseconds,
        )
        return Stream(
            calls,
            self._held,
            self._reporter,
            options=options,
            take=self._take,
            may_take=lambda: self._balance.may_take,
            is_stopping=self._is_stopping,
        )

    @property
    def loops(self) -> list[Loop]:
        """The heartbeat, and the streams."""
        loops = [self._heartbeat.run, self._heartbeat.trim]
        if self._options.ordered:
            loops.append(self._balance.run)
        return [*loops, *(each.run for each in self._streams)]

    @property
    def longest_end(self) -> float:
        """How many seconds `put_down` may take."""
        handlers = self._options.grace_period + 2 * _LAST_MOMENT
        return max(_LAST_ANSWER, handlers) + _LAST_REQUESTS

    async def put_down(self, loops: Tasks) -> None:
        """Acknowledge handled messages, return all others, and leave the streams to others."""
        self._held.close()
        for each in self._streams:
            each.interrupt()
        streams = loops[-len(self._streams) :]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end_requests(streams))
                tasks.create_task(self._end_handlers())
            self._deliveries.give_back(self._held)
            await self._deliveries.drain()
            await self._leave_streams()
        finally:
            await self._groups.cancel()
            await self._deliveries.cancel()
            self._handler.close()

    async def _read(self, delivery: Delivery) -> tuple[object, RedisMessageContext]:
        fields, stream = delivery.fields, delivery.stream.name
        if BODY not in fields:
            raise InvalidMessageError(self._channel.message_channel_id, f"no field {BODY!r}")
        message = self._channel.parse_message(fields[BODY])
        is_replay = fields.get(REPLAY) == "1"
        return message, RedisMessageContext(
            delivery.message_id, delivery.attempt, is_replay, stream, read_headers(fields)
        )

    def _take(self, deliveries: Iterable[Delivery]) -> None:
        for each in deliveries:
            self._groups.add(each, each.group_id)

    async def _end_requests(self, streams: Tasks) -> None:
        await asyncio.wait(streams, timeout=_LAST_ANSWER)

    async def _end_handlers(self) -> None:
        await self._groups.wait(self._options.grace_period)
        self._groups.stop()
        self._handler_calls.stop(_LAST_MOMENT)
        await self._groups.wait(2 * _LAST_MOMENT)
        await self._groups.cancel()

    async def _leave_streams(self) -> None:
        """Trim, give the leases up, and remove the consumer where nothing is pending with it."""
        await asyncio.gather(*map(self._leave, self._streams))
        try:
            await self._balance.end()
        except REDIS_ERRORS as error:
            _logger.warning("other workers count this one for a while: %s", describe_fault(error))

    async def _leave(self, stream: Stream) -> None:
        if stream.needs_trim:
            await trim(stream)
        try:
            await stream.release()
            await stream.calls.forget_consumers(itself=True)
        except REDIS_ERRORS as error:
            text = "stream %s was not left in good order: %s"
            _logger.warning(text, stream.name, describe_fault(error))
