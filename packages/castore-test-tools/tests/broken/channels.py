"""A sound channel adapter, and those that lose, change, repeat or misorder messages."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy

import pytest

from castore_core import MessageBody, MessagePublishError, MessageRecord, format_json
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage

MOST_CHARACTERS = 500_000


class Broker:
    """Takes texts, in order, and gives them to one consumer."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bool, Mapping[str, str]]] = []
        self.refused: Collection[str] = ()
        self.is_open = True

    async def send(
        self, aggregate_id: str, text: str, *, replay: bool, headers: Mapping[str, str]
    ) -> None:
        """Take a text."""
        await asyncio.sleep(0)
        if not self.is_open or aggregate_id in self.refused or len(text) > MOST_CHARACTERS:
            raise ConnectionError("the broker does not take it")
        self.sent.append((text, replay, headers))

    def refuse(self, aggregate_ids: Collection[str]) -> None:
        """Take no messages of these."""
        self.refused = aggregate_ids

    def close(self) -> None:
        """Take nothing more."""
        self.is_open = False


class Channel:
    """Publishes to a broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Publish a message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Publish messages."""
        failures: list[tuple[MessageRecord, str]] = []
        texts = [json.dumps(self.get_body(each)) for each in messages]
        for message, text in zip(messages, texts, strict=True):
            try:
                headers = self.choose_headers(message, messages)
                await self.broker.send(message.aggregate_id, text, replay=replay, headers=headers)
            except ConnectionError as error:
                failures.append((message, str(error)))
        if failures:
            self.fail(messages, failures)

    def choose_headers(
        self, message: MessageRecord, batch: Sequence[MessageRecord]
    ) -> Mapping[str, str]:
        """Return the headers that a message of a batch is sent with."""
        return {**message.headers}

    def get_body(self, message: MessageRecord) -> MessageBody:
        """Return what is sent."""
        return message.body

    def fail(
        self,
        messages: Sequence[MessageRecord],
        failures: Sequence[tuple[MessageRecord, str]],
    ) -> None:
        """Say what was not sent."""
        raise MessagePublishError(failures)


class Harness:
    """An adapter, and what the broker has got."""

    def __init__(self, adapter: Channel) -> None:
        self.adapter = adapter

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return all that was sent."""
        sent = self.adapter.broker.sent
        return [ReceivedMessage(json.loads(text), replay, own) for text, replay, own in sent]


class ChannelTests(MessageChannelAdapterTests):
    """Everything is declared."""

    adapter_class = Channel
    carries_headers = True
    largest_payload = 400_000

    @pytest.fixture
    def broker(self) -> Broker:
        """Return a new broker."""
        return Broker()

    @pytest.fixture
    def connect(self, broker: Broker) -> Callable[[object], Harness]:
        """Connect a queue."""
        return lambda _: Harness(self.adapter_class(broker))

    @pytest.fixture
    def connect_again(self, broker: Broker) -> Callable[[object], Channel]:
        """Make more adapters on the broker."""
        return lambda _: self.adapter_class(broker)

    @pytest.fixture
    def refuse_messages(self, broker: Broker) -> Callable[[Collection[str]], None]:
        """Refuse messages."""
        return broker.refuse

    @pytest.fixture
    def break_backend(self, broker: Broker) -> Callable[[], None]:
        """Close the broker."""
        return broker.close


class RepeatingHarness(Harness):
    """Delivers every other message twice, before those that follow."""

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return as many as were asked for, if there are so many."""
        received = await super().receive(count)
        repeated = [each for number, each in enumerate(received) for _ in range(1 + number % 2)]
        return repeated[:count]


class RepeatingChannelTests(ChannelTests):
    """At least once."""

    delivers_once = False

    @pytest.fixture
    def connect(self, broker: Broker) -> Callable[[object], RepeatingHarness]:
        """Connect a queue."""
        return lambda _: RepeatingHarness(self.adapter_class(broker))


class LimitedChannel(Channel):
    """Has the numbers of JavaScript, integers of 64 bits, and sends nothing twice."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._sent: set[tuple[str, bool]] = set()

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Leave out what was sent."""
        failures: list[tuple[MessageRecord, str]] = []
        for each in deepcopy(list(messages)):
            key = format_json(each.body), replay
            if key in self._sent:
                continue
            try:
                await super().publish_messages([each], replay=replay)
            except MessagePublishError as error:
                failures += error.failures
            else:
                self._sent.add(key)
        if failures:
            raise MessagePublishError(failures)

    def get_body(self, message: MessageRecord) -> MessageBody:
        """Write and read the body."""
        try:
            body: MessageBody = json.loads(format_json(message.body), parse_int=self.read_integer)
        except OverflowError as error:
            raise MessagePublishError([(message, str(error))]) from error
        return body

    def read_integer(self, digits: str) -> int:
        """Refuse what is too long."""
        if abs(int(digits)) >= 2**63:
            raise OverflowError(f"{digits} does not fit into 64 bits")
        return int(digits)


