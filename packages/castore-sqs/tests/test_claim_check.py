"""Bodies that are too large for SQS wait in S3, and consumers get whole messages."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from castore_aws import RetryPolicy, S3ClaimCheck
from castore_core import (
    Event,
    EventStore,
    MessagePublishError,
    NotificationMessage,
    NotificationMessageQueue,
)
from castore_sqs import SQSHandler, SQSMessageContext, SQSMessageParser, SQSMessageQueueAdapter


class Noted(Event, type="NOTED"):
    """An event of any size."""

    payload: str


def reduce(_: Noted | None, event: Noted) -> Noted:
    """Keep the last event."""
    return event


NOTES = EventStore("NOTES", event_types=[Noted], reduce=reduce)
LARGE = "⚡" * 400_000  # of three bytes each


def make_messages() -> list[NotificationMessage[Noted]]:
    """Return small and large messages about one aggregate."""
    texts = ["small", LARGE, "small again", f"{LARGE} again"]
    return [
        NotificationMessage("NOTES", Noted(aggregate_id="a1", version=version, payload=text))
        for version, text in enumerate(texts, start=1)
    ]


@pytest.fixture(params=["boto3", "aioboto3"])
def kind(request: pytest.FixtureRequest) -> str:
    """Give a kind of client."""
    return str(request.param)


@pytest.fixture
async def sqs(make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]) -> Any:
    """Give a client of boto3 that consumes."""
    return await make_client("boto3", find_server("moto"))


@pytest.fixture
async def claim_check(
    kind: str, make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
) -> S3ClaimCheck:
    """Give a claim check with a bucket of its own."""
    url, bucket = find_server("moto"), f"bodies-{uuid4()}"
    owner = await make_client("boto3", url, "s3")
    owner.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return S3ClaimCheck(await make_client(kind, url, "s3"), bucket)


@pytest.fixture(params=[False, True], ids=["standard", "fifo"])
async def queue(  # noqa: PLR0917 fixtures
    request: pytest.FixtureRequest,
    kind: str,
    sqs: Any,
    claim_check: S3ClaimCheck,
    make_client: Callable[..., Awaitable[Any]],
    make_queue: Callable[..., str],
    find_server: Callable[[str], str],
) -> NotificationMessageQueue[Noted]:
    """Give a channel that publishes with the claim check."""
    fifo: bool = request.param
    adapter = SQSMessageQueueAdapter(
        await make_client(kind, find_server("moto")),
        make_queue(sqs, fifo=fifo),
        fifo,
        claim_check=claim_check,
    )
    return NotificationMessageQueue(
        "QUEUE", source_event_stores=(NOTES,), message_channel_adapter=adapter
    )


def receive(sqs: Any, queue: NotificationMessageQueue[Noted]) -> list[Any]:
    """Return what is in the queue."""
    adapter = queue.message_channel_adapter
    assert isinstance(adapter, SQSMessageQueueAdapter)
    answer = sqs.receive_message(QueueUrl=adapter.queue_url, MaxNumberOfMessages=10)
    received: list[Any] = answer["Messages"]
    return received


async def test_a_large_message_arrives(
    sqs: Any, queue: NotificationMessageQueue[Noted], claim_check: S3ClaimCheck
) -> None:
    """Its body says only where it is, as Castore's does."""
    large = make_messages()[1]
    await queue.publish_message(large)
    [received] = receive(sqs, queue)
    assert ["messageUrl"] == list(json.loads(received["Body"]))
    found = await SQSMessageParser(queue, claim_check=claim_check).parse_record(received)
    assert large == found.message


async def test_a_batch_of_small_and_large_messages_arrives(
    sqs: Any, queue: NotificationMessageQueue[Noted], claim_check: S3ClaimCheck
) -> None:
    """All of them, through Lambda; the small ones are sent as they are."""
    handled: list[NotificationMessage[Noted]] = []

    async def handle(message: NotificationMessage[Noted], _: SQSMessageContext) -> None:
        handled.append(message)

    messages = make_messages()
    await queue.publish_messages(messages)
    records = [
        {"messageId": each["MessageId"], "body": each["Body"]} for each in receive(sqs, queue)
    ]
    assert 2 == sum(S3ClaimCheck.is_claim(json.loads(each["body"])) for each in records)
    handler = SQSHandler(queue, handle, claim_check=claim_check)
    assert {"batchItemFailures": []} == await handler.handle_records(records)
    assert messages == sorted(handled, key=lambda each: each.event.version)


@pytest.mark.parametrize(("fifo", "sent"), [(False, [1, 3]), (True, [1])], ids=["standard", "fifo"])
async def test_a_bucket_that_is_missing(
    kind: str,
    sqs: Any,
    make_client: Callable[..., Awaitable[Any]],
    make_queue: Callable[..., str],
    find_server: Callable[[str], str],
    *,
    fifo: bool,
    sent: list[int],
) -> None:
    """The large messages are named; in a FIFO queue, what comes after one waits for it."""
    url = find_server("moto")
    claim_check = S3ClaimCheck(
        await make_client(kind, url, "s3"), f"b-{uuid4()}", retries=RetryPolicy(max_attempts=1)
    )
    adapter = SQSMessageQueueAdapter(
        await make_client(kind, url), make_queue(sqs, fifo=fifo), claim_check=claim_check
    )
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(NOTES,), message_channel_adapter=adapter
    )

    with pytest.raises(MessagePublishError) as caught:
        await queue.publish_messages(make_messages())

    failed = [each.version for each, _ in caught.value.failures]
    assert [each for each in (1, 2, 3, 4) if each not in sent] == failed
    assert "the claim check failed: NoSuchBucket" in caught.value.failures[0][1]
    received = [json.loads(each["Body"])["event"]["version"] for each in receive(sqs, queue)]
    assert sent == sorted(received)
