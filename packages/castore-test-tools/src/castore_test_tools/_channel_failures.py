"""The channel contract: messages that are not taken, and the client behind an adapter."""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from castore_core import MessageChannelAdapter, MessagePublishError, MessageRecord
from castore_test_tools._channel_base import ChannelContract, Connect, Line, in_any_order
from castore_test_tools._contract import requires
from castore_test_tools._messages import Notification, make_notification, make_notifications
from castore_test_tools._running import (
    call,
    close,
    thaw,
)

_REFUSED = ("a0", "a11", "a24")


class FailuresContract(ChannelContract):
    """A publish that failed is never silent, and says what it did not do."""

    @requires("refuse_messages")
    async def test_a_refused_message_raises(
        self, connect: Connect, refuse_messages: Callable[[Sequence[str]], Any]
    ) -> None:
        """The error names the message, and nothing arrives."""
        line = self.connect_notifications(connect)
        await call(refuse_messages, ["a1"])
        record = line.channel.message_to_record(make_notification())
        with pytest.raises(MessagePublishError) as caught:
            await line.harness.adapter.publish_message(record)
        assert [record] == [each for each, _ in caught.value.failures]
        assert [] == await line.receive(0)

    @requires("refuse_messages")
    async def test_refused_messages_of_a_batch_are_named(
        self, connect: Connect, refuse_messages: Callable[[Sequence[str]], Any]
    ) -> None:
        """The error names just those that were refused, with reasons, and all others arrive."""
        line = self.connect_notifications(connect)
        await call(refuse_messages, _REFUSED)
        messages = [make_notification(aggregate_id=f"a{each}") for each in range(25)]
        failures = await _fail(line, messages)
        assert in_any_order(_REFUSED) == in_any_order(each.aggregate_id for each, _ in failures)
        assert all(reason for _, reason in failures)
        taken = [each for each in messages if each.event.aggregate_id not in _REFUSED]
        assert in_any_order(taken) == in_any_order(await line.receive(len(taken)))

    @requires("refuse_messages")
    async def test_a_batch_that_is_refused_as_a_whole(
        self, connect: Connect, refuse_messages: Callable[[Sequence[str]], Any]
    ) -> None:
        """The error names each message once, in the order of the batch, and nothing arrives."""
        line = self.connect_notifications(connect)
        await call(refuse_messages, ["a1"])
        failures = await _fail(line, make_notifications("a1", 12))
        assert list(range(1, 13)) == [each.version for each, _ in failures]
        assert [] == await line.receive(0)

    @requires("refuse_messages")
    async def test_refused_messages_can_be_published_again(
        self, connect: Connect, refuse_messages: Callable[[Sequence[str]], Any]
    ) -> None:
        """Who publishes just what the error names has published everything once."""
        line = self.connect_notifications(connect)
        await call(refuse_messages, _REFUSED)
        messages = [make_notification(aggregate_id=f"a{each}") for each in range(25)]
        failures = await _fail(line, messages)
        await call(refuse_messages, [])
        await line.harness.adapter.publish_messages([each for each, _ in failures])
        assert in_any_order(messages) == in_any_order(await line.receive(25))

    @requires("refuse_messages")
    async def test_a_publish_error_pickles(
        self, connect: Connect, refuse_messages: Callable[[Sequence[str]], Any]
    ) -> None:
        """The error keeps its type and its messages from process to process."""
        line = self.connect_notifications(connect)
        await call(refuse_messages, ["a1"])
        with pytest.raises(MessagePublishError) as caught:
            await line.channel.publish_message(make_notification())
        thawed = thaw(caught.value)
        assert (type(caught.value), caught.value.failures) == (type(thawed), thawed.failures)

    @requires("break_backend")
    async def test_a_backend_that_fails_takes_nothing(
        self, connect: Connect, break_backend: Callable[[], Any]
    ) -> None:
        """The error names all the messages, and keeps them when it is pickled."""
        line = self.connect_notifications(connect)
        await call(break_backend)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 12)]
        with pytest.raises(MessagePublishError) as caught:
            await line.harness.adapter.publish_messages(records)
        thawed = thaw(caught.value)
        for error in (caught.value, thawed):
            assert in_any_order(records) == in_any_order(each for each, _ in error.failures)

    @requires("largest_payload")
    async def test_too_large_a_message_is_refused(self, connect: Connect) -> None:
        """The error names it alone, and all others arrive, also later ones of its aggregate.

        It has twice the declared payload.
        """
        assert self.largest_payload
        line = self.connect_notifications(connect)
        before, _, after = make_notifications("a1", 3)
        too_large = make_notification(version=2, payload="x" * (2 * self.largest_payload))
        other = make_notification(aggregate_id="a2")
        failures = await _fail(line, [before, too_large, after, other])
        assert [("a1", 2)] == [(each.aggregate_id, each.version) for each, _ in failures]
        assert all(reason for _, reason in failures)
        received = await line.receive(3)
        assert in_any_order([before, after, other]) == in_any_order(received)
        if self.keeps_order:
            assert [before, after] == [each for each in received if each.event.aggregate_id == "a1"]

    @requires("connect_again")
    async def test_a_channel_leaves_the_client_open(
        self, connect: Connect, connect_again: Callable[[Any], Any]
    ) -> None:
        """An adapter that was closed, or is gone, leaves its client to those who still use it."""
        line = self.connect_notifications(connect)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 2)]
        other: MessageChannelAdapter = await call(connect_again, line.channel)
        await other.publish_message(records[0])
        await close(other)
        del other
        gc.collect()
        await line.harness.adapter.publish_message(records[1])
        expected = [each.body for each in records]
        received = [each.body for each in await line.receive_raw(2)]
        assert in_any_order(expected) == in_any_order(received)


async def _fail(
    line: Line[Notification], messages: Sequence[Notification]
) -> Sequence[tuple[MessageRecord, str]]:
    """Publish a batch of which not all is taken, and return what the error names."""
    with pytest.raises(MessagePublishError) as caught:
        await line.channel.publish_messages(messages)
    return caught.value.failures