class LimitedChannelTests(ChannelTests):
    """The limits are declared."""

    adapter_class = LimitedChannel
    keeps_repeats = False
    integral_floats_stay_floats = False

    def holds_number(self, number: float) -> bool:
        """Tell whether it is no integer beyond 64 bits, as it is written."""
        return abs(number) < 2**63 or (isinstance(number, float) and abs(number) >= 1e21)


class HeadersRefused(Channel):
    """Sends no message that has headers."""

    def choose_headers(
        self, message: MessageRecord, batch: Sequence[MessageRecord]
    ) -> Mapping[str, str]:
        """Refuse them."""
        if message.headers:
            raise ConnectionError("the broker does not take headers")
        return super().choose_headers(message, batch)


class OddHeadersRefused(Channel):
    """Sends no message with a header that UTF-8 cannot write."""

    def choose_headers(
        self, message: MessageRecord, batch: Sequence[MessageRecord]
    ) -> Mapping[str, str]:
        """Refuse them."""
        try:
            "".join(message.headers.values()).encode()
        except UnicodeEncodeError as error:
            raise ConnectionError("the broker does not take the headers") from error
        return super().choose_headers(message, batch)


class HeadersLost(Channel):
    """Sends bodies only."""

    def choose_headers(
        self,
        message: MessageRecord,
        batch: Sequence[MessageRecord],
    ) -> Mapping[str, str]:
        """Send none."""
        return {}


class HeadersOfTheFirst(Channel):
    """Sends the whole batch with the headers of its first message."""

    def choose_headers(
        self,
        message: MessageRecord,
        batch: Sequence[MessageRecord],
    ) -> Mapping[str, str]:
        """Take those of the first."""
        return {**batch[0].headers}


class EveryIntegerIsSent(LimitedChannel):
    """Cuts integers to 64 bits."""

    def read_integer(self, digits: str) -> int:
        """Cut."""
        return int(digits) % 2**63


class FailureSwallowed(Channel):
    """Says nothing of what was not sent."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Do nothing."""


class PartialFailureSwallowed(Channel):
    """Raises where nothing was sent."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Compare."""
        if len(failures) == len(messages):
            super().fail(messages, failures)


class FailureNamesAll(Channel):
    """Does not know which messages were sent."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Name the batch."""
        super().fail(messages, [(each, failures[0][1]) for each in messages])


class FailureNamesTheFirst(Channel):
    """Names one message."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Name the first."""
        super().fail(messages, failures[:1])


class FailuresBackwards(Channel):
    """Names the last message first."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Reverse them."""
        super().fail(messages, failures[::-1])


class StopsAtAFailure(Channel):
    """Sends nothing after a failure, and does not say so."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Publish one after the other."""
        for each in messages:
            await super().publish_messages([each], replay=replay)


class KeywordOnlyPublishError(MessagePublishError):
    """An error that does not pickle."""

    def __init__(self, *, failures: Sequence[tuple[MessageRecord, str]]) -> None:
        super().__init__(failures)


class PublishErrorDoesNotPickle(Channel):
    """Raises an error of its own."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Raise another error."""
        raise KeywordOnlyPublishError(failures=failures)


class BrokerErrorEscapes(Channel):
    """Lets out what the broker raises."""

    def fail(
        self, messages: Sequence[MessageRecord], failures: Sequence[tuple[MessageRecord, str]]
    ) -> None:
        """Raise it."""
        raise ConnectionError("the broker does not take it")


class ClosesItsBroker(Channel):
    """Closes what it was given."""

    def close(self) -> None:
        """Close."""
        self.broker.close()


class NeedsAVersion(Channel):
    """Leaves out messages without a version."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Filter."""
        await super().publish_messages([each for each in messages if each.version], replay=replay)


class BodyChanged(Channel):
    """Sends something else than it was given."""

    def change(self, event: MessageBody) -> MessageBody:
        """Return the event that is sent instead."""
        return event

    def get_body(self, message: MessageRecord) -> MessageBody:
        """Change it."""
        event = message.body["event"]
        assert isinstance(event, dict)
        return {**message.body, "event": self.change(event)}


class MetadataLost(BodyChanged):
    """Knows payloads only."""

    def change(self, event: MessageBody) -> MessageBody:
        """Drop the metadata."""
        return {key: value for key, value in event.items() if key != "metadata"}


class MetadataNeedsAPayload(BodyChanged):
    """Sends metadata beside a payload."""

    def change(self, event: MessageBody) -> MessageBody:
        """Drop what is alone."""
        if "payload" in event:
            return event
        return {key: value for key, value in event.items() if key != "metadata"}


class TimestampsAreCut(BodyChanged):
    """Sends timestamps of whole seconds."""

    def change(self, event: MessageBody) -> MessageBody:
        """Cut."""
        return event | {"timestamp": str(event["timestamp"])[:19] + ".000Z"}


class AbsentIsSentAsNull(BodyChanged):
    """Fills in what is absent."""

    def change(self, event: MessageBody) -> MessageBody:
        """Fill in."""
        return {"payload": None, "metadata": None} | event


