"""Queues on Redis keep the contract, on each server, in both protocols."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from castore_core import MessageChannel
from castore_redis import RedisMessageQueueAdapter
from castore_redis._entries import read_headers
from castore_redis._keys import name_streams
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage


class QueueHarness:
    """An adapter, and a reader of its streams."""

    def __init__(self, adapter: RedisMessageQueueAdapter, reader: Any) -> None:
        self.adapter = adapter
        self._reader = reader

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return all messages: those that were published are there at once."""
        entries = [
            fields for each in self.adapter.streams for _, fields in await self._reader.xrange(each)
        ]
        return [
            ReceivedMessage(json.loads(each["body"]), "replay" in each, read_headers(each))
            for each in entries
        ]


class RedisContract(MessageChannelAdapterTests):
    """A queue, and its fixtures."""

    carries_headers = True
    integral_floats_stay_floats = False  # bodies are JSON as JavaScript writes it

    server: str
    protocol: int
    streams = 1

    @pytest.fixture
    async def client(
        self, make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
    ) -> Any:
        """Return the client of all adapters of a test, with an encoding that is not ours."""
        return await make_client(
            find_server(self.server), protocol=self.protocol, encoding="latin-1"
        )

    @pytest.fixture
    async def reader(
        self, make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
    ) -> Any:
        """Return the client of the consumer."""
        return await make_client(find_server(self.server), decode_responses=True)

    @pytest.fixture
    def connect(
        self, client: Any, reader: Any, stream: str
    ) -> Callable[[MessageChannel[Any]], QueueHarness]:
        """Connect an adapter and a consumer with the queue."""
        adapter = RedisMessageQueueAdapter(client, stream=stream, streams=self.streams)
        return lambda _: QueueHarness(adapter, reader)

    @pytest.fixture
    def connect_again(
        self, client: Any, stream: str
    ) -> Callable[[MessageChannel[Any]], RedisMessageQueueAdapter]:
        """Make adapters of the same queue, with the same client."""
        return lambda _: RedisMessageQueueAdapter(client, stream=stream, streams=self.streams)

    @pytest.fixture
    def break_backend(self, reader: Any, stream: str) -> Callable[[], Any]:
        """Put something else in the place of the stream."""

        async def spoil() -> None:
            for each in name_streams(stream, self.streams):
                await reader.set(each, "no stream")

        return spoil


class TestRedis(RedisContract):
    """With RESP2."""

    server, protocol = "redis", 2


class TestRedisRESP3(RedisContract):
    """With RESP3."""

    server, protocol = "redis", 3


class TestValkey(RedisContract):
    """With RESP2."""

    server, protocol = "valkey", 2


class TestValkeyRESP3(RedisContract):
    """With RESP3."""

    server, protocol = "valkey", 3


class TestRedisStreams(RedisContract):
    """With several streams."""

    server, protocol, streams = "redis", 3, 4
