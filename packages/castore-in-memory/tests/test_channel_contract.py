"""The in-memory queue and bus keep the contract of message channel adapters."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from castore_core import MessageBus, MessageChannel, MessageQueue
from castore_in_memory import InMemoryMessageBusAdapter, InMemoryMessageQueueAdapter, MessageContext
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage


class Inbox:
    """A worker, or a listener, that keeps what it is told."""

    def __init__(self, channel: MessageChannel[Any]) -> None:
        self.received: list[ReceivedMessage] = []
        self._channel = channel

    def __call__(self, message: Any, context: MessageContext) -> None:
        """Keep a message."""
        body = self._channel.message_to_record(message).body
        self.received.append(ReceivedMessage(body, context.replay, context.headers))


class QueueHarness:
    """A queue whose worker keeps what it is told."""

    def __init__(self, queue: MessageQueue[Any]) -> None:
        self._inbox = Inbox(queue)
        self.adapter = InMemoryMessageQueueAdapter(queue, worker=self._inbox)

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return what the worker was told."""
        await self.adapter.join()
        return self._inbox.received


class Listener:
    """A listener of a bus that keeps what it is told."""

    def __init__(self, bus: MessageBus[Any], adapter: InMemoryMessageBusAdapter[Any]) -> None:
        self._inbox = Inbox(bus)
        self.adapter = adapter
        self.adapter.on(self._inbox)

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return what the listener was told."""
        await self.adapter.join()
        return self._inbox.received


class BusHarness(Listener):
    """A bus with a listener."""

    def __init__(self, bus: MessageBus[Any]) -> None:
        super().__init__(bus, InMemoryMessageBusAdapter(bus))


class InMemoryChannelTests(MessageChannelAdapterTests):
    """What the two have in common."""

    carries_headers = True
    harness_class: type[QueueHarness | BusHarness]

    @pytest.fixture
    def harnesses(self) -> list[QueueHarness | BusHarness]:
        """Give a place for what was connected."""
        return []

    @pytest.fixture
    def connect(
        self, harnesses: list[QueueHarness | BusHarness]
    ) -> Callable[[Any], QueueHarness | BusHarness]:
        """Connect a channel."""

        def connect(channel: Any) -> QueueHarness | BusHarness:
            harnesses.append(self.harness_class(channel))
            return harnesses[0]

        return connect

    @pytest.fixture
    def break_backend(
        self, harnesses: list[QueueHarness | BusHarness]
    ) -> Callable[[], Awaitable[None]]:
        """Close the adapter, which is all there is."""

        async def close() -> None:
            await harnesses[0].adapter.aclose()

        return close


class TestInMemoryMessageQueueAdapter(InMemoryChannelTests):
    """The queue keeps the contract."""

    harness_class = QueueHarness


class TestInMemoryMessageBusAdapter(InMemoryChannelTests):
    """The bus keeps the contract."""

    harness_class = BusHarness
    is_bus = True

    @pytest.fixture
    def connect_receiver(
        self, harnesses: list[BusHarness]
    ) -> Callable[[MessageBus[Any]], Listener]:
        """Register another listener."""
        return lambda bus: Listener(bus, harnesses[0].adapter)
