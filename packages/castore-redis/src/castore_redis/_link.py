"""The connections of a listener: one, or one for each node of a cluster that it listens to."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis.asyncio import RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from castore_core.workers import begin
from castore_redis._client import REDIS_ERRORS, RedisClient
from castore_redis._nodes import NodePool, find_node, get_encoder, raise_cancellation, to_bytes
from castore_redis._wishes import Subscriptions

_TO_ANSWER: Final = 2.0  # seconds, at least
_MESSAGES: Final = ("message", "pmessage", "smessage")
_CONFIRMATIONS: Final = ("subscribe", "psubscribe", "ssubscribe")


class Arrival(NamedTuple):
    """A message as it came."""

    channel: str
    body: bytes


class Link:
    """The subscriptions of a listener, which are lost together.

    Args:
        client: the user's client.
        subscriptions: what to subscribe to.
        take: takes each message, and may wait: nothing is read meanwhile.
        on_gap: is called when the client has connected again by itself, with the moment of the last
            sign of life before.
        ping_interval: seconds of silence after which the server is asked whether it is there.
    """

    def __init__(
        self,
        client: RedisClient,
        subscriptions: Subscriptions,
        *,
        take: Callable[[Arrival], Awaitable[None]],
        on_gap: Callable[[datetime], None],
        ping_interval: float,
    ) -> None:
        self._client = client
        self._subscriptions = subscriptions
        self._take = take
        self._on_gap = on_gap
        self._ping_interval = ping_interval
        self._wires: list[_Wire] = []

    @property
    def last_seen(self) -> datetime:
        """The moment of the last sign of life, of the connection that has been silent longest."""
        return min((each.last_seen for each in self._wires), default=utc_now())

    async def open(self, *, within: float) -> None:
        """Connect, subscribe, and wait until the server has confirmed that.

        Raises:
            RedisError, OSError: the server is not there, or refuses it.
        """
        patterns = tuple(each.encode() for each in self._subscriptions.patterns)
        for pubsub, channels in await self._make_pubsubs():
            wire = _Wire(pubsub, {*channels, *patterns}, self._take, self._on_gap)
            self._wires.append(wire)
            await self._subscribe(pubsub, channels, patterns)
            await wire.confirm(within)

    async def pump(self) -> Exception:
        """Read messages until the link is lost, and return the error."""
        tasks = [begin(each.pump(self._ping_interval)) for each in self._wires]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in tasks:
                each.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [each for each in results if isinstance(each, Exception)]
        for error in errors:
            if not isinstance(error, REDIS_ERRORS):
                raise error
        return errors[0]

    async def aclose(self) -> None:
        """Let the connections go."""
        wires, self._wires = self._wires, []
        for each in wires:
            with suppress(*REDIS_ERRORS):
                await each.pubsub.aclose()

    async def _make_pubsubs(self) -> list[tuple[Any, tuple[bytes, ...]]]:
        if not isinstance(self._client, RedisCluster):
            client: Any = self._client
            return [(client.pubsub(), tuple(map(str.encode, self._subscriptions.channels)))]
        by_node: defaultdict[str, list[bytes]] = defaultdict(list)
        nodes: dict[str, Any] = {}
        for each in self._subscriptions.channels:
            node: Any = await find_node(self._client, each)
            nodes[node.name] = node
            by_node[node.name].append(each.encode())
        encoder = get_encoder(self._client)
        make: Any = PubSub
        return [
            (make(NodePool(nodes[name]), encoder=encoder), tuple(channels))
            for name, channels in by_node.items()
        ]

    async def _subscribe(
        self, pubsub: Any, channels: tuple[bytes, ...], patterns: tuple[bytes, ...]
    ) -> None:
        if isinstance(self._client, RedisCluster):
            for each in channels:  # those of several slots cannot be subscribed to at once
                await pubsub.ssubscribe(each)
            return
        if channels:
            await pubsub.subscribe(*channels)
        if patterns:
            await pubsub.psubscribe(*patterns)


class _Wire:
    """One connection."""

    def __init__(
        self,
        pubsub: Any,
        names: set[bytes],
        take: Callable[[Arrival], Awaitable[None]],
        on_gap: Callable[[datetime], None],
    ) -> None:
        self.pubsub = pubsub
        self._encoder = pubsub.encoder
        self.last_seen = utc_now()
        self._names = names
        self._take = take
        self._on_gap = on_gap
        self._confirmed: set[bytes] = set()
        self._early: list[Arrival] = []

    async def confirm(self, within: float) -> None:
        """Wait until the server has confirmed all subscriptions."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        while self._confirmed != self._names:
            left = deadline - clock()
            if left <= 0:
                raise RedisConnectionError(f"Redis confirmed no subscription within {within:g} s")
            message = await self._get_message(left)
            if message is not None and (arrival := self._note(message)):
                self._early.append(arrival)

    async def pump(self, ping_interval: float) -> None:
        """Read messages until the connection is lost."""
        for each in self._early:
            await self._take(each)
        clock = asyncio.get_running_loop().time
        heard = clock()
        pinged: float | None = None
        while True:
            raise_cancellation()
            message = await self._get_message(ping_interval)
            if message is not None:
                heard, pinged = clock(), None
                if arrival := self._note(message):
                    await self._take(arrival)
            elif pinged is not None and clock() - pinged >= max(ping_interval, _TO_ANSWER):
                raise RedisConnectionError(f"Redis has been silent for {clock() - heard:.1f} s")
            elif pinged is None and clock() - heard >= ping_interval:
                await self.pubsub.ping()
                pinged = clock()

    async def _get_message(self, seconds: float) -> dict[str, Any] | None:
        """Wait for a message. A client that decodes cannot read past bytes that are no text."""
        try:
            message: dict[str, Any] | None = await self.pubsub.get_message(timeout=seconds)
        except UnicodeDecodeError as error:
            raise RedisConnectionError("the client cannot decode what was published") from error
        return message

    def _note(self, message: dict[str, Any]) -> Arrival | None:
        """Take a sign of life, and return the message that it is, if any."""
        before, self.last_seen = self.last_seen, utc_now()
        kind = message["type"]
        if kind in _MESSAGES:
            channel = to_bytes(message["channel"], self._encoder).decode(errors="backslashreplace")
            return Arrival(channel, to_bytes(message["data"], self._encoder))
        if kind == "sunsubscribe":
            raise RedisConnectionError("the slot has moved to another node")
        if kind in _CONFIRMATIONS:
            self._confirm(to_bytes(message["channel"], self._encoder), before)
        return None

    def _confirm(self, name: bytes, last_seen: datetime) -> None:
        """Note a confirmation. One that comes again is of a new connection of the client's."""
        if name in self._confirmed:
            self._confirmed = set()
            self._on_gap(last_seen)
        self._confirmed.add(name)


def utc_now() -> datetime:
    """Return the moment."""
    return datetime.now(UTC)
