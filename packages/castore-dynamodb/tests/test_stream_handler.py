"""The handler passes the events of a stream on, up to the first that fails."""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    AggregateExistsMessageBus,
    DataclassCodec,
    Event,
    EventRecord,
    EventStore,
    JSONValue,
    MessageChannelEventStoreNotFoundError,
    MessagePublishError,
    MessageRecord,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessageQueue,
    UndefinedMessageChannelAdapterError,
    get_event_metadata,
)
from castore_dynamodb import DynamoDBStreamHandler, DynamoDBStreamParser
from castore_in_memory import InMemoryEventStorageAdapter

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)
RECORDINGS = Path(__file__).parent / "recordings" / "image-parser"


class Opened(Event, type="OPENED"):
    """An event that declares nothing."""


def reduce(_: Opened | None, event: Opened) -> Opened:
    """Keep the last event."""
    return event


DOORS = EventStore("DOORS", event_types=[Opened], reduce=reduce)


@dataclass(frozen=True)
class Door:
    """What is known of a door."""

    aggregate_id: str
    version: int


def reduce_door(_: Door | None, event: Event) -> Door:
    """Count the events."""
    return Door(event.aggregate_id, event.version)


PARSER = DynamoDBStreamParser((DOORS,))


class FakeChannelAdapter:
    """Takes all messages but those of some aggregates, also what follows them."""

    def __init__(self, *refused: str) -> None:
        self.refused: Collection[str] = refused
        self.calls: list[list[MessageRecord]] = []
        self.taken: list[MessageRecord] = []
        self.seen: list[dict[str, JSONValue]] = []

    @property
    def taken_ids(self) -> list[str]:
        """The aggregates of what was taken."""
        return [each.aggregate_id for each in self.taken]

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take what is not refused."""
        assert not replay
        await asyncio.sleep(0)
        self.seen.append(get_event_metadata())
        self.calls.append(list(messages))
        self.taken += [each for each in messages if not self.refuses(each)]
        if failures := [(each, "no") for each in messages if self.refuses(each)]:
            raise MessagePublishError(failures)

    def refuses(self, message: MessageRecord) -> bool:
        """Tell whether a message is refused."""
        return message.aggregate_id in self.refused


class BrokenChannelAdapter(FakeChannelAdapter):
    """Takes nothing, and fails in its own way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Fail."""
        await super().publish_messages([], replay=replay)
        assert messages
        raise self.error


def make_handler(adapter: FakeChannelAdapter) -> DynamoDBStreamHandler[Opened]:
    """Return a handler that publishes through an adapter."""
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    return DynamoDBStreamHandler(PARSER, queue)


def make_image(
    aggregate_id: str = "a1", version: int = 1, store_id: str = "DOORS", **changes: Any
) -> Any:
    """Return an item as a stream has it."""
    return {
        "aggregateId": {"S": f"{store_id}#{aggregate_id}"},
        "version": {"N": str(version)},
        "type": {"S": "OPENED"},
        "timestamp": {"S": "2022-01-01T00:00:00.000Z"},
        "writeToken": {"S": "9503b899-409e-4b7d-9f93-db20a7dc0083"},
        **changes,
    }


def make_record(image: Any, number: int = 1) -> Any:
    """Return a record as Lambda gets it."""
    return {
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {"NewImage": image, "SequenceNumber": str(number)},
    }


def make_kinesis_record(image: Any, number: int = 1) -> Any:
    """Return a record as Lambda gets it by way of Kinesis."""
    data = {"eventName": "INSERT", "tableName": "events", "dynamodb": {"NewImage": image}}
    text = b64encode(json.dumps(data).encode()).decode()
    return {"kinesis": {"data": text, "sequenceNumber": str(number)}, "eventSource": "aws:kinesis"}


def make_records(images: Iterable[Any]) -> list[Any]:
    """Return records numbered from 1."""
    return [make_record(each, number) for number, each in enumerate(images, 1)]


def fail_at(number: int | None) -> dict[str, Any]:
    """Return what Lambda is told."""
    return {"batchItemFailures": [] if number is None else [{"itemIdentifier": str(number)}]}


# What is published


@pytest.mark.parametrize("make", [make_record, make_kinesis_record])
def test_a_batch_is_published(make: Any) -> None:
    """In its order, and Lambda hears of no failure."""
    adapter = FakeChannelAdapter()
    images = [make_image("a1"), make_image("a2", store_id="LAMPS"), make_image("a3")]

    response = make_handler(adapter)(
        {"Records": [make(each, number) for number, each in enumerate(images)]}, None
    )

    assert fail_at(None) == response
    assert ["a1", "a3"] == adapter.taken_ids


@pytest.mark.parametrize("park", [None, print], ids=["stop", "park"])
def test_the_adapter_is_told_what_is_passed_on(park: Any) -> None:
    """An adapter that pushes events goes on with the correlation of the stored one."""
    adapter = FakeChannelAdapter()
    bus = NotificationMessageBus(
        "BUS", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    record = make_record(make_image(metadata={"M": {"correlationId": {"S": "c"}}}))

    DynamoDBStreamHandler(PARSER, bus, park=park)({"Records": [record]})

    assert [{"correlation_id": "c", "causation_id": "DOORS#a1#1"}] == adapter.seen


FORWARDED: dict[str, tuple[dict[str, Any], dict[str, JSONValue]]] = {
    "nothing": ({}, {}),
    "payload": ({"payload": {"M": {"by": {"N": "2"}}}}, {"payload": {"by": 2}}),
    "metadata": ({"metadata": {"L": [{"S": "m"}]}}, {"metadata": ["m"]}),
    "null": (
        {"payload": {"NULL": True}, "metadata": {"NULL": True}},
        {"payload": None, "metadata": None},
    ),
    "unknown type": ({"type": {"S": "VANISHED"}}, {"type": "VANISHED"}),
}


@pytest.mark.parametrize(("changes", "expected"), FORWARDED.values(), ids=list(FORWARDED))
def test_an_event_is_passed_on_as_it_is_stored(
    changes: dict[str, Any], expected: dict[str, JSONValue]
) -> None:
    """With what its class does not declare, and where it has no class."""
    adapter = FakeChannelAdapter()

    response = make_handler(adapter)({"Records": [make_record(make_image(**changes))]})

    event: dict[str, JSONValue] = {
        "aggregateId": "a1",
        "version": 1,
        "type": "OPENED",
        "timestamp": "2022-01-01T00:00:00.000Z",
        **expected,
    }
    body: dict[str, JSONValue] = {"eventStoreId": "DOORS", "event": event}
    assert fail_at(None) == response
    assert [MessageRecord("DOORS", "a1", 1, str(event["type"]), body)] == adapter.taken


def test_an_image_that_castore_passes_on() -> None:
    """The body is that of Castore, with integers of any size."""
    recording = json.loads((RECORDINGS / "ok.json").read_text())
    adapter = FakeChannelAdapter()
    store = EventStore("POKEMONS", event_types=[Opened], reduce=reduce)
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
    )
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)

    handler({"Records": [make_record(recording["image"])]})

    expected = recording["outcome"]["result"]
    expected["event"]["payload"]["level"] = 2**53 + 1
    assert [expected] == [each.body for each in adapter.taken]


def test_upcasters_do_not_change_what_is_passed_on() -> None:
    """Consumers upcast by themselves, as readers of the table do."""

    def upcast(record: EventRecord) -> EventRecord:
        raise KeyError(record.aggregate_id)

    store = EventStore("DOORS", event_types=[Opened], reduce=reduce, upcasters=[upcast])
    adapter = FakeChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
    )

    response = DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)(
        {"Records": [make_record(make_image())]}
    )

    assert fail_at(None) == response
    assert ["a1"] == adapter.taken_ids


def test_first_events_tell_of_their_aggregates() -> None:
    """A channel of that kind gets nothing of later events."""
    adapter = FakeChannelAdapter()
    bus = AggregateExistsMessageBus(
        "BUS", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    images = [make_image("a1", 1), make_image("a1", 2), make_image("a2", 1)]

    response = DynamoDBStreamHandler(PARSER, bus)({"Records": make_records(images)})

    assert fail_at(None) == response
    assert [
        {
            "eventStoreId": "DOORS",
            "aggregateId": each,
            "initialEventTimestamp": "2022-01-01T00:00:00.000Z",
        }
        for each in ("a1", "a2")
    ] == [each.body for each in adapter.taken]


@pytest.fixture
def stateful_adapter() -> FakeChannelAdapter:
    """Give what takes the messages of a state-carrying channel."""
    return FakeChannelAdapter()


@pytest.fixture
async def stateful_handler(stateful_adapter: FakeChannelAdapter) -> DynamoDBStreamHandler[Opened]:
    """Give a handler for a state-carrying channel; door a1 has two events in its store."""
    store = EventStore(
        "DOORS",
        event_types=[Opened],
        reduce=reduce_door,
        aggregate_codec=DataclassCodec(Door),
        storage_adapter=InMemoryEventStorageAdapter(),
    )
    for version in (1, 2):
        await store.push_event(Opened("a1", version, timestamp=MOMENT))
    queue = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=stateful_adapter
    )
    return DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)


async def test_state_is_loaded_as_it_was_after_the_event(
    stateful_handler: DynamoDBStreamHandler[Opened], stateful_adapter: FakeChannelAdapter
) -> None:
    """The event beside it is as it is stored."""
    images = [make_image("a1", 1, payload={"S": "undeclared"}), make_image("a1", 2)]

    response = await stateful_handler.publish_records(make_records(images))

    bodies: list[Any] = [each.body for each in stateful_adapter.taken]
    assert fail_at(None) == response
    assert [["eventStoreId", "event", "aggregate"]] * 2 == [list(each) for each in bodies]
    assert [1, 2] == [each["aggregate"]["version"] for each in bodies]
    assert ["undeclared", None] == [each["event"].get("payload") for each in bodies]


@pytest.mark.parametrize("image", [make_image("a1", 3), make_image("a2", 1)])
async def test_state_that_cannot_be_loaded_ends_the_batch(
    stateful_handler: DynamoDBStreamHandler[Opened],
    stateful_adapter: FakeChannelAdapter,
    image: Any,
) -> None:
    """The events before it are published, and the record is named."""
    records = make_records([make_image("a1", 1), image, make_image("a1", 2)])

    response = await stateful_handler.publish_records(records)

    assert fail_at(2) == response
    assert ["a1"] == stateful_adapter.taken_ids


# The first failure


@pytest.mark.parametrize("make", [make_record, make_kinesis_record])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_publishing_stops_at_the_first_failure(make: Any, number: int) -> None:
    """The records before it are published, and none after it."""
    adapter = FakeChannelAdapter(f"a{number}", "a4")
    records = [make(make_image(f"a{each}"), each) for each in (1, 2, 3, 4)]

    response = make_handler(adapter)({"Records": records})

    assert fail_at(number) == response
    assert [f"a{each}" for each in range(1, number)] == adapter.taken_ids


def test_a_record_that_keeps_failing_repeats_nothing() -> None:
    """Lambda begins with it each time, and no other message is sent."""
    adapter = FakeChannelAdapter("a3")
    records = make_records(make_image(f"a{each}") for each in range(1, 31))
    handler = make_handler(adapter)
    handler({"Records": records})

    for _ in range(3):
        assert fail_at(3) == handler({"Records": records[2:]})

    assert ["a1", "a2"] == adapter.taken_ids


@pytest.mark.parametrize(
    "image",
    [make_image("a2", timestamp={"S": "yesterday"}), {"aggregateId": "no attribute"}],
    ids=["item", "record"],
)
def test_a_record_that_cannot_be_read_ends_the_batch(image: Any) -> None:
    """What was before it is published, and nothing after it."""
    adapter = FakeChannelAdapter()
    records = make_records([make_image("a1"), image, make_image("a3")])

    response = make_handler(adapter)({"Records": records})

    assert fail_at(2) == response
    assert ["a1"] == adapter.taken_ids


def test_a_table_of_the_legacy_adapter_is_refused() -> None:
    """Its events would be passed over, and Lambda would go on."""
    legacy = make_image(aggregateId={"S": "a1"}, isInitialEvent={"N": "1"})

    assert fail_at(1) == make_handler(FakeChannelAdapter())({"Records": [make_record(legacy)]})


def test_the_earlier_of_two_failures_counts() -> None:
    """A message that was not taken comes before a record that cannot be read."""
    adapter = FakeChannelAdapter("a1")
    records = make_records([make_image("a1"), make_image("a2", timestamp={"S": "yesterday"})])

    assert fail_at(1) == make_handler(adapter)({"Records": records})


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        MessagePublishError([]),
        MessagePublishError([(MessageRecord("LAMPS", "a1", 1, "OPENED", {}), "no")]),
    ],
)
def test_an_error_that_names_no_message_is_of_the_first(error: Exception) -> None:
    """Nothing is known of the others, and a bug of the adapter repeats nothing before it."""
    adapter = BrokenChannelAdapter(error)

    assert fail_at(1) == make_handler(adapter)(
        {"Records": make_records([make_image("a1"), make_image("a2")])}
    )


# What goes together


def test_a_large_batch_takes_few_calls() -> None:
    """Ten messages go one by one, and then ten at once."""
    adapter = FakeChannelAdapter()

    make_handler(adapter)({"Records": make_records(make_image(f"a{each}") for each in range(95))})

    assert [1] * 10 + [10] * 8 + [5] == [len(each) for each in adapter.calls]


def test_messages_of_an_aggregate_do_not_go_together() -> None:
    """The adapter could take the second one, and not the first."""
    adapter = FakeChannelAdapter()
    ids = [f"a{each}" for each in range(10)] + ["a", "b", "a", "b", "c", "c"]

    make_handler(adapter)({"Records": make_records(map(make_image, ids))})

    chunks = [[message.aggregate_id for message in each] for each in adapter.calls[10:]]
    assert [["a", "b"], ["a", "b", "c"], ["c"]] == chunks


def test_a_late_failure_is_found_in_its_chunk() -> None:
    """The named record is the first that failed, and comes alone the next time."""
    adapter = FakeChannelAdapter("a14", "a17")
    records = make_records(make_image(f"a{each}") for each in range(1, 41))
    handler = make_handler(adapter)

    assert fail_at(14) == handler({"Records": records})
    assert fail_at(14) == handler({"Records": records[13:]})

    assert [f"a{each}" for each in range(1, 21) if each not in (14, 17)] == adapter.taken_ids


class FlakyChannelAdapter(FakeChannelAdapter):
    """Refuses messages a number of times, and takes what follows them."""

    def __init__(self, refusals: dict[tuple[str, int | None], int]) -> None:
        super().__init__()
        self.refusals = refusals

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take what is not refused this time."""
        self.refused = {each.aggregate_id for each in messages if self._count_down(each)}
        await super().publish_messages(messages, replay=replay)

    def _count_down(self, message: MessageRecord) -> bool:
        ids = message.aggregate_id, message.version
        self.refusals[ids] = self.refusals.get(ids, 0) - 1
        return self.refusals[ids] >= 0


