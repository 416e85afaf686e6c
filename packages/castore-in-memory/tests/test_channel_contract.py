"""The in-memory queue and bus keep the contract of message channel adapters."""

from collections.abc import Callable, Sequence
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
        self.received.append(ReceivedMessage(body, context.replay))


class QueueHarness:
    """A queue whose worker keeps what it is told."""

    def __init__(self, queue: MessageQueue[Any]) -> None:
        self._inbox = Inbox(queue)
        self.adapter = InMemoryMessageQueueAdapter(queue, worker=self._inbox)

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return what the worker was told."""
        await self.adapter.join()
        return self._inbox.received


class BusHarness:
    """A bus with a listener that keeps what it is told."""

    def __init__(self, bus: MessageBus[Any]) -> None:
        self._inbox = Inbox(bus)
        self.adapter = InMemoryMessageBusAdapter(bus)
        self.adapter.on(self._inbox)

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return what the listener was told."""
        await self.adapter.join()
        return self._inbox.received


class TestInMemoryMessageQueueAdapter(MessageChannelAdapterTests):
    """The queue keeps the contract."""

    @pytest.fixture
    def connect(self) -> Callable[[MessageQueue[Any]], QueueHarness]:
        """Connect a queue."""
        return QueueHarness


class TestInMemoryMessageBusAdapter(MessageChannelAdapterTests):
    """The bus keeps the contract."""

    is_bus = True

    @pytest.fixture
    def connect(self) -> Callable[[MessageBus[Any]], BusHarness]:
        """Connect a bus."""
        return BusHarness
