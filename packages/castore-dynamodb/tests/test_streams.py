"""Records of a stream become typed messages, and go to a channel."""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from castore_core import (
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    InvalidMessageError,
    JSONValue,
    MessageChannelEventStoreNotFoundError,
    MessagePublishError,
    MessageRecord,
    NotificationMessage,
    NotificationMessageQueue,
    StorageError,
    UnknownEventTypeError,
)
from castore_dynamodb import DynamoDBStreamHandler, DynamoDBStreamParser

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)
RECORDINGS = Path(__file__).parent / "recordings" / "image-parser"


class Appeared(Event, type="APPEARED"):
    """An event with everything."""

    payload: dict[str, JSONValue]
    metadata: JSONValue


def reduce(_: Appeared | None, event: Appeared) -> Appeared:
    """Keep the last event."""
    return event


POKEMONS = EventStore("POKEMONS", event_types=[Appeared], reduce=reduce)
PARSER = DynamoDBStreamParser(source_event_stores=(POKEMONS,))


class FakeChannelAdapter:
    """Takes messages, but for those of some aggregates."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.taken: list[str] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take what is not refused."""
        assert not replay
        await asyncio.sleep(0)
        self.taken += [
            each.aggregate_id for each in messages if each.aggregate_id not in self.refused
        ]
        if failures := [(each, "no") for each in messages if each.aggregate_id in self.refused]:
            raise MessagePublishError(failures)


def make_handler(adapter: FakeChannelAdapter) -> DynamoDBStreamHandler[Appeared]:
    """Return a handler that publishes through an adapter."""
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(POKEMONS,), message_channel_adapter=adapter
    )
    return DynamoDBStreamHandler(PARSER, queue)


def make_image(aggregate_id: str = "a1", store_id: str = "POKEMONS", **changes: Any) -> Any:
    """Return an item as a stream has it."""
    return {
        "aggregateId": {"S": f"{store_id}#{aggregate_id}"},
        "version": {"N": "1"},
        "type": {"S": "APPEARED"},
        "timestamp": {"S": "2022-01-01T00:00:00.000Z"},
        "payload": {"M": {"level": {"N": "7"}}},
        "metadata": {"NULL": True},
        "eventStoreId": {"S": store_id},
        "writeToken": {"S": "9503b899-409e-4b7d-9f93-db20a7dc0083"},
        **changes,
    }


def make_image_without(name: str) -> Any:
    """Return an item that lacks an attribute."""
    return {each: value for each, value in make_image().items() if each != name}


def make_record(image: Any, number: int = 1, name: str = "INSERT") -> Any:
    """Return a record as Lambda gets it."""
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": name,
        "eventSource": "aws:dynamodb",
        "dynamodb": {"NewImage": image, "SequenceNumber": str(number)},
    }


def make_kinesis_record(image: Any, number: int = 1) -> Any:
    """Return a record as Lambda gets it by way of Kinesis."""
    data = {"eventName": "INSERT", "tableName": "events", "dynamodb": {"NewImage": image}}
    text = b64encode(json.dumps(data).encode()).decode()
    return {"kinesis": {"data": text, "sequenceNumber": str(number)}, "eventSource": "aws:kinesis"}


def make_event(aggregate_id: str = "a1") -> Appeared:
    """Return the event of an image."""
    return Appeared(
        aggregate_id=aggregate_id, version=1, timestamp=MOMENT, payload={"level": 7}, metadata=None
    )


def test_an_image_that_castore_parses() -> None:
    """The message is the one that Castore's parser returns, with integers of any size."""
    recording = json.loads((RECORDINGS / "ok.json").read_text())

    message = PARSER.parse_image(recording["image"])

    expected = recording["outcome"]["result"]["event"]
    payload = {"level": 2**53 + 1, "pi": expected["payload"]["pi"]}
    assert {"$bigint": str(2**53 + 1)} == expected["payload"]["level"]
    assert message == NotificationMessage(
        "POKEMONS",
        Appeared(
            aggregate_id=expected["aggregateId"],
            version=1,
            timestamp=MOMENT,
            payload=payload,
            metadata=None,
        ),
    )