@given(
    aggregates=st.lists(st.sampled_from("abcdefghijklmnop"), max_size=60),
    failures=st.dictionaries(st.integers(0, 59), st.integers(1, 3), max_size=4),
)
def test_all_events_arrive_in_order(aggregates: list[str], failures: dict[int, int]) -> None:
    """Whatever fails, and how often: nothing is lost, and few messages come twice.

    The versions of an aggregate never go back.
    """
    versions = dict.fromkeys(aggregates, 0)
    images: list[Any] = []
    refusals: dict[tuple[str, int | None], int] = {}
    for index, each in enumerate(aggregates):
        versions[each] += 1
        images.append(make_image(each, versions[each]))
        refusals[each, versions[each]] = failures.get(index, 0)
    adapter = FlakyChannelAdapter(refusals)
    handler = make_handler(adapter)
    records = make_records(images)

    first = 0
    while failed := handler({"Records": records[first:]})["batchItemFailures"]:
        first = int(failed[0]["itemIdentifier"]) - 1

    taken = sorted(adapter.taken, key=lambda each: each.aggregate_id)  # stable
    arrived = {
        aggregate_id: [each.version or 0 for each in messages]
        for aggregate_id, messages in groupby(taken, lambda each: each.aggregate_id)
    }
    assert {name: list(range(1, count + 1)) for name, count in versions.items()} == {
        name: sorted(set(each)) for name, each in arrived.items()
    }
    assert all(each == sorted(each) for each in arrived.values())
    assert len(images) <= len(taken) <= len(images) + 9 * len(failures)


