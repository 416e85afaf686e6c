"""Records of a stream become typed messages, and stored events."""

import json
import logging
from base64 import b64encode
from datetime import UTC, datetime
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
    NotificationMessage,
    StorageError,
    UnknownEventTypeError,
)
from castore_dynamodb import DynamoDBStreamParser, StoredEvent

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
        {"kinesis": {"data": b64encode(b'"\xff"').decode(), "sequenceNumber": "1"}},
        {"kinesis": {"data": b64encode(b"[" * 200_000).decode(), "sequenceNumber": "1"}},
        make_kinesis_record("no item"),
        make_kinesis_record({"aggregateId": "no attribute"}),
        {"dynamodb": {"SequenceNumber": "1"}},
    ],
)
def test_what_is_no_record_of_a_table_is_refused(record: Any) -> None:
    """A stream of Kinesis can carry what others write to it."""
    with pytest.raises(InvalidMessageError, match="no record of a table"):
        PARSER.parse_record(record)


@pytest.mark.parametrize("name", ["payload", "metadata"])
def test_an_error_shows_nothing_of_the_payload(name: str) -> None:
    """Neither do the errors that caused it: errors are logged."""
    image = make_image() | {name: {"L": [{"S": "before"}, {"hunter2": "hunter2"}]}}

    with pytest.raises(
        StorageError, match=f"POKEMONS#a1.*its {name} is no attribute value"
    ) as info:
        PARSER.parse_record(make_record(image))

    assert "hunter2" not in f"{info.value} {info.value.__cause__}"


LEGACY_IMAGES = {
    "first event": make_image(isInitialEvent={"N": "1"}, aggregateId={"S": "a1"}),
    "first event with an id like a key": make_image(isInitialEvent={"N": "1"}),
    "later event": make_image(version={"N": "2"}, aggregateId={"S": "a1"}),
}


@pytest.mark.parametrize("image", LEGACY_IMAGES.values(), ids=list(LEGACY_IMAGES))
def test_an_event_of_the_legacy_adapter_is_refused(image: Any) -> None:
    """It names no event store. Passing over it would lose all that such a table tells."""
    with pytest.raises(InvalidMessageError, match="legacy"):
        PARSER.parse_record(make_record(image))
    with pytest.raises(InvalidMessageError, match="legacy"):
        PARSER.parse_image(image)


def test_a_deleted_event_of_the_legacy_adapter_is_passed_over() -> None:
    """As any deletion."""
    record = make_record(LEGACY_IMAGES["first event"], name="REMOVE")

    assert PARSER.parse_record(record) is None


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


# What no local class declares


class Left(Event, type="LEFT"):
    """An event with nothing."""


class Called(Event, type="CALLED"):
    """An event that may have a payload."""

    payload: JSONValue = None


def reduce_any(_: Event | None, event: Left | Called) -> Event:
    """Keep the last event."""
    return event


SPARSE = EventStore("POKEMONS", event_types=[Left, Called], reduce=reduce_any)


@pytest.fixture
def sparse_parser() -> DynamoDBStreamParser[Any]:
    """Give a parser of events that declare little."""
    return DynamoDBStreamParser(source_event_stores=(SPARSE,))


STORED = {
    "undeclared": (
        make_image(type={"S": "LEFT"}, payload={"M": {"by": {"N": "2"}}}, metadata={"S": "m"}),
        EventRecord("a1", 1, "LEFT", MOMENT, {"by": 2}, "m"),
    ),
    "null where it is optional": (
        make_image(type={"S": "CALLED"}, payload={"NULL": True}),
        EventRecord("a1", 1, "CALLED", MOMENT, None, None),
    ),
    "unknown type": (
        make_image(type={"S": "VANISHED"}),
        EventRecord("a1", 1, "VANISHED", MOMENT, {"level": 7}, None),
    ),
}


@pytest.mark.parametrize(("image", "expected"), STORED.values(), ids=list(STORED))
def test_a_stored_event_is_complete(
    sparse_parser: DynamoDBStreamParser[Any], image: Any, expected: EventRecord
) -> None:
    """It has all that the item has, whatever the classes declare."""
    stored = sparse_parser.read_stored_event(make_record(image))

    assert StoredEvent("POKEMONS", expected) == stored


def test_a_stored_event_of_another_store() -> None:
    """It is passed over, as any record that tells of no event that is wanted."""
    assert PARSER.read_stored_event(make_record(make_image(store_id="TRAINERS"))) is None


def test_a_stored_event_does_not_show_its_payload() -> None:
    """Its ids are what a log needs."""
    stored = PARSER.read_stored_event(make_record(make_image(payload={"S": "hunter2"})))

    assert "StoredEvent(event 1 ('APPEARED') of aggregate 'a1' in event store 'POKEMONS')" == repr(
        stored
    )


def test_a_message_without_undeclared_parts_is_warned_of(
    sparse_parser: DynamoDBStreamParser[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Once for each part of a type; its values are not in the log."""
    images = [make_image(each, type={"S": "LEFT"}, payload={"S": "hunter2"}) for each in "ab"]

    reason = "their class declares none"
    with caplog.at_level(logging.WARNING, "castore_dynamodb"):
        messages = [sparse_parser.parse_image(each) for each in images]

    assert [
        NotificationMessage("POKEMONS", Left(each, 1, timestamp=MOMENT)) for each in "ab"
    ] == messages
    assert [
        f"the {name} of 'LEFT' events in event store 'POKEMONS' is left out: {reason}"
        for name in ("payload", "metadata")
    ] == caplog.messages


def test_a_complete_message_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """The class declares all that is stored."""
    with caplog.at_level(logging.WARNING, "castore_dynamodb"):
        PARSER.parse_record(make_record(make_image()))

    assert [] == caplog.messages
