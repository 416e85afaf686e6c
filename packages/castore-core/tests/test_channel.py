"""Message channels write messages as Castore does, and read what it wrote."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    AGGREGATE_EXISTS,
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    AggregateNotFoundError,
    CastoreError,
    DataclassCodec,
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    ForeignEventError,
    InvalidMessageError,
    JSONValue,
    MessageBus,
    MessageChannel,
    MessageChannelEventStoreNotFoundError,
    MessageQueue,
    MessageRecord,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    NotJSONError,
    StateCarryingMessage,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
    UndefinedAggregateCodecError,
    UndefinedMessageChannelAdapterError,
    UnknownEventTypeError,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2021, 1, 1, tzinfo=UTC)
PIKACHU = "b0000000-0000-4000-8000-000000000001"
RECORDINGS = sorted(Path(__file__).parent.glob("recordings/*/*.json"))


class AppearedPayload(TypedDict):
    """What is known of a pokemon."""

    name: str
    level: int


class Appeared(Event, type="APPEARED"):
    """A pokemon is here."""

    payload: AppearedPayload
    metadata: dict[str, str] | None = None


class LevelledUp(Event, type="LEVELLED_UP"):
    """A pokemon became stronger."""


class TrainerStarted(Event, type="TRAINER_STARTED"):
    """An event of another store."""


@dataclass(frozen=True)
class Pokemon:
    """An aggregate, written with the names that Castore's users give."""

    aggregate_id: str
    version: int
    name: str
    level: int
    status: str = "wild"


@dataclass(frozen=True)
class Trainer:
    """Another aggregate."""

    aggregate_id: str
    version: int


def reduce_pokemon(pokemon: Pokemon | None, event: Appeared | LevelledUp) -> Pokemon:
    """Compute the state."""
    match event:
        case Appeared(payload=payload):
            return Pokemon(event.aggregate_id, event.version, payload["name"], payload["level"])
        case LevelledUp():
            assert pokemon is not None
            return Pokemon(event.aggregate_id, event.version, pokemon.name, pokemon.level + 1)


def reduce_trainer(_: Trainer | None, event: TrainerStarted) -> Trainer:
    """Compute the state."""
    return Trainer(event.aggregate_id, event.version)


def new_pokemons(**options: Any) -> EventStore[Appeared | LevelledUp, Pokemon]:
    """Return a store."""
    return EventStore(
        "POKEMONS", event_types=[Appeared, LevelledUp], reduce=reduce_pokemon, **options
    )


CODEC = DataclassCodec(Pokemon, rename={"aggregate_id": "aggregateId"})
pokemons = new_pokemons(aggregate_codec=CODEC)
trainers = EventStore(
    "TRAINERS",
    event_types=[TrainerStarted],
    reduce=reduce_trainer,
    aggregate_codec=DataclassCodec(Trainer),
)

AnyChannel = MessageChannel[Any]
CHANNELS: list[Any] = [
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
]
each_channel = pytest.mark.parametrize("new_channel", CHANNELS)

appeared = Appeared(
    aggregate_id=PIKACHU,
    version=1,
    timestamp=NOW,
    payload={"name": "Pikachu ⚡", "level": 7},
    metadata={"trigger": "random"},
)
second = LevelledUp(aggregate_id=PIKACHU, version=2, timestamp=NOW + timedelta(days=1))
third = LevelledUp(aggregate_id=PIKACHU, version=3, timestamp=NOW + timedelta(days=2))

MESSAGES = {
    "aggregate-exists": AggregateExistsMessage("POKEMONS", PIKACHU, NOW),
    "notification": NotificationMessage("POKEMONS", appeared),
    "notification-no-payload": NotificationMessage("POKEMONS", second),
    "state-carrying": StateCarryingMessage("POKEMONS", third, Pokemon(PIKACHU, 3, "Pikachu ⚡", 9)),
}