# Time


@pytest.mark.parametrize(("milliseconds", "number"), [(0, 2), (60_000, None)])
def test_what_is_left_goes_back_when_time_is_up(milliseconds: int, number: int | None) -> None:
    """Lambda would else begin anew, and never come to the end."""
    adapter = FakeChannelAdapter()
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)
    records = make_records([make_image("a1"), make_image("a2")])

    assert fail_at(number) == make_handler(adapter)({"Records": records}, context)
    assert ["a1", "a2"][: 1 if number else 2] == adapter.taken_ids


# Mistakes


def test_a_channel_of_other_stores_is_refused() -> None:
    """When the handler is made, and not when the first event comes."""
    lamps = EventStore("LAMPS", event_types=[Opened], reduce=reduce)
    bus = NotificationMessageBus("BUS", source_event_stores=(lamps,))

    with pytest.raises(MessageChannelEventStoreNotFoundError, match="'DOORS'"):
        DynamoDBStreamHandler(PARSER, bus)


def test_a_channel_without_an_adapter_fails_the_invocation() -> None:
    """Lambda then tries all of it again."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(DOORS,))

    with pytest.raises(UndefinedMessageChannelAdapterError):
        DynamoDBStreamHandler(PARSER, queue)({"Records": []})


# The log

SECRET = "hunter2"  # noqa: S105 a payload


def make_secret_error() -> Exception:
    """Return an error that has a payload in its text, and in that of its cause."""
    message = MessageRecord("DOORS", "a2", 1, "OPENED", {"payload": SECRET})
    error = MessagePublishError([(message, f"refused {SECRET}")])
    error.__cause__ = ValueError(f"input_value={SECRET!r}")
    error.__cause__.__context__ = KeyError(SECRET)
    return error


UNREADABLE = {
    "item": make_record(make_image(payload={"L": [{SECRET: SECRET}]})),
    "number": make_record(make_image(payload={"N": SECRET})),
    "text": {
        "kinesis": {"data": b64encode(b'"\xff' + SECRET.encode()).decode(), "sequenceNumber": "1"}
    },
    "record": make_kinesis_record(SECRET),
    "legacy": make_record(make_image(aggregateId={"S": "a1"}, payload={"S": SECRET})),
}


def get_log(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that handlers of the log can know."""
    return "".join(f"{each.getMessage()} {vars(each)}" for each in caplog.records)