class NullIsNotSent(BodyChanged):
    """Drops what is null."""

    def change(self, event: MessageBody) -> MessageBody:
        """Drop it."""
        return {key: value for key, value in event.items() if value is not None}


class FalsyIsNotSent(BodyChanged):
    """Tests a payload for truth."""

    def change(self, event: MessageBody) -> MessageBody:
        """Drop it."""
        return {key: value for key, value in event.items() if value}


class StatesAreTexts(Channel):
    """Sends a state as a text."""

    def get_body(self, message: MessageRecord) -> MessageBody:
        """Write a text."""
        state = message.body.get("aggregate")
        if not isinstance(state, dict):
            return message.body
        return {**message.body, "aggregate": {**state, "content": str(state["content"])}}


class StateOfTheFirst(Channel):
    """Sends the state of the first message with each."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take it over."""
        state = {key: each for key, each in messages[0].body.items() if key == "aggregate"}
        changed = [each._replace(body=each.body | state) for each in messages]
        await super().publish_messages(changed, replay=replay)


class Deduplicating(Channel):
    """Sends each message once, by a name of its own."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._sent: set[object] = set()

    def name(self, message: MessageRecord) -> object:
        """Return the name."""
        return message.event_store_id, message.aggregate_id, message.version

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Leave out what was sent."""
        new = [each for each in messages if self.name(each) not in self._sent]
        new = list({self.name(each): each for each in new}.values())
        self._sent |= {self.name(each) for each in new}
        await super().publish_messages(new, replay=replay)


class NamesAreFolded(Deduplicating):
    """Compares ids without regard to case."""

    def name(self, message: MessageRecord) -> object:
        """Fold."""
        return message.event_store_id, message.aggregate_id.casefold(), message.version


class NamesOfSinglesAreFolded(Deduplicating):
    """Compares the ids of messages that come alone without regard to case."""

    def name(self, message: MessageRecord) -> object:
        """Leave a batch as it is."""
        return message.event_store_id, message.aggregate_id, message.version

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Fold."""
        folded = message._replace(aggregate_id=message.aggregate_id.casefold())
        await super().publish_message(folded, replay=replay)


class NamesHaveNoStore(Deduplicating):
    """Does not look at the store."""

    def name(self, message: MessageRecord) -> object:
        """Drop the store."""
        return message.aggregate_id, message.version


class ReplayLost(Channel):
    """Does not know replays."""

    async def publish_messages(
        self,
        messages: Sequence[MessageRecord],
        *,
        replay: bool = False,
    ) -> None:
        """Drop the flag."""
        await super().publish_messages(messages)


class ReplayOfBatchesLost(Channel):
    """Knows replays of single messages."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Drop the flag."""
        await super().publish_messages(messages, replay=replay and len(messages) == 1)


class EverythingIsAReplay(Channel):
    """Sets the flag always."""

    async def publish_messages(
        self,
        messages: Sequence[MessageRecord],
        *,
        replay: bool = False,
    ) -> None:
        """Set it."""
        await super().publish_messages(messages, replay=True)


class ReplayRemembered(Channel):
    """Leaves the flag set."""

    _replay = False

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Remember."""
        self._replay = self._replay or replay
        await super().publish_messages(messages, replay=self._replay)


class EmptyBatchFails(Channel):
    """Sends what the broker does not take: nothing."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Refuse."""
        if not messages:
            raise MessagePublishError([])
        await super().publish_messages(messages, replay=replay)


class FirstTenOnly(Channel):
    """Sends as many as the broker takes at once."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Cut."""
        await super().publish_messages(messages[:10], replay=replay)


class MessageTwice(Channel):
    """Sends the last message of a batch again."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Repeat."""
        await super().publish_messages([*messages, *messages[-1:]], replay=replay)


class LongBatchCut(Channel):
    """Sends as many characters as the broker takes at once."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Cut."""
        room = 1_000_000
        taken: list[MessageRecord] = []
        for each in messages:
            room -= len(repr(each.body))
            taken += [each] if room > 0 else []
        await super().publish_messages(taken, replay=replay)


class OneBatchAtATime(Channel):
    """Has one buffer for all that is under way."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._buffer: Sequence[MessageRecord] = ()

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Pause between filling and sending."""
        self._buffer = messages
        await asyncio.sleep(0)
        await super().publish_messages(self._buffer, replay=replay)


class OrderLost(Channel):
    """Sends the last message of a batch first."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Reverse."""
        await super().publish_messages(messages[::-1], replay=replay)


class SendsLater(Channel):
    """Returns before the broker has the message."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._tasks: list[asyncio.Task[None]] = []

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Start a task."""
        self._tasks.append(asyncio.ensure_future(super().publish_messages(messages, replay=replay)))


class RecordChanged(Channel):
    """Writes into what it was given."""

    def get_body(self, message: MessageRecord) -> MessageBody:
        """Add a key."""
        message.body["sent"] = True
        return message.body
