"""A bus on the Pub/Sub of Redis and Valkey keeps the contract."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from time import monotonic
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_core import MessageChannel
from castore_redis import RedisMessageBusAdapter
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage

PATIENCE = 10  # seconds


class Receiver:
    """A plain subscriber of redis-py's."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        client: Any = redis
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pattern = f"{prefix}:*"
        self._received: list[ReceivedMessage] = []

    async def subscribe(self) -> None:
        """Subscribe to all channels, and wait until that is so."""
        await self._pubsub.psubscribe(self._pattern)
        await self._pubsub.get_message(timeout=PATIENCE)

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return all messages, once there are so many and no other comes."""
        deadline = monotonic() + PATIENCE
        found = True
        while found or (len(self._received) < count and monotonic() < deadline):
            found = await self._pubsub.get_message(timeout=0.05)
            if found:
                replay = found["channel"].endswith(b":__REPLAYED__")
                self._received.append(ReceivedMessage(json.loads(found["data"]), replay))
        return self._received

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._pubsub.aclose()


class Harness:
    """An adapter, and a subscriber."""

    def __init__(self, adapter: RedisMessageBusAdapter, receiver: Receiver) -> None:
        self.adapter = adapter
        self.receive = receiver.receive


class TestRedisBus(MessageChannelAdapterTests):
    """The contract, by both versions of the protocol."""

    is_bus = True
    integral_floats_stay_floats = False  # bodies are JSON as JavaScript writes it

    @pytest.fixture
    async def receivers(
        self, reader: Redis, prefix: str
    ) -> AsyncGenerator[tuple[Receiver, Receiver]]:
        """Return two subscribers."""
        receivers = Receiver(reader, prefix), Receiver(reader, prefix)
        for each in receivers:
            await each.subscribe()
        yield receivers
        for each in receivers:
            await each.aclose()

    @pytest.fixture
    def connect(
        self, redis: Redis, prefix: str, receivers: tuple[Receiver, Receiver]
    ) -> Callable[[MessageChannel[Any]], Harness]:
        """Return a function that connects an adapter and the first subscriber."""
        adapter = RedisMessageBusAdapter(redis, channel_prefix=prefix)
        return lambda _: Harness(adapter, receivers[0])

    @pytest.fixture
    def connect_receiver(self, receivers: tuple[Receiver, Receiver]) -> Callable[[Any], Receiver]:
        """Return a function that returns the second subscriber."""
        return lambda _: receivers[1]

    @pytest.fixture
    def connect_again(self, redis: Redis, prefix: str) -> Callable[[Any], RedisMessageBusAdapter]:
        """Return a function that makes another adapter of the same client."""
        return lambda _: RedisMessageBusAdapter(redis, channel_prefix=prefix)

    @pytest.fixture
    def break_backend(self, break_connections: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that breaks the connections, and all later ones."""
        return break_connections