@pytest.mark.parametrize("name", ["INSERT", "MODIFY"])
def test_a_record_of_an_event(name: str) -> None:
    """A new event and a replaced one are messages."""
    message = PARSER.parse_record(make_record(make_image(), name=name))

    assert NotificationMessage("POKEMONS", make_event()) == message


def test_a_record_by_way_of_kinesis() -> None:
    """It has the same in Base64."""
    message = PARSER.parse_record(make_kinesis_record(make_image("\u00e9")))

    assert NotificationMessage("POKEMONS", make_event("\u00e9")) == message


@pytest.mark.parametrize(
    "record",
    [
        {"eventName": "REMOVE", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}},
        make_record(make_image(store_id="TRAINERS")),
        make_record({"aggregateId": {"S": "a key of another kind"}, "version": {"N": "1"}}),
    ],
    ids=["deletion", "other store", "other item"],
)
def test_records_that_are_passed_over(record: Any) -> None:
    """A stream tells of more than of events of the wanted stores."""
    assert PARSER.parse_record(record) is None


def test_an_image_of_another_store_is_refused() -> None:
    """Whoever asks for its event is told that the store is missing."""
    with pytest.raises(MessageChannelEventStoreNotFoundError, match="'TRAINERS'"):
        PARSER.parse_image(make_image(store_id="TRAINERS"))


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (make_image(type={"S": "VANISHED"}), UnknownEventTypeError),
        (make_image(timestamp={"S": "yesterday"}), StorageError),
        (make_image(metadata={"S": ""}, payload={}), StorageError),
        (make_image(version="1"), StorageError),
        (make_image_without("payload"), EventDecodeError),
    ],
    ids=["type", "timestamp", "attribute value", "no attribute value", "payload"],
)
def test_an_event_that_cannot_be_read(image: Any, error: type[Exception]) -> None:
    """It is an error, and never a silent skip."""
    with pytest.raises(error):
        PARSER.parse_record(make_record(image))


@pytest.mark.parametrize(
    "record",
    [
        {"kinesis": {"data": b64encode(b"a line of a log").decode(), "sequenceNumber": "1"}},
        {"kinesis": {"data": b64encode(b"{}").decode(), "sequenceNumber": "1"}},
        {"kinesis": {"data": b64encode(b"[1]").decode(), "sequenceNumber": "1"}},
        {"kinesis": {"data": b64encode(b"null").decode(), "sequenceNumber": "1"}},
        make_kinesis_record("no item"),
        make_kinesis_record({"aggregateId": "no attribute"}),
        {"dynamodb": {"SequenceNumber": "1"}},
    ],
)
def test_what_is_no_record_of_a_table_is_refused(record: Any) -> None:
    """A stream of Kinesis can carry what others write to it; the batch ends there."""
    adapter = FakeChannelAdapter()

    with pytest.raises(InvalidMessageError, match="no record of a table"):
        PARSER.parse_record(record)

    answer = make_handler(adapter)({"Records": [record]})
    assert {"batchItemFailures": [{"itemIdentifier": "1"}]} == answer


def test_an_item_with_another_key_is_passed_over() -> None:
    """As any item that is no event of the stores."""
    assert PARSER.parse_record(make_record({"id": {"S": "POKEMONS#a1"}})) is None


def test_an_image_without_a_key_is_refused() -> None:
    """As any image that is of no source."""
    with pytest.raises(MessageChannelEventStoreNotFoundError):
        PARSER.parse_image({})


def test_a_stream_without_images_is_refused() -> None:
    """The error says what the stream lacks."""
    record: Any = {"eventName": "INSERT", "dynamodb": {"Keys": {}, "SequenceNumber": "1"}}

    with pytest.raises(InvalidMessageError, match="NEW_IMAGE"):
        PARSER.parse_record(record)


@pytest.mark.parametrize("make", [make_record, make_kinesis_record])
def test_a_batch_is_published(make: Any) -> None:
    """In its order, and Lambda hears of no failure."""
    adapter = FakeChannelAdapter()
    images = [make_image("a1"), make_image("a2", "TRAINERS"), make_image("a3")]

    response = make_handler(adapter)(
        {"Records": [make(each, number) for number, each in enumerate(images)]}, None
    )

    assert {"batchItemFailures": []} == response
    assert ["a1", "a3"] == adapter.taken


