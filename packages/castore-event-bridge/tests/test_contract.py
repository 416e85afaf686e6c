"""A bus of EventBridge keeps the contract, on each server, through each kind of client.

A rule takes all events to a queue, which is read with the parser of the package.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

import pytest

from castore_aws import RetryPolicy
from castore_core import MessageChannel
from castore_event_bridge import EventBridgeMessageBusAdapter, EventBridgeMessageParser
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage

PATIENCE = 20  # seconds
QUICK = RetryPolicy(max_attempts=2, base_delay=0)


class BusHarness:
    """An adapter, and a consumer behind a rule."""

    def __init__(
        self, channel: MessageChannel[Any], adapter: EventBridgeMessageBusAdapter, outlet: Any
    ) -> None:
        self.adapter = adapter
        self._channel = channel
        self._parser = EventBridgeMessageParser(channel)
        self._outlet = outlet
        self._received: list[ReceivedMessage] = []

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return all messages, once there are so many and the queue is empty."""
        deadline = monotonic() + PATIENCE
        found = True
        while found or (len(self._received) < count and monotonic() < deadline):
            events = await asyncio.to_thread(self._outlet.receive)
            found = bool(events)
            for event in events:
                message, context = await self._parser.parse_event(event)
                body = self._channel.message_to_record(message).body
                self._received.append(ReceivedMessage(body, context.replay))
        return self._received


class EventBridgeContract(MessageChannelAdapterTests):
    """What EventBridge is, and the fixtures."""

    is_bus = True
    keeps_order = False
    largest_payload = 1_000_000
    integral_floats_stay_floats = False  # bodies are JSON as JavaScript writes it

    kind: str
    server: str

    def holds_number(self, number: float) -> bool:
        """Tell whether it is no integer beyond 64 bits, as JavaScript writes it."""
        return -(2**63) <= number < 2**63 or (isinstance(number, float) and abs(number) >= 1e21)

    @pytest.fixture
    def proxy(
        self,
        request: pytest.FixtureRequest,
        make_proxy: Callable[[str], Any],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return what is between the client and the server, where something is to fail."""
        if {"refuse_messages", "break_backend"}.isdisjoint(request.fixturenames):
            return None
        return make_proxy(find_server(self.server))

    @pytest.fixture
    async def client(
        self,
        proxy: Any,
        make_client: Callable[..., Awaitable[Any]],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return the client of all adapters of a test."""
        url = find_server(self.server) if proxy is None else proxy.url
        return await make_client(self.kind, url)

    @pytest.fixture
    async def outlet(
        self, make_outlet: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
    ) -> Any:
        """Return a bus whose events all go to a queue."""
        return await make_outlet(find_server(self.server), {"source": [{"exists": True}]})

    @pytest.fixture
    def connect_again(
        self, client: Any, outlet: Any
    ) -> Callable[[object], EventBridgeMessageBusAdapter]:
        """Make adapters of the bus, with the same client."""
        return lambda _: EventBridgeMessageBusAdapter(client, outlet.event_bus_name, retries=QUICK)

    @pytest.fixture
    def connect(
        self, connect_again: Callable[[object], EventBridgeMessageBusAdapter], outlet: Any
    ) -> Callable[[MessageChannel[Any]], BusHarness]:
        """Connect an adapter and a consumer with a channel."""
        return lambda channel: BusHarness(channel, connect_again(channel), outlet)

    @pytest.fixture
    def refuse_messages(self, proxy: Any) -> Callable[[Sequence[str]], None]:
        """Have the proxy refuse events."""
        return proxy.refuse

    @pytest.fixture
    def break_backend(self, proxy: Any) -> Callable[[], None]:
        """Have the proxy fail: what is put on a bus that was deleted is taken, and dropped."""
        return proxy.break_down


class TestBoto3OnMinistack(EventBridgeContract):
    """Through threads."""

    kind, server = "boto3", "ministack"


class TestAioboto3OnMinistack(EventBridgeContract):
    """In the event loop."""

    kind, server = "aioboto3", "ministack"


class TestBoto3OnMoto(EventBridgeContract):
    """A second opinion."""

    kind, server = "boto3", "moto"


class TestAioboto3OnMoto(EventBridgeContract):
    """A second opinion, in the event loop."""

    kind, server = "aioboto3", "moto"
