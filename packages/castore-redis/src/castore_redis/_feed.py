"""Arrivals for a listener, over all the connections that it has one after the other."""

import asyncio
import random
from datetime import datetime
from typing import Final

from castore_core.workers import Reporter, begin, finish
from castore_redis._client import REDIS_ERRORS, RedisClient
from castore_redis._link import Arrival, Link, utc_now
from castore_redis._listener_reports import ConnectionLost, MessagesMissed
from castore_redis._nodes import raise_cancellation, refresh_topology
from castore_redis._wishes import Subscriptions

_FIRST_DELAY: Final = 0.1  # seconds
_LONGEST_DELAY: Final = 5.0  # seconds
_TO_SUBSCRIBE: Final = 10.0  # seconds
_TO_CLOSE: Final = 5.0  # seconds


class Feed:
    """Keeps arrivals in a bounded buffer, and connects again when the connection was lost.

    While the buffer is full nothing is read, and the server keeps what is published, within limits
    of its own. Then it closes the connection.
    """

    def __init__(
        self,
        client: RedisClient,
        subscriptions: Subscriptions,
        *,
        buffer_size: int,
        ping_interval: float,
        reporter: Reporter,
    ) -> None:
        self._client = client
        self._subscriptions = subscriptions
        self._ping_interval = ping_interval
        self._reporter = reporter
        self._buffer: asyncio.Queue[Arrival | None] = asyncio.Queue(buffer_size)
        self._link = self._make_link()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    async def start(self) -> None:
        """Subscribe, and return when the server has confirmed it.

        Raises:
            RedisError, RedisClusterException, OSError: the server is not there, or refuses it.
        """
        try:
            await self._link.open(within=_TO_SUBSCRIBE)
        except BaseException:
            await finish(self._link.aclose(), within=_TO_CLOSE)
            raise
        self._task = begin(self._run())
        self._task.add_done_callback(lambda _: self.end())

    async def receive(self) -> Arrival | None:
        """Return the next arrival, or ``None`` after the end."""
        arrival = None if self._is_over else await self._buffer.get()
        if arrival is None and self._task and self._task.done() and not self._task.cancelled():
            self._task.result()  # raises its error
        return arrival

    def end(self) -> None:
        """Let `receive` return ``None`` from now on. The buffer is dropped."""
        self._is_over = True
        while not self._buffer.empty():
            self._buffer.get_nowait()
        self._buffer.put_nowait(None)

    async def aclose(self) -> None:
        """End, and let the connections go, even if the caller is cancelled again and again."""
        self.end()
        await finish(self._close(), within=_TO_CLOSE)

    async def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._link.aclose()

    async def _run(self) -> None:
        while True:
            raise_cancellation()
            error = await self._link.pump()
            since = self._link.last_seen
            await self._link.aclose()
            self._link = await self._open_again(error)
            self._tell_gap(since)

    async def _open_again(self, error: Exception) -> Link:
        failures = 0
        while True:
            raise_cancellation()
            failures += 1
            delay = min(_FIRST_DELAY * 2 ** min(failures - 1, 10), _LONGEST_DELAY)
            delay *= random.uniform(0.5, 1)  # noqa: S311 no secret
            self._reporter.tell(ConnectionLost(failures, delay, error))
            await asyncio.sleep(delay)
            link = self._make_link()
            try:
                await refresh_topology(self._client)
                await link.open(within=_TO_SUBSCRIBE)
            except REDIS_ERRORS as failure:
                await link.aclose()
                error = failure
            except BaseException:
                await link.aclose()
                raise
            else:
                return link

    def _make_link(self) -> Link:
        return Link(
            self._client,
            self._subscriptions,
            take=self._buffer.put,
            on_gap=self._tell_gap,
            ping_interval=self._ping_interval,
        )

    def _tell_gap(self, since: datetime) -> None:
        self._reporter.tell(MessagesMissed(since, utc_now()))
