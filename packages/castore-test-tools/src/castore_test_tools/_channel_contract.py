"""The contract of message channel adapters, as tests."""

from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import given

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    JSONValue,
    MessageBody,
    MessagePublishError,
    NotificationMessage,
)
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._channel_base import Connect, Line, in_any_order
from castore_test_tools._channel_batches import BatchesContract
from castore_test_tools._channel_failures import FailuresContract
from castore_test_tools._contract import properties, requires
from castore_test_tools._messages import (
    SOURCES,
    Cleared,
    Notification,
    make_notification,
    make_notifications,
    make_state,
)
from castore_test_tools._running import change_meanwhile
from castore_test_tools._values import (
    JSON_SAMPLES,
    NOON,
    OTHER_STORE,
    STORE,
    exact,
    json_values,
    make_long_values,
    moment,
)


class MessageChannelAdapterTests(BatchesContract, FailuresContract):
    """What every `MessageChannelAdapter` must do.

    Override the fixture ``connect``, and declare what the channel can do::

        class TestMyQueueAdapter(MessageChannelAdapterTests):
            keeps_order = False

            @pytest.fixture
            def connect(self) -> Callable[[MessageQueue], MyHarness]:
                return MyHarness

    ``connect(channel)`` is called once a test. It returns a `ChannelHarness`: the adapter for that
    channel, and a consumer that got nothing yet and that gets all that the adapter publishes.

    The class attributes ``is_bus``, ``keeps_order``, ``delivers_once``, ``keeps_repeats``,
    ``carries_headers``, ``largest_payload`` and ``integral_floats_stay_floats``, and the method
    ``holds_number``, declare what the channel is and can do. Some tests need a hand on the backend.
    They are collected where the suite has the fixture that gives it: ``refuse_messages`` (partial
    failures), ``break_backend`` (failures), ``connect_again`` (other adapters on the same client:
    it is given the channel) and ``connect_receiver`` (a second consumer of a bus). A test of the
    contract is replaced with `overrides_contract` only.
    """

    # One line for all the examples of a property.
    _line: Line[Notification] | None = None
    _published = 0

    # The three kinds of message

    async def test_an_aggregate_exists_message_arrives(self, connect: Connect) -> None:
        """A message about an aggregate comes back as it was published."""
        kind = AggregateExistsMessageBus if self.is_bus else AggregateExistsMessageQueue
        line = self.connect_line(connect, kind("EXISTS", source_event_stores=SOURCES))
        message = AggregateExistsMessage(STORE, "a1", moment(7))
        await line.channel.publish_message(message)
        assert [message] == await line.receive(1)

    async def test_a_notification_arrives(self, connect: Connect) -> None:
        """A message about an event comes back as it was published, as the same event type."""
        line = self.connect_notifications(connect)
        message = make_notification(7, payload={"text": "milk"}, metadata={"by": "Ada"})
        await line.channel.publish_message(message)
        assert [message] == await line.receive(1)

    async def test_a_state_carrying_message_arrives(self, connect: Connect) -> None:
        """A message about an event and the state after it comes back as it was published."""
        line = self.connect_states(connect)
        message = make_state(7, content={"text": "milk", "tags": [None, 1]})
        await line.channel.publish_message(message)
        assert [message] == await line.receive(1)

    async def test_a_batch_of_aggregate_exists_messages_arrives(self, connect: Connect) -> None:
        """Messages without a version are taken in batches too."""
        kind = AggregateExistsMessageBus if self.is_bus else AggregateExistsMessageQueue
        line = self.connect_line(connect, kind("EXISTS", source_event_stores=SOURCES))
        messages = [AggregateExistsMessage(STORE, f"a{each}", moment(each)) for each in range(12)]
        await line.channel.publish_messages(messages)
        assert in_any_order(messages) == in_any_order(await line.receive(12))

    async def test_a_batch_of_state_carrying_messages_arrives(self, connect: Connect) -> None:
        """Each message of a batch has a state of its own."""
        line = self.connect_states(connect)
        messages = [make_state(version, content=f"line {version}") for version in range(1, 13)]
        await line.channel.publish_messages(messages)
        assert in_any_order(messages) == in_any_order(await line.receive(12))

    # Bodies

    async def test_an_absent_payload_stays_absent(self, connect: Connect) -> None:
        """An event without payload and metadata has no such keys when it arrives."""
        line = self.connect_notifications(connect)
        event = Cleared(aggregate_id="a1", version=1, timestamp=NOON)
        await line.channel.publish_message(NotificationMessage(STORE, event))
        body = await line.receive_body()
        expected: MessageBody = {
            "aggregateId": "a1",
            "version": 1,
            "type": "CLEARED",
            "timestamp": "2024-02-29T12:00:00.000Z",
        }
        assert expected == body["event"]

    async def test_metadata_without_a_payload_arrives(self, connect: Connect) -> None:
        """Metadata arrives beside an absent payload, in a batch and alone."""
        line = self.connect_notifications(connect)
        messages = [
            NotificationMessage(
                STORE,
                Cleared(aggregate_id="a1", version=each, timestamp=NOON, metadata={"by": "Ada"}),
            )
            for each in (1, 2)
        ]
        await line.channel.publish_message(messages[0])
        await line.channel.publish_messages(messages[1:])
        assert in_any_order(messages) == in_any_order(await line.receive(2))

    async def test_a_null_payload_stays_null(self, connect: Connect) -> None:
        """A payload that is null arrives as null, and not as absent."""
        line = self.connect_notifications(connect)
        await line.channel.publish_message(make_notification(payload=None))
        body = await line.receive_body()
        expected: MessageBody = {
            "aggregateId": "a1",
            "version": 1,
            "type": "NOTED",
            "timestamp": "2024-02-29T12:00:00.000Z",
            "payload": None,
        }
        assert expected == body["event"]

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES.keys())
    async def test_json_values_arrive(
        self, connect: Connect, samples: dict[str, JSONValue]
    ) -> None:
        """Payloads and metadata arrive as they are: falsy ones, numbers, unicode, long texts."""
        line = self.connect_notifications(connect)
        messages = [
            make_notification(aggregate_id=name, payload=value, metadata=[value])
            for name, value in samples.items()
            if self.holds(value)
        ]
        await line.channel.publish_messages(messages)
        expected = [line.channel.message_to_record(each).body for each in messages]
        received = [each.body for each in await line.receive_raw(len(messages))]
        as_read = self.exact_as_read
        assert in_any_order(map(as_read, expected)) == in_any_order(map(as_read, received))

    @properties
    @given(json_values)
    async def test_any_json_value_arrives(self, connect: Connect, value: JSONValue) -> None:
        """Any JSON value arrives as it is, or is refused for a number that cannot."""
        line = self._line = self._line or self.connect_notifications(connect)
        aggregate_id = f"any-{self._published + 1}"
        message = make_notification(aggregate_id=aggregate_id, payload=value)
        if not self.holds(value):
            with pytest.raises(MessagePublishError):
                await line.channel.publish_message(message)
            return
        self._published += 1
        await line.channel.publish_message(message)
        expected = line.channel.message_to_record(message).body
        bodies = [each.body for each in await line.receive_raw(self._published)]
        about_it = [each for each in bodies if _is_about(each, aggregate_id)]
        assert [self.exact_as_read(expected)] == [self.exact_as_read(each) for each in about_it]

    @pytest.mark.parametrize("value", [None, "", 0, False, [], {}], ids=repr)
    async def test_an_empty_state_arrives(self, connect: Connect, value: JSONValue) -> None:
        """The state of a message arrives as it is, falsy values included."""
        line = self.connect_states(connect)
        message = make_state(content=value)
        await line.channel.publish_message(message)
        expected = line.channel.message_to_record(message).body
        assert exact(expected) == exact(await line.receive_body())

    @with_any_ids
    async def test_ids_are_data(self, connect: Connect, ids: list[str]) -> None:
        """Messages of aggregates with look-alike ids all arrive, in a batch and one by one."""
        line = self.connect_notifications(connect)
        batch = [make_notification(1, aggregate_id=each) for each in ids]
        await line.channel.publish_messages(batch)
        singles = [make_notification(2, aggregate_id=each) for each in ids]
        for each in singles:
            await line.channel.publish_message(each)
        received = await line.receive(2 * len(ids))
        assert in_any_order([*batch, *singles]) == in_any_order(received)

    async def test_two_stores_are_told_apart(self, connect: Connect) -> None:
        """Messages of two stores about the same aggregate id and version both arrive."""
        line = self.connect_notifications(connect)
        messages = [make_notification(event_store_id=each) for each in (STORE, OTHER_STORE)]
        await line.channel.publish_messages(messages)
        assert in_any_order(messages) == in_any_order(await line.receive(2))

    # The replay flag

    async def test_a_message_is_no_replay(self, connect: Connect) -> None:
        """Without the flag, consumers are told that a message is no replay."""
        line = self.connect_notifications(connect)
        await line.channel.publish_message(make_notification())
        assert [False] == await line.receive_replays(1)

    async def test_a_replay_is_one(self, connect: Connect) -> None:
        """With the flag, consumers are told that a message is a replay."""
        line = self.connect_notifications(connect)
        await line.channel.publish_message(make_notification(), replay=True)
        assert [True] == await line.receive_replays(1)

    async def test_a_batch_is_no_replay(self, connect: Connect) -> None:
        """Without the flag, no message of a batch is a replay."""
        line = self.connect_notifications(connect)
        await line.channel.publish_messages(make_notifications("a1", 12))
        assert [False] * 12 == await line.receive_replays(12)

    async def test_a_batch_of_replays_is_one(self, connect: Connect) -> None:
        """With the flag, every message of a batch is a replay."""
        line = self.connect_notifications(connect)
        await line.channel.publish_messages(make_notifications("a1", 12), replay=True)
        assert [True] * 12 == await line.receive_replays(12)

    async def test_the_flag_is_not_remembered(self, connect: Connect) -> None:
        """A replay makes no replay of the messages that follow it."""
        line = self.connect_notifications(connect)
        await line.channel.publish_message(make_notification(), replay=True)
        await line.channel.publish_message(make_notification(version=2))
        received = await line.receive_raw(2)
        events = [line.channel.parse_message(each.body).event for each in received]
        flags = [(event.version, each.replay) for event, each in zip(events, received, strict=True)]
        assert [(1, True), (2, False)] == sorted(flags)

    async def test_a_replay_of_a_message_arrives_beside_it(self, connect: Connect) -> None:
        """A replay is no repeat of the message that was published before, and is not dropped."""
        line = self.connect_notifications(connect)
        message = make_notification()
        await line.channel.publish_message(message)
        await line.channel.publish_messages([message], replay=True)
        assert [False, True] == sorted(await line.receive_replays(2))

    # Headers

    async def test_a_message_with_headers_arrives(self, connect: Connect) -> None:
        """Headers keep no message from arriving, whether the channel carries them or not."""
        line = self.connect_notifications(connect)
        messages = make_notifications("a1", 3)
        records = [line.channel.message_to_record(each) for each in messages]
        first, *others = [each._replace(headers=_make_headers(each.version)) for each in records]
        await line.harness.adapter.publish_message(first)
        await line.harness.adapter.publish_messages(others)
        assert in_any_order(messages) == in_any_order(await line.receive(3))

    async def test_a_message_with_odd_headers_arrives(self, connect: Connect) -> None:
        """Headers that the channel cannot carry are left out, and keep no message back."""
        line = self.connect_notifications(connect)
        messages = make_notifications("a1", 3)
        records = [line.channel.message_to_record(each) for each in messages]
        first, *others = [each._replace(headers=_make_odd_headers()) for each in records]
        await line.harness.adapter.publish_message(first)
        await line.harness.adapter.publish_messages(others)
        assert in_any_order(messages) == in_any_order(await line.receive(3))

    @requires("carries_headers")
    async def test_headers_arrive(self, connect: Connect) -> None:
        """Each message comes with its own headers, alone and in a batch, and with none if none."""
        line = self.connect_notifications(connect)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 4)]
        expected = [_make_headers(1), _make_headers(2), {}, _make_headers(4)]
        sent = [each._replace(headers=own) for each, own in zip(records, expected, strict=True)]
        await line.harness.adapter.publish_message(sent[0])
        await line.harness.adapter.publish_messages(sent[1:])
        received = await line.receive_raw(4)
        headers = {_get_version(each.body): {**each.headers} for each in received}
        assert expected == [headers[version] for version in (1, 2, 3, 4)]

    # Publishers and consumers share nothing

    async def test_a_message_was_taken_when_publish_returns(self, connect: Connect) -> None:
        """What the publisher does to a record afterwards does not reach the consumer."""
        line = self.connect_notifications(connect)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 2)]
        expected = [deepcopy(each.body) for each in records]
        await line.harness.adapter.publish_message(records[0])
        await line.harness.adapter.publish_messages([records[1]])
        for each in records:
            each.body["event"] = "changed"
        bodies = [each.body for each in await line.receive_raw(2)]
        assert in_any_order(expected) == in_any_order(bodies)

    async def test_messages_that_change_while_they_are_published(self, connect: Connect) -> None:
        """Consumers get the bodies as they were when publish was called."""
        line = self.connect_notifications(connect)
        messages = [
            make_notification(aggregate_id=f"a{number}", payload=value)
            for number, value in enumerate(make_long_values())
        ]
        records = [line.channel.message_to_record(each) for each in messages]
        expected = [deepcopy(each.body) for each in records]
        events = [cast("dict[str, dict[str, Any]]", each.body)["event"] for each in records]
        single, batch = line.harness.adapter.publish_message, line.harness.adapter.publish_messages
        publishes = [batch(records[:20]), *map(single, records[20:])]
        await change_meanwhile(publishes, [each["payload"] for each in events])
        bodies = [each.body for each in await line.receive_raw(len(records))]
        assert in_any_order(expected) == in_any_order(bodies)

    async def test_publishing_does_not_change_the_record(self, connect: Connect) -> None:
        """An adapter leaves the records, and the batch that it was given, as they are."""
        line = self.connect_notifications(connect)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 2)]
        expected = deepcopy(records)
        await line.harness.adapter.publish_message(records[0], replay=True)
        await line.harness.adapter.publish_messages(records, replay=True)
        assert expected == records


def _make_headers(version: int | None) -> dict[str, str]:
    return {
        "traceparent": f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{version}-01",
        "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    }


def _make_odd_headers() -> dict[str, str]:
    odd = {"": "no name", "empty": "", "a name": "Pok\u00e9mon", "aws.trace": "\0\uffff"}
    return {
        **odd,
        "surrogate": "\ud800",
        **{f"header{number}": "one of many" for number in range(12)},
    }


def _get_version(body: MessageBody) -> int:
    event = cast("dict[str, Any]", body["event"])
    version: int = event["version"]
    return version


def _is_about(body: MessageBody, aggregate_id: str) -> bool:
    event = body["event"]
    return isinstance(event, dict) and event["aggregateId"] == aggregate_id
