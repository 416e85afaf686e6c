"""Headers of messages are attributes, within what SQS takes of them."""

import json
from typing import Any

import pytest

from castore_core import MessageRecord, NotificationMessageQueue
from castore_sqs import SQSMessageParser
from castore_sqs._entries import EntryWriter
from castore_sqs._headers import is_header, read_headers
from notes import make_notes

TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=b",
}


def make_entry(
    headers: dict[str, str], *, replay: bool = False, fifo: bool = False, max_bytes: int = 1000
) -> Any:
    """Return the entry of a message with headers."""
    message = MessageRecord("POKEMONS", "a1", 1, "T", {"eventStoreId": "POKEMONS"}, headers)
    writer = EntryWriter.begin(fifo=fifo, replay=replay, max_bytes=max_bytes)
    return writer.make_entry(message, "{}")


def test_a_message_without_headers_is_as_ever() -> None:
    """Without headers, a message has the attributes that Castore gives it, and no other."""
    entry = make_entry({})
    expected = {"messageId": {"DataType": "String", "StringValue": "POKEMONS#a1#1"}}
    assert expected == entry.parameters["MessageAttributes"]
    assert len("{}" + "messageId" + "String" + "POKEMONS#a1#1") == entry.size


def test_headers_are_attributes() -> None:
    """Headers go beside the attributes of Castore, and are read as they were written."""
    entry = make_entry(TRACE, replay=True)
    attributes = entry.parameters["MessageAttributes"]
    assert {"messageId", "replay", *TRACE} == set(attributes)
    assert TRACE == read_headers(attributes, "StringValue")


def test_headers_have_a_size() -> None:
    """AWS counts the name, the type and the value of an attribute, in bytes."""
    entry = make_entry({"name": "é"})
    assert make_entry({}).size + len("name") + len("String") + 2 == entry.size


def test_headers_make_no_message_too_large() -> None:
    """Headers are left out where the message would be larger than it may be."""
    bare, traced = make_entry({}), make_entry(TRACE)
    assert traced.parameters == make_entry(TRACE, max_bytes=traced.size).parameters
    narrow = make_entry(TRACE, max_bytes=traced.size - 1)
    assert (bare.parameters, bare.size) == (narrow.parameters, narrow.size)


def test_headers_are_no_matter_of_deduplication() -> None:
    """A FIFO queue takes a message once, whatever trace it is published in."""
    bare, traced = make_entry({}, fifo=True).parameters, make_entry(TRACE, fifo=True).parameters
    assert bare["MessageDeduplicationId"] == traced["MessageDeduplicationId"]
    assert bare["MessageGroupId"] == traced["MessageGroupId"]


def test_no_more_attributes_than_sqs_takes() -> None:
    """A message has ten attributes at most: the headers beyond are left out."""
    headers = {f"h{each}": "1" for each in range(20)}
    attributes = make_entry(headers, replay=True).parameters["MessageAttributes"]
    assert ["messageId", "replay", *[f"h{each}" for each in range(8)]] == list(attributes)


@pytest.mark.parametrize(
    "headers",
    [
        *({"": "1"}, {"a b": "1"}, {"AWS.x": "1"}, {"a..b": "1"}, {".a": "1"}),
        *({"a." * 200 + "a": "1"}, {"messageId": "1"}, {"replay": "1"}),
        *({"empty": ""}, {"control": "\x00"}),
    ],
)
def test_headers_that_sqs_refuses(headers: dict[str, str]) -> None:
    """Headers that are no attributes of SQS, or are Castore's, are left out."""
    expected = make_entry({}).parameters
    assert expected == make_entry(headers).parameters


@pytest.mark.parametrize("name", ["traceparent", "x-b3-traceid", "my.header", "A_1"])
def test_names_of_headers(name: str) -> None:
    """Names have letters, digits, hyphens, underscores, and single dots within."""
    assert is_header(name)


async def test_attributes_of_others() -> None:
    """A handler gets the attributes of type String, and no number, and no bytes."""
    record: dict[str, Any] = {
        "MessageId": "m1",
        "Body": json.dumps(
            {
                "eventStoreId": "NOTES",
                "event": {
                    "aggregateId": "n1",
                    "version": 1,
                    "type": "NOTED",
                    "timestamp": "2026-01-01T00:00:00.000Z",
                    "payload": "milk",
                },
            }
        ),
        "MessageAttributes": {
            "tenant": {"DataType": "String", "StringValue": "t1"},
            "picture": {"DataType": "Binary", "BinaryValue": b"1"},
            "messageId": {"DataType": "String", "StringValue": "NOTES#n1#1"},
        },
    }
    queue = NotificationMessageQueue("NOTE_QUEUE", source_event_stores=(make_notes(),))
    _, context = await SQSMessageParser(queue).parse_record(record)
    assert {"tenant": "t1"} == context.headers
