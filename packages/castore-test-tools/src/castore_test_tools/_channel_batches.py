"""The channel contract: batches, their order, and the receivers of a bus."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from castore_test_tools._channel_base import ChannelContract, Connect, Receiver, in_any_order
from castore_test_tools._contract import requires
from castore_test_tools._messages import make_notification, make_notifications
from castore_test_tools._running import call


class BatchesContract(ChannelContract):
    """Messages that are published together, and one after the other."""

    async def test_an_empty_batch_is_fine(self, connect: Connect) -> None:
        """A batch of no messages publishes nothing, and does not fail."""
        line = self.connect_notifications(connect)
        await line.channel.publish_messages([])
        assert [] == await line.receive(0)

    @pytest.mark.parametrize("count", [1, 10, 11, 25])
    async def test_a_batch_of_any_size_arrives(self, connect: Connect, count: int) -> None:
        """A batch arrives as a whole, each message once, also beyond the backend's own limit."""
        line = self.connect_notifications(connect)
        messages = [make_notification(aggregate_id=f"a{each}") for each in range(count)]
        await line.channel.publish_messages(messages)
        assert in_any_order(messages) == in_any_order(await line.receive(count))

    async def test_a_batch_of_long_messages_arrives(self, connect: Connect) -> None:
        """A batch arrives as a whole, also where it is longer than the backend takes at once."""
        line = self.connect_notifications(connect)
        messages = [make_notification(version=each, payload="x" * 100_000) for each in range(1, 13)]
        await line.channel.publish_messages(messages)
        assert in_any_order(messages) == in_any_order(await line.receive(12))

    async def test_batches_at_once_arrive(self, connect: Connect) -> None:
        """Batches that are published at the same time do not get in each other's way."""
        line = self.connect_notifications(connect)
        batches = [make_notifications(f"a{each}", 12) for each in range(4)]
        await asyncio.gather(*(line.channel.publish_messages(each) for each in batches))
        messages = [each for batch in batches for each in batch]
        assert in_any_order(messages) == in_any_order(await line.receive(48))

    @requires("keeps_repeats")
    async def test_equal_messages_of_a_batch_all_arrive(self, connect: Connect) -> None:
        """A message that is in a batch twice arrives twice, as if it had been published twice."""
        line = self.connect_notifications(connect)
        message = make_notification()
        await line.channel.publish_messages([message, message])
        received = await line.harness.receive(2)
        assert len(received) == 2 if self.delivers_once else len(received) >= 2
        assert all(message == line.channel.parse_message(each.body) for each in received)

    @requires("keeps_order")
    async def test_a_batch_keeps_its_order(self, connect: Connect) -> None:
        """The messages of one aggregate arrive in the order of the batch."""
        line = self.connect_notifications(connect)
        batches = [make_notifications(each, 25) for each in ("a1", "a2")]
        await line.channel.publish_messages(
            [each for pair in zip(*batches, strict=True) for each in pair]
        )
        received = await line.receive(50)
        for aggregate_id, batch in zip(("a1", "a2"), batches, strict=True):
            found = [each for each in received if each.event.aggregate_id == aggregate_id]
            assert list(range(1, 26)) == [each.event.version for each in found]
            assert batch == found

    @requires("keeps_order")
    async def test_messages_keep_their_order(self, connect: Connect) -> None:
        """The messages of one aggregate arrive in the order in which they were published."""
        line = self.connect_notifications(connect)
        messages = make_notifications("a1", 9)
        for each in messages[:3]:
            await line.channel.publish_message(each)
        await line.channel.publish_messages(messages[3:6])
        for each in messages[6:]:
            await line.channel.publish_message(each)
        assert messages == await line.receive(9)

    @requires("is_bus", "connect_receiver")
    async def test_each_receiver_gets_each_message(
        self, connect: Connect, connect_receiver: Callable[[Any], Any]
    ) -> None:
        """The messages of a bus are not shared out among its receivers: both get all of them."""
        line = self.connect_notifications(connect)
        receiver: Receiver = await call(connect_receiver, line.channel)
        messages = make_notifications("a1", 12)
        await line.channel.publish_message(messages[0])
        await line.channel.publish_messages(messages[1:])
        expected = [line.channel.message_to_record(each).body for each in messages]
        for each in (None, receiver):
            received = [message.body for message in await line.receive_raw(12, each)]
            assert in_any_order(expected) == in_any_order(received)