@pytest.mark.parametrize("record", UNREADABLE.values(), ids=list(UNREADABLE))
def test_the_log_has_no_payload_of_a_record_that_cannot_be_read(
    record: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the number of the record, and the types of the errors."""
    with caplog.at_level(logging.DEBUG, "castore_dynamodb"):
        assert fail_at(1) == make_handler(FakeChannelAdapter())({"Records": [record]})

    log = get_log(caplog)
    assert SECRET not in log
    assert "record 1 of the stream" in log
    assert "Error" in log


def test_the_log_has_no_payload_of_a_message_that_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has the ids of the event, the types of the errors, and the lines of code."""
    adapter = BrokenChannelAdapter(make_secret_error())
    image = make_image("a2", payload={"S": SECRET}, metadata={"S": SECRET})

    with caplog.at_level(logging.DEBUG, "castore_dynamodb"):
        make_handler(adapter)({"Records": [make_record(image, 7)]})

    log = get_log(caplog)
    assert SECRET not in log
    (message,) = caplog.messages
    assert message.startswith(
        "record 7 of the stream, event 1 ('OPENED') of aggregate 'a2' in event store 'DOORS', "
        "was not published: castore_core."
    )
    assert "test_stream_handler.py" in message
    assert {"KeyError", "ValueError"} <= set(message.splitlines())


async def test_the_log_has_no_payload_of_an_aggregate_that_cannot_be_loaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Codecs and reducers are the user's, and say what they like."""

    class Guarded(Event, type="OPENED"):
        payload: JSONValue

        @classmethod
        def decode_field(cls, name: str, value: JSONValue) -> Any:
            raise ValueError(f"{name}: input_value={value!r}")

    storage = InMemoryEventStorageAdapter()
    await storage.push_event("DOORS", EventRecord("a1", 1, "OPENED", MOMENT, SECRET))
    store = EventStore(
        "DOORS",
        event_types=[Guarded],
        reduce=reduce_door,
        aggregate_codec=DataclassCodec(Door),
        storage_adapter=storage,
    )
    queue = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=FakeChannelAdapter()
    )
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)

    with caplog.at_level(logging.DEBUG, "castore_dynamodb"):
        response = await handler.publish_records([make_record(make_image(payload={"S": SECRET}))])

    log = get_log(caplog)
    assert fail_at(1) == response
    assert SECRET not in log
    assert "event 1 ('OPENED') of aggregate 'a1' in event store 'DOORS', cannot be published" in log
    assert "EventDecodeError" in log
    assert "decode_field" in log


def test_the_log_has_the_texts_of_errors_where_that_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the whole chain, as Python shows it."""
    adapter = BrokenChannelAdapter(make_secret_error())
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(DOORS,), message_channel_adapter=adapter
    )
    handler = DynamoDBStreamHandler(PARSER, queue, log_error_texts=True)

    with caplog.at_level(logging.ERROR, "castore_dynamodb"):
        handler({"Records": [make_record(make_image("a2"))]})

    assert f"refused {SECRET}" in caplog.text
    assert f"input_value='{SECRET}'" in caplog.text