def message_for(channel: AnyChannel, event: Any = appeared, store_id: str = "POKEMONS") -> Any:
    """Return a message of the kind that a channel carries."""
    match channel:
        case AggregateExistsMessageBus() | AggregateExistsMessageQueue():
            return AggregateExistsMessage(store_id, event.aggregate_id, event.timestamp)
        case NotificationMessageBus() | NotificationMessageQueue():
            return NotificationMessage(store_id, event)
        case _:
            return StateCarryingMessage(store_id, event, Pokemon(PIKACHU, event.version, "", 7))


class RecordingAdapter:
    """Takes every message, and remembers how it was given."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[MessageRecord], bool]] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one."""
        self.taken.append(([message], replay))

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take several."""
        self.taken.append(([*messages], replay))


# What Castore wrote


def read_recording(path: Path) -> tuple[AnyChannel, Any, str]:
    """Return a channel of the recorded class, the recorded message, and its body on the wire."""
    recording = json.loads(path.read_text())
    new_channel = {each.__name__: each for each in CHANNELS}[recording["channel"]]
    (request,) = recording["publishMessage"]["wire"]
    body = request["body"]
    text = body["MessageBody"] if "MessageBody" in body else body["Entries"][0]["Detail"]
    return new_channel("CHANNEL", source_event_stores=(pokemons,)), MESSAGES[path.stem], text


each_recording = pytest.mark.parametrize(
    "path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


@each_recording
def test_castore_is_read(path: Path) -> None:
    """A body that Castore wrote becomes its message, as text, as bytes and as an object."""
    channel, message, body = read_recording(path)

    assert message == channel.parse_message(body)
    assert message == channel.parse_message(body.encode())
    assert message == channel.parse_message(json.loads(body))


@each_recording
def test_bodies_are_those_of_castore(path: Path) -> None:
    """A body is the one that Castore writes, to the letter and in the order of its keys."""
    channel, message, body = read_recording(path)
    record = channel.message_to_record(message)

    assert body == json.dumps(record.body, ensure_ascii=False, separators=(",", ":"))


def test_every_kind_of_channel_was_recorded() -> None:
    """The recordings leave out no class of channel."""
    recorded = {type(read_recording(path)[0]) for path in RECORDINGS}

    assert set(CHANNELS) == recorded


# Channels


@each_channel
def test_channel_has_its_definition(new_channel: Any) -> None:
    """A channel shows what it was made of."""
    adapter = RecordingAdapter()
    channel = new_channel(
        "CHANNEL", source_event_stores=[pokemons, trainers], message_channel_adapter=adapter
    )

    assert "CHANNEL" == channel.message_channel_id
    assert (pokemons, trainers) == channel.source_event_stores
    assert adapter is channel.message_channel_adapter is channel.get_message_channel_adapter()
    assert trainers is channel.get_source_event_store("TRAINERS")
    assert f"{new_channel.__name__}('CHANNEL')" == repr(channel)


@each_channel
def test_channel_is_a_queue_or_a_bus(new_channel: Any) -> None:
    """Every class of channel is one of the two, as its name says."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    kinds = [kind.__name__ for kind in (MessageQueue, MessageBus) if isinstance(channel, kind)]
    assert ["MessageBus" if new_channel.__name__.endswith("Bus") else "MessageQueue"] == kinds


