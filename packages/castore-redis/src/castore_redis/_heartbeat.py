"""Heartbeats: leases and messages stay with the worker for as long as it lives."""

import asyncio
import logging
import math
from collections.abc import Sequence
from time import monotonic
from typing import Final

from castore_core.workers import HeartbeatFailed, Reporter
from castore_redis._client import REDIS_ERRORS, Commands, describe_fault, is_refusal
from castore_redis._delivery import NOT_OWN, Delivery, Held
from castore_redis._reports import MessageLost
from castore_redis._scripts import REGISTER
from castore_redis._stream import Stream

_TRIM_PERIOD: Final = 1.0  # seconds

_logger = logging.getLogger("castore_redis")


class Heartbeat:
    """Extends leases and idle times every third of the visibility timeout."""

    def __init__(
        self, streams: Sequence[Stream], held: Held, reporter: Reporter, *, timeout: float
    ) -> None:
        self._streams = streams
        self._held = held
        self._reporter = reporter
        self._timeout = timeout
        self._pause = timeout / 3  # between two heartbeats, and the longest wait for an answer

    async def run(self) -> None:
        """Extend again and again."""
        due = monotonic()
        while True:
            due += self._pause
            await asyncio.sleep(due - monotonic())
            due = max(due, monotonic())
            await asyncio.gather(*map(self._extend, self._streams))

    async def trim(self) -> None:
        """Drop entries that all groups have acknowledged, again and again."""
        while True:
            await asyncio.sleep(_TRIM_PERIOD)
            for each in self._streams:
                if each.needs_trim:
                    await trim(each)

    async def _extend(self, stream: Stream) -> None:
        held = [each for each in self._held.of(stream) if not (each.is_lost or each.is_returned)]
        if stream.is_leased and not stream.has_lease:
            return
        began = monotonic()
        try:
            async with asyncio.timeout(self._pause):
                lost = await stream.calls.extend([each.message_id for each in held])
        except REDIS_ERRORS as error:
            self._tell_failure(stream, held, describe_fault(error))
            return
        if lost is None:
            self._lose(stream, held, "another worker has it, or it ran out")
            return
        stream.extend(began)
        for each in held:
            each.expires_at = began + self._timeout
            if each.message_id in lost:
                self._lose_message(each, NOT_OWN)

    def _tell_failure(self, stream: Stream, held: Sequence[Delivery], reason: str) -> None:
        if stream.has_lease and stream.has_run_out:
            self._lose(stream, held, reason)
            return
        for each in held:
            if each in self._held and not each.is_handled:
                if each.has_run_out:
                    self._lose_message(each, reason)
                else:
                    self._reporter.tell(HeartbeatFailed(each.message_id, reason))

    def _lose(self, stream: Stream, held: Sequence[Delivery], reason: str) -> None:
        stream.lose(reason)
        for each in held:
            each.is_lost = True

    def _lose_message(self, delivery: Delivery, reason: str) -> None:
        if delivery in self._held and not delivery.is_handled:
            delivery.is_lost = True
            self._reporter.tell(MessageLost(delivery.message_id, reason))


class Balance:
    """Shares the leases of several streams among the workers that are alive.

    No worker has more than its share, rounded up.
    """

    def __init__(
        self, streams: Sequence[Stream], commands: Commands, *, name: str, timeout: float
    ) -> None:
        self._streams = streams
        self._commands = commands
        self._name = name
        self._timeout = timeout
        self._share = 1 if len(streams) == 1 else 0

    @property
    def may_take(self) -> bool:
        """Whether the worker should have one more lease."""
        return sum(each.has_lease for each in self._streams) < self._share

    async def run(self) -> None:
        """Count the workers again and again, and leave streams that others should have.

        Raises:
            RedisError: the worker may not count them, and so would never have a stream.
        """
        while len(self._streams) > 1:
            try:
                async with asyncio.timeout(self._timeout / 3):
                    await self._count_workers()
            except REDIS_ERRORS as error:
                if self._share == 0 and is_refusal(error):
                    raise
                _logger.warning("the other workers were not counted: %s", describe_fault(error))
            await asyncio.sleep(min(1.0, self._timeout / 3))
        await asyncio.Event().wait()

    async def end(self) -> None:
        """Let the others have all."""
        if len(self._streams) > 1:
            await self._commands.execute("ZREM", self._key, self._name)

    @property
    def _key(self) -> str:
        return self._streams[0].calls.keys.workers

    async def _count_workers(self) -> None:
        milliseconds = int(self._timeout * 1000)
        count = await self._commands.run(REGISTER, [self._key], self._name, milliseconds)
        self._share = math.ceil(len(self._streams) / count)
        for each in [each for each in self._streams if each.has_lease][self._share :]:
            each.leave()


async def trim(stream: Stream) -> None:
    """Drop entries that all groups have acknowledged. Redis may leave some for the next time."""
    stream.needs_trim = False
    try:
        if await stream.calls.trim() > 0:
            stream.needs_trim = True
    except REDIS_ERRORS as error:
        stream.needs_trim = True
        _logger.warning("stream %s was not trimmed: %s", stream.name, describe_fault(error))
