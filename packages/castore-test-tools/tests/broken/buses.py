"""A sound bus, and one that is a queue."""

import json
from collections.abc import Callable, Sequence

import pytest

from castore_core import MessageRecord
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage


class Topic:
    """Has a list for each receiver."""

    def __init__(self) -> None:
        self.lists: list[list[ReceivedMessage]] = []


class Bus:
    """Publishes to a topic."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._count = 0

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Publish a message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Publish messages."""
        for each in messages:
            for receiver in self.find_receivers():
                receiver.append(ReceivedMessage(json.loads(json.dumps(each.body)), replay))
            self._count += 1

    def find_receivers(self) -> list[list[ReceivedMessage]]:
        """Return those that get the next message."""
        return self.topic.lists


class Receiver:
    """Receives from a topic."""

    def __init__(self, topic: Topic) -> None:
        self._received: list[ReceivedMessage] = []
        topic.lists.append(self._received)

    async def receive(self, _: int) -> Sequence[ReceivedMessage]:
        """Return what came."""
        return self._received


class Harness(Receiver):
    """A receiver, and an adapter."""

    def __init__(self, adapter: Bus) -> None:
        super().__init__(adapter.topic)
        self.adapter = adapter


class BusTests(MessageChannelAdapterTests):
    """A second receiver can be connected."""

    adapter_class = Bus
    is_bus = True

    @pytest.fixture
    def topic(self) -> Topic:
        """Return a new topic."""
        return Topic()

    @pytest.fixture
    def connect(self, topic: Topic) -> Callable[[object], Harness]:
        """Connect a bus."""
        return lambda _: Harness(self.adapter_class(topic))

    @pytest.fixture
    def connect_receiver(self, topic: Topic) -> Callable[[object], Receiver]:
        """Connect a receiver."""
        return lambda _: Receiver(topic)


class SharesMessagesOut(Bus):
    """Gives each message to one receiver, in turn."""

    def find_receivers(self) -> list[list[ReceivedMessage]]:
        """Choose one."""
        lists = self.topic.lists
        return [lists[self._count % len(lists)]]