@each_channel
async def test_adapter_can_be_set_later(new_channel: Any) -> None:
    """A channel without an adapter says so, until it gets one."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))
    message = message_for(channel)

    for call in (channel.publish_message(message), channel.publish_messages([message])):
        with pytest.raises(UndefinedMessageChannelAdapterError) as error:
            await call
        assert "CHANNEL" == error.value.message_channel_id

    channel.message_channel_adapter = adapter = RecordingAdapter()
    await channel.publish_message(message)

    assert [([channel.message_to_record(message)], False)] == adapter.taken


@each_channel
def test_two_sources_of_one_id_are_refused(new_channel: Any) -> None:
    """A received message has one store."""
    with pytest.raises(ValueError, match="two sources of 'CHANNEL' have one event_store_id"):
        new_channel("CHANNEL", source_event_stores=(pokemons, new_pokemons(aggregate_codec=CODEC)))


@each_channel
async def test_unknown_store(new_channel: Any) -> None:
    """A message about a store that is no source is neither published nor read."""
    adapter = RecordingAdapter()
    channel = new_channel(
        "CHANNEL", source_event_stores=(trainers,), message_channel_adapter=adapter
    )
    with pytest.raises(MessageChannelEventStoreNotFoundError) as error:
        await channel.publish_message(message_for(channel))
    with pytest.raises(MessageChannelEventStoreNotFoundError):
        channel.parse_message({"eventStoreId": "POKEMONS"})

    assert ("CHANNEL", "POKEMONS") == (error.value.message_channel_id, error.value.event_store_id)
    assert [] == adapter.taken


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
def test_state_needs_a_codec(new_channel: Any) -> None:
    """A state-carrying channel is refused at once where a source has no codec."""
    with pytest.raises(UndefinedAggregateCodecError) as error:
        new_channel("CHANNEL", source_event_stores=(trainers, new_pokemons()))
    assert "POKEMONS" == error.value.event_store_id


# Publishing


@each_channel
async def test_record_tells_where_the_message_belongs(new_channel: Any) -> None:
    """An adapter gets store, aggregate, version and type beside the body."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))
    record = channel.message_to_record(message_for(channel, second))

    expected = ("LEVELLED_UP", 2)
    if isinstance(channel, (AggregateExistsMessageBus, AggregateExistsMessageQueue)):
        expected = ("__AGGREGATE_EXISTS__", None)
    assert ("POKEMONS", PIKACHU) == (record.event_store_id, record.aggregate_id)
    assert expected == (record.type, record.version)


@each_channel
@pytest.mark.parametrize("replay", [False, True])
async def test_messages_are_published_together(new_channel: Any, replay: bool) -> None:
    """Several messages go to the adapter at once, in their order, with the replay flag."""
    adapter = RecordingAdapter()
    channel = new_channel(
        "CHANNEL", source_event_stores=(pokemons,), message_channel_adapter=adapter
    )
    messages = [message_for(channel, each) for each in (appeared, second, third)]

    await channel.publish_messages(iter(messages), replay=replay)
    await channel.publish_message(messages[0], replay=replay)

    records = [channel.message_to_record(each) for each in messages]
    assert [(records, replay), (records[:1], replay)] == adapter.taken


@pytest.mark.parametrize("new_channel", CHANNELS[2:])
@pytest.mark.parametrize(
    ("event", "error"),
    [
        (TrainerStarted(aggregate_id="ash", version=1), ForeignEventError),
        (
            Appeared(aggregate_id="a", version=1, payload={"name": "", "level": float("nan")}),  # type: ignore[typeddict-item]
            NotJSONError,
        ),
    ],
    ids=["foreign", "no-json"],
)
async def test_bad_event_is_not_published(
    new_channel: Any, event: Event, error: type[Exception]
) -> None:
    """What a store would not push, a channel does not publish: none of several then."""
    adapter = RecordingAdapter()
    channel = new_channel(
        "CHANNEL", source_event_stores=(pokemons,), message_channel_adapter=adapter
    )
    with pytest.raises(error):
        await channel.publish_messages([message_for(channel), message_for(channel, event)])
    assert [] == adapter.taken


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
async def test_bad_aggregate_is_not_published(new_channel: Any) -> None:
    """A codec that returns no JSON is found out, and the error names the place."""
    adapter = RecordingAdapter()
    channel = new_channel(
        "CHANNEL", source_event_stores=(pokemons,), message_channel_adapter=adapter
    )
    bad_name: Any = {"Pikachu"}
    message = StateCarryingMessage("POKEMONS", second, Pokemon(PIKACHU, 2, bad_name, 7))

    with pytest.raises(NotJSONError, match=r"^aggregate\.name is not JSON: set"):
        await channel.publish_message(message)
    assert [] == adapter.taken


