"""What SQS hands out becomes typed messages: from Lambda, from a client, by way of EventBridge."""

import json
from io import BytesIO
from traceback import format_exception
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from castore_aws import S3ClaimCheck
from castore_core import (
    CastoreError,
    Event,
    EventStore,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    UnknownEventTypeError,
    parse_timestamp,
)
from castore_sqs import SQSMessage, SQSMessageContext, SQSMessageParser

KEYS: Any = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
MOMENT = "2021-01-01T00:00:00.000Z"


class LeveledUp(Event, type="LEVELLED_UP"):
    """An event."""

    payload: int


def reduce(_: LeveledUp | None, event: LeveledUp) -> LeveledUp:
    """Keep the last event."""
    return event


POKEMONS = EventStore("POKEMONS", event_types=[LeveledUp], reduce=reduce)
QUEUE = NotificationMessageQueue("QUEUE", source_event_stores=(POKEMONS,))
BUS = NotificationMessageBus("BUS", source_event_stores=(POKEMONS,))
EVENT = LeveledUp(aggregate_id="a1", version=2, timestamp=parse_timestamp(MOMENT), payload=7)
MESSAGE = NotificationMessage("POKEMONS", EVENT)
BODY: Any = QUEUE.message_to_record(MESSAGE).body


def make_lambda_record(body: object = BODY, **changes: Any) -> dict[str, Any]:
    """Return a record as Lambda has it."""
    return {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {
            "messageId": {
                "stringValue": "POKEMONS#a1#2",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            }
        },
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:my-queue",
        "awsRegion": "us-east-2",
        **changes,
    }


async def parse(record: dict[str, Any], **options: Any) -> SQSMessage[Any]:
    """Read a record of the queue."""
    return await SQSMessageParser(QUEUE, **options).parse_record(record)


async def test_a_record_of_lambda() -> None:
    """It is the message, and the first attempt."""
    expected = SQSMessageContext("059f36b4-87a3-44ab-83d2-661975830a7d", 1, replay=False)
    assert (MESSAGE, expected) == await parse(make_lambda_record())


async def test_a_record_of_a_fifo_queue() -> None:
    """Its group and its attempts are known."""
    attributes = {
        "ApproximateReceiveCount": "3",
        "SequenceNumber": "18849496460467696128",
        "MessageGroupId": "POKEMONS#a1",
        "MessageDeduplicationId": "POKEMONS#a1#2",
    }
    message = await parse(make_lambda_record(attributes=attributes))
    assert (3, "POKEMONS#a1") == (message.context.attempt, message.context.group_id)


async def test_a_replay() -> None:
    """The attribute says so."""
    attributes = {"replay": {"stringValue": "1", "dataType": "Number"}}
    message = await parse(make_lambda_record(messageAttributes=attributes))
    assert message.context.replay


async def test_a_message_of_a_client() -> None:
    """As receive_message returns it."""
    received = {
        "MessageId": "m1",
        "ReceiptHandle": "AQEB",
        "Body": json.dumps(BODY),
        "Attributes": {"ApproximateReceiveCount": "2", "MessageGroupId": "POKEMONS#a1"},
        "MessageAttributes": {"replay": {"StringValue": "1", "DataType": "Number"}},
    }
    expected = SQSMessageContext("m1", 2, replay=True, group_id="POKEMONS#a1")
    assert (MESSAGE, expected) == await parse(received)


async def test_a_message_without_attributes() -> None:
    """A client did not ask for them: then it is no replay, and the first attempt."""
    expected = SQSMessageContext("m1", 1, replay=False)
    assert (MESSAGE, expected) == await parse({"MessageId": "m1", "Body": json.dumps(BODY)})


@pytest.mark.parametrize(
    ("detail_type", "replay"), [("LEVELLED_UP", False), ("__REPLAYED__", True)]
)
async def test_an_event_of_event_bridge(detail_type: str, *, replay: bool) -> None:
    """A queue may be the target of a rule."""
    event = {"version": "0", "source": "POKEMONS", "detail-type": detail_type, "detail": BODY}
    message = await SQSMessageParser(BUS).parse_record(make_lambda_record(event))
    assert (MESSAGE, replay) == (message.message, message.context.replay)


async def test_a_body_in_s3() -> None:
    """It is fetched from the claim check."""
    client = boto3.client("s3", "eu-west-1", **KEYS)
    content = json.dumps(BODY).encode()
    claim = {"messageUrl": "https://bodies.s3.eu-west-1.amazonaws.com/m/1.json?X-Amz-Expires=1"}
    with Stubber(client) as stubber:
        stubber.add_response(
            "get_object",
            {"Body": StreamingBody(BytesIO(content), len(content))},
            {"Bucket": "bodies", "Key": "m/1.json"},
        )
        message = await parse(make_lambda_record(claim), claim_check=S3ClaimCheck(client, "bodies"))
    client.close()
    assert MESSAGE == message.message


async def test_a_body_in_s3_without_a_claim_check() -> None:
    """The error says what the consumer lacks."""
    with pytest.raises(InvalidMessageError, match="give the consumer a claim_check"):
        await parse(make_lambda_record({"messageUrl": "https://bodies.s3.amazonaws.com/1.json"}))


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (make_lambda_record("no JSON"), InvalidMessageError),
        (make_lambda_record("[]"), InvalidMessageError),
        (make_lambda_record("[" * 100_000), InvalidMessageError),
        (make_lambda_record({}), InvalidMessageError),
        (
            make_lambda_record({**BODY, "eventStoreId": "TRAINERS"}),
            MessageChannelEventStoreNotFoundError,
        ),
        (
            make_lambda_record({**BODY, "event": {**BODY["event"], "type": "T"}}),
            UnknownEventTypeError,
        ),
        ({"messageId": "m1"}, InvalidMessageError),
        ({"MessageId": "m1"}, InvalidMessageError),
        ({}, InvalidMessageError),
        (make_lambda_record(body=None), InvalidMessageError),
        ({**make_lambda_record(), "body": None}, InvalidMessageError),
        (make_lambda_record(attributes={"ApproximateReceiveCount": "x"}), InvalidMessageError),
        (make_lambda_record(attributes={"ApproximateReceiveCount": None}), InvalidMessageError),
        (make_lambda_record(attributes=None), InvalidMessageError),
        (make_lambda_record(messageAttributes="replay"), InvalidMessageError),
    ],
)
async def test_what_is_no_message(record: dict[str, Any], error: type[CastoreError]) -> None:
    """It is an error of castore, whatever it is."""
    with pytest.raises(error):
        await parse(record)


MARK = "hunter2"


@pytest.mark.parametrize(
    "record",
    [
        {**make_lambda_record(), "body": {"event": MARK}},
        {**make_lambda_record(), "body": [MARK]},
        make_lambda_record(f'"{MARK}"'),
        make_lambda_record(f'{{"event": "{MARK}'),
        make_lambda_record({"eventStoreId": "POKEMONS", "event": {"payload": MARK}}),
        make_lambda_record({"messageUrl": f"https://b.s3.amazonaws.com/x?Signature={MARK}"}),
        make_lambda_record(attributes={"ApproximateReceiveCount": "x" * 10_000}),
    ],
)
async def test_an_error_does_not_show_what_is_in_a_body(record: dict[str, Any]) -> None:
    """Errors are logged, and logs are read by others; what is quoted is short."""
    with pytest.raises(InvalidMessageError) as caught:
        await parse(record)
    shown = "".join(format_exception(caught.value))
    assert MARK not in f"{shown} {caught.value!r}"
    assert len(str(caught.value)) < 400
