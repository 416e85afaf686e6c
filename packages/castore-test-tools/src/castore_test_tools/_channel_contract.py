"""The contract of message channel adapters, as tests."""

import asyncio
from copy import deepcopy

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
from castore_test_tools._channel_base import Connect, Line, in_any_order
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
from castore_test_tools._values import (
    IDS,
    JSON_SAMPLES,
    NOON,
    OTHER_STORE,
    STORE,
    exact,
    json_values,
    moment,
)


class MessageChannelAdapterTests(FailuresContract):
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
    ``largest_payload`` and ``integral_floats_stay_floats``, and the method ``holds_number``,
    declare what the channel is and can do. Some tests need a hand on the backend. They are
    collected where the suite has the fixture that gives it: ``refuse_messages`` (partial
    failures), ``break_backend`` (failures) and ``connect_again`` (other adapters on the same
    client: it is given the channel). A test of the contract is replaced with
    `overrides_contract` only.
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

    @pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
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

    # Batches and order

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

    async def test_publishing_does_not_change_the_record(self, connect: Connect) -> None:
        """An adapter leaves the records, and the batch that it was given, as they are."""
        line = self.connect_notifications(connect)
        records = [line.channel.message_to_record(each) for each in make_notifications("a1", 2)]
        expected = deepcopy(records)
        await line.harness.adapter.publish_message(records[0], replay=True)
        await line.harness.adapter.publish_messages(records, replay=True)
        assert expected == records


def _is_about(body: MessageBody, aggregate_id: str) -> bool:
    event = body["event"]
    return isinstance(event, dict) and event["aggregateId"] == aggregate_id