def test_initial_timestamp_is_written_in_utc() -> None:
    """A moment of another offset is the same moment on the wire."""
    channel = AggregateExistsMessageBus("CHANNEL", source_event_stores=(pokemons,))
    moment = NOW.astimezone(timezone(timedelta(hours=9)))

    record = channel.message_to_record(AggregateExistsMessage("POKEMONS", PIKACHU, moment))

    assert "2021-01-01T00:00:00.000Z" == record.body["initialEventTimestamp"]


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
async def test_aggregate_is_loaded_and_published(new_channel: Any) -> None:
    """The state that goes with a notification is the one after its event, not the latest."""
    adapter = RecordingAdapter()
    store = new_pokemons(storage_adapter=InMemoryEventStorageAdapter(), aggregate_codec=CODEC)
    channel = new_channel("CHANNEL", source_event_stores=(store,), message_channel_adapter=adapter)
    for event in (appeared, second, third):
        await store.push_event(event)

    notification = NotificationMessage("POKEMONS", second)
    await channel.get_aggregate_and_publish_message(notification, replay=True)

    state = StateCarryingMessage("POKEMONS", second, Pokemon(PIKACHU, 2, "Pikachu ⚡", 8))
    assert [([channel.message_to_record(state)], True)] == adapter.taken


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
async def test_aggregate_that_is_not_there_is_not_published(new_channel: Any) -> None:
    """A notification of an event that was never pushed has no state."""
    adapter = RecordingAdapter()
    store = new_pokemons(storage_adapter=InMemoryEventStorageAdapter(), aggregate_codec=CODEC)
    channel = new_channel("CHANNEL", source_event_stores=(store,), message_channel_adapter=adapter)

    with pytest.raises(AggregateNotFoundError):
        await channel.get_aggregate_and_publish_message(NotificationMessage("POKEMONS", appeared))
    assert [] == adapter.taken


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
async def test_older_state_is_not_published_with_an_event(new_channel: Any) -> None:
    """Where the store ends before the event of a notification, its state is not known."""
    adapter = RecordingAdapter()
    store = new_pokemons(storage_adapter=InMemoryEventStorageAdapter(), aggregate_codec=CODEC)
    channel = new_channel("CHANNEL", source_event_stores=(store,), message_channel_adapter=adapter)
    await store.push_event(appeared)

    with pytest.raises(InvalidMessageError, match="has no event of version 2"):
        await channel.get_aggregate_and_publish_message(NotificationMessage("POKEMONS", second))
    assert [] == adapter.taken


# Reading

EVENT: dict[str, Any] = {
    "aggregateId": "a",
    "version": 2,
    "type": "LEVELLED_UP",
    "timestamp": "2021-01-01T00:00:00.000Z",
}