@pytest.mark.parametrize("make", [make_record, make_kinesis_record])
def test_a_batch_is_tried_again_from_its_first_failure(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Lambda goes on from the least sequence number that it is told; the reason is logged."""
    adapter = FakeChannelAdapter("a2", "a3")
    records = [make(make_image(f"a{each}"), each) for each in (1, 2, 3, 4)]

    with caplog.at_level(logging.ERROR, "castore_dynamodb"):
        response = make_handler(adapter)({"Records": records})

    assert {"batchItemFailures": [{"itemIdentifier": "2"}]} == response
    assert ["a1", "a4"] == adapter.taken
    assert "2 message(s) were not published: no" in caplog.text


def test_a_failure_is_found_by_its_ids() -> None:
    """Not by its content, which the first failure may have in another form the next time."""

    class Stamped(Event, type="APPEARED"):
        payload: JSONValue

        @classmethod
        def encode_field(cls, name: str, value: Any) -> JSONValue:
            return [value, next(stamps)] if value == "odd" else super().encode_field(name, value)

    stamps = count()
    store = EventStore("POKEMONS", event_types=[Stamped], reduce=lambda _, event: event)
    queue = NotificationMessageQueue(
        "QUEUE",
        source_event_stores=(store,),
        message_channel_adapter=FakeChannelAdapter("a2", "a3"),
    )
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)
    payloads = {"a1": "even", "a2": "odd", "a3": "even"}
    images = [make_image(each, payload={"S": text}) for each, text in payloads.items()]

    response = handler({"Records": [make_record(each, n) for n, each in enumerate(images, 1)]})

    assert {"batchItemFailures": [{"itemIdentifier": "2"}]} == response


def test_a_record_that_cannot_be_read_ends_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    """What was before it is published, and nothing after it."""
    adapter = FakeChannelAdapter()
    images = [make_image("a1"), make_image("a2", type={"S": "VANISHED"}), make_image("a3")]
    records = [make_record(each, number) for number, each in enumerate(images, 1)]

    with caplog.at_level(logging.ERROR, "castore_dynamodb"):
        response = make_handler(adapter)({"Records": records})

    assert {"batchItemFailures": [{"itemIdentifier": "2"}]} == response
    assert ["a1"] == adapter.taken
    assert "VANISHED" in caplog.text


def test_an_upcaster_that_fails_ends_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    """What was before it is published, as before any other record that cannot be read."""

    def upcast(record: EventRecord) -> EventRecord:
        return {"a1": record}[record.aggregate_id]

    store = EventStore("POKEMONS", event_types=[Appeared], reduce=reduce, upcasters=[upcast])
    adapter = FakeChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
    )
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((store,)), queue)

    with caplog.at_level(logging.ERROR, "castore_dynamodb"):
        response = handler(
            {"Records": [make_record(make_image(f"a{each}"), each) for each in (1, 2, 3)]}
        )

    assert {"batchItemFailures": [{"itemIdentifier": "2"}]} == response
    assert ["a1"] == adapter.taken
    assert "KeyError: 'a2'" in caplog.text


def test_the_earlier_of_two_failures_counts() -> None:
    """A message that was not taken comes before a record that cannot be read."""
    adapter = FakeChannelAdapter("a1")
    images = [make_image("a1"), make_image("a2", type={"S": "VANISHED"})]
    records = [make_record(each, number) for number, each in enumerate(images, 1)]

    response = make_handler(adapter)({"Records": records})

    assert {"batchItemFailures": [{"itemIdentifier": "1"}]} == response


def test_other_errors_fail_the_whole_batch() -> None:
    """Lambda then tries all of it again."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(POKEMONS,))
    handler = DynamoDBStreamHandler(PARSER, queue)

    with pytest.raises(Exception, match="no adapter"):
        handler({"Records": [make_record(make_image())]})