def body_with(**event: Any) -> dict[str, Any]:
    """Return a body whose event has other values."""
    return {"eventStoreId": "POKEMONS", "event": EVENT | event, "aggregate": {}}


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a body that lacks a key."""
    return {name: value for name, value in body.items() if name != key}


@pytest.mark.parametrize("new_channel", CHANNELS[2:])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (b"\xff", "codec can't decode"),
        ("[]", "the body is not an object"),
        ("null", "the body is not an object"),
        ("[" * 100_000, "the body is nested too deeply"),
        ({}, "it has no eventStoreId"),
        ({"eventStoreId": None}, "its eventStoreId is not a string"),
        ({"eventStoreId": ["POKEMONS"]}, "its eventStoreId is not a string"),
        ({"eventStoreId": "POKEMONS"}, "its event is not an object"),
        ({"eventStoreId": "POKEMONS", "event": []}, "its event is not an object"),
        ({"eventStoreId": "POKEMONS", "event": {}}, "it has no aggregateId"),
        (body_with(aggregateId=1), "its aggregateId is not a string"),
        (body_with(type=None), "its type is not a string"),
        (body_with(version="2"), "its version is not an integer"),
        (body_with(version=True), "its version is not an integer"),
        (body_with(version=2.5), "its version is not an integer"),
        (body_with(version=0), "its version is not an integer from 1"),
        (body_with(version=-5), "its version is not an integer from 1"),
        (body_with(version=2**70), "its version is not an integer from 1"),
        (body_with(aggregateId=""), "its aggregateId is empty"),
        (body_with(aggregateId="a\ud800"), "its aggregateId is empty, or not well-formed"),
        (body_with(type=""), "its type is empty"),
        (body_with(payload=float("nan")), "payload is nan, which JSON does not have"),
        (body_with(metadata={"a": [float("inf")]}), "metadata.a[0] is inf"),
        (json.dumps(body_with(payload=1.5)).replace("1.5", "1e999"), "payload is inf"),
        (json.dumps(body_with(payload=1.5)).replace("1.5", "NaN"), "payload is nan"),
        (body_with(timestamp=0), "its timestamp is not a string"),
        (body_with(timestamp="t"), "its timestamp 't' is no moment"),
        (
            body_with(timestamp="2021-01-01T00:00:00"),
            "its timestamp '2021-01-01T00:00:00' is no moment: is naive",
        ),
    ],
)
def test_malformed_body(new_channel: Any, body: Any, reason: str) -> None:
    """The error names the channel and what is wrong."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(InvalidMessageError) as error:
        channel.parse_message(body)
    assert "CHANNEL" == error.value.message_channel_id
    assert reason in error.value.reason


@pytest.mark.parametrize("new_channel", CHANNELS[:2])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"eventStoreId": "POKEMONS"}, "it has no aggregateId"),
        ({"eventStoreId": "POKEMONS", "aggregateId": 1}, "its aggregateId is not a string"),
        (
            {"eventStoreId": "POKEMONS", "aggregateId": "a"},
            "it has no initialEventTimestamp",
        ),
        (
            {"eventStoreId": "POKEMONS", "aggregateId": "a", "initialEventTimestamp": "t"},
            "its initialEventTimestamp 't' is no moment",
        ),
    ],
)
def test_malformed_body_without_event(new_channel: Any, body: Any, reason: str) -> None:
    """A message that an aggregate exists needs its id and its moment."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(InvalidMessageError) as error:
        channel.parse_message(body)
    assert reason in error.value.reason


@pytest.mark.parametrize("new_channel", CHANNELS[4:])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (without(body_with(), "aggregate"), "it has no aggregate"),
        ({**body_with(), "aggregate": None}, "an aggregate is an object, not None"),
        ({**body_with(), "aggregate": {"version": 1}}, "missing 3 required"),
    ],
)
def test_malformed_aggregate(new_channel: Any, body: Any, reason: str) -> None:
    """A state that the codec refuses is no message."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(InvalidMessageError) as error:
        channel.parse_message(body)
    assert reason in error.value.reason


class PickyCodec:
    """Trips over whatever it reads."""

    def encode(self, aggregate: Pokemon) -> JSONValue:
        """Return the version alone."""
        return aggregate.version

    def decode(self, value: JSONValue) -> Pokemon:
        """Raise."""
        raise KeyError(value)


def test_aggregate_that_its_codec_trips_over() -> None:
    """Whatever a codec raises, the message is invalid, and the fault is the cause."""
    store = new_pokemons(aggregate_codec=PickyCodec())
    channel = StateCarryingMessageQueue("CHANNEL", source_event_stores=(store,))

    with pytest.raises(InvalidMessageError) as error:
        channel.parse_message({**body_with(), "aggregate": "picky"})
    assert "KeyError was raised" == error.value.reason
    assert isinstance(error.value.__cause__, KeyError)


@pytest.mark.parametrize("new_channel", CHANNELS[2:])
def test_event_of_unknown_type(new_channel: Any) -> None:
    """An event of a type that the store does not have is an error that names it."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(UnknownEventTypeError) as error:
        channel.parse_message(body_with(type="FLED"))
    assert ("POKEMONS", "a") == (error.value.event_store_id, error.value.aggregate_id)
    assert (2, "FLED") == (error.value.version, error.value.event_type)


@pytest.mark.parametrize("new_channel", CHANNELS[2:])
def test_event_that_does_not_fit(new_channel: Any) -> None:
    """An event that lacks its payload does not fit its type."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(EventDecodeError, match="payload is absent"):
        channel.parse_message(body_with(type="APPEARED"))


def test_null_is_not_absent() -> None:
    """Null and absent are two things on the wire too."""

    class Noted(Event, type="NOTED"):
        payload: str | None
        metadata: str | None = "default"

    def reduce_noted(_: Trainer | None, event: Noted) -> Trainer:
        return Trainer(event.aggregate_id, event.version)

    notes = EventStore("NOTES", event_types=[Noted], reduce=reduce_noted)
    channel = NotificationMessageQueue("CHANNEL", source_event_stores=(notes,))
    event = EVENT | {"type": "NOTED", "payload": None}

    message = channel.parse_message({"eventStoreId": "NOTES", "event": event})

    assert (None, "default") == (message.event.payload, message.event.metadata)
    record = channel.message_to_record(message)
    assert {**event, "metadata": "default"} == record.body["event"]


def test_what_a_newer_writer_added_is_passed_over() -> None:
    """Unknown keys do not break a reader."""
    channel = StateCarryingMessageQueue("CHANNEL", source_event_stores=(pokemons,))
    aggregate = {"aggregateId": "a", "version": 2, "name": "", "level": 1, "shiny": True}
    body = {**body_with(shiny=True), "aggregate": aggregate, "replay": True}

    expected = Pokemon("a", 2, "", 1)
    assert expected == channel.parse_message(body).aggregate


def test_body_stays_as_it_is() -> None:
    """Reading does not change the object that was received."""
    channel = NotificationMessageQueue("CHANNEL", source_event_stores=(pokemons,))
    body = body_with()
    channel.parse_message(body)

    assert body_with() == body


any_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


def some_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects that have some of the keys, some of them with values of another kind."""
    return st.fixed_dictionaries(
        {}, optional={name: any_json | each for name, each in values.items()}
    )


timestamps = st.sampled_from(
    ["2021-01-01T00:00:00.000Z", "2021-01-01", "0001-01-01T00:00:00+14:00", "\ud800"]
)
bodies = any_json | some_of(
    eventStoreId=st.sampled_from(["POKEMONS", "TRAINERS"]),
    aggregateId=st.just("a"),
    initialEventTimestamp=timestamps,
    event=some_of(
        aggregateId=st.just("a"),
        version=st.just(1),
        type=st.sampled_from(["APPEARED", "LEVELLED_UP"]),
        timestamp=timestamps,
        payload=any_json,
        metadata=any_json,
    ),
    aggregate=some_of(aggregateId=st.just("a"), version=st.just(1), name=any_json, level=any_json),
)


@pytest.mark.parametrize("new_channel", CHANNELS[1::2])
@given(body=bodies)
def test_any_body_is_a_message_or_an_error_of_castore(new_channel: Any, body: Any) -> None:
    """No body makes a reader fail with anything else than an error of castore."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    for received in (body, json.dumps(body), json.dumps(body).encode()):
        try:
            message = channel.parse_message(received)
        except CastoreError:
            continue
        assert "POKEMONS" == message.event_store_id


# Adapters in the wrong place


@pytest.mark.parametrize("new_channel", CHANNELS)
def test_adapter_of_the_other_kind_is_refused(new_channel: Any) -> None:
    """A queue's adapter on a bus would never tell its listeners."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))
    other = "bus" if channel.kind == "queue" else "queue"

    class Adapter(RecordingAdapter):
        channel_kind = other

    with pytest.raises(TypeError, match=f"Adapter is for a {other}, and .* is a {channel.kind}"):
        channel.message_channel_adapter = Adapter()
    with pytest.raises(TypeError, match=f"Adapter is for a {other}"):
        new_channel("CHANNEL", source_event_stores=(pokemons,), message_channel_adapter=Adapter())
    assert channel.message_channel_adapter is None


@pytest.mark.parametrize("new_channel", CHANNELS)
def test_class_is_no_channel_adapter(new_channel: Any) -> None:
    """An adapter is made before it is given to a channel."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(TypeError, match=r"make one, RecordingAdapter\(\.\.\.\)"):
        channel.message_channel_adapter = RecordingAdapter


# Types that a consumer does not know


@pytest.mark.parametrize("new_channel", CHANNELS[2:])
def test_consumer_passes_over_unknown_types(new_channel: Any) -> None:
    """A consumer that says so gets no message of a type that its own store does not have."""
    body = body_with(type="FLED")
    strict = new_channel("CHANNEL", source_event_stores=(pokemons,))
    lenient = new_channel("CHANNEL", source_event_stores=(pokemons,), skip_unknown_types=True)

    assert lenient.parse_received_message(body) is None
    with pytest.raises(UnknownEventTypeError):
        strict.parse_received_message(body)
    with pytest.raises(UnknownEventTypeError):
        lenient.parse_message(body)


@pytest.mark.parametrize("new_channel", CHANNELS)
def test_lenient_consumer_still_refuses_bad_messages(new_channel: Any) -> None:
    """What is no message, or does not fit its type, is an error all the same."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,), skip_unknown_types=True)

    with pytest.raises(InvalidMessageError):
        channel.parse_received_message("{")
    with pytest.raises(MessageChannelEventStoreNotFoundError):
        channel.parse_received_message({**body_with(), "eventStoreId": "OTHERS"})


# Messages of stored events


def unknown_record(version: int = 1) -> EventRecord:
    """Return an event of a type that the store does not have, with fields that no class has."""
    return EventRecord("a", version, "FLED", NOW, {"by": 2}, None)


@pytest.mark.parametrize("new_channel", CHANNELS[2:4])
async def test_stored_event_is_passed_on_as_it_is(new_channel: Any) -> None:
    """It is not decoded: its type and its fields may be unknown here; absent is not null."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))
    message = await channel.record_to_message("POKEMONS", unknown_record())

    assert ("POKEMONS", "a", 1, "FLED") == message[:4]
    assert {
        "eventStoreId": "POKEMONS",
        "event": {
            "aggregateId": "a",
            "version": 1,
            "type": "FLED",
            "timestamp": "2021-01-01T00:00:00.000Z",
            "payload": {"by": 2},
            "metadata": None,
        },
    } == message.body


@pytest.mark.parametrize("new_channel", CHANNELS[:2])
async def test_first_event_tells_that_the_aggregate_exists(new_channel: Any) -> None:
    """Later events tell nothing of it."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))
    message = await channel.record_to_message("POKEMONS", unknown_record())

    assert ("POKEMONS", "a", None, AGGREGATE_EXISTS) == message[:4]
    assert await channel.record_to_message("POKEMONS", unknown_record(2)) is None


@pytest.mark.parametrize("new_channel", CHANNELS)
async def test_stored_event_of_another_store_has_no_message(new_channel: Any) -> None:
    """The channel refuses the event of a store that is no source of it."""
    channel = new_channel("CHANNEL", source_event_stores=(pokemons,))

    with pytest.raises(MessageChannelEventStoreNotFoundError):
        await channel.record_to_message("OTHERS", unknown_record(2))
