"""Messages that are too large travel by way of S3."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from castore_aws import BatchLimits, RetryPolicy, S3ClaimCheck
from castore_core import (
    Event,
    EventStore,
    MessagePublishError,
    NotificationMessage,
    NotificationMessageBus,
)
from castore_event_bridge import (
    EventBridgeMessageBusAdapter,
    EventBridgeMessageParser,
    event_pattern,
)

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)


class Described(Event, type="DESCRIBED"):
    """An event of any size."""

    payload: str


def reduce(_: Described | None, event: Described) -> Described:
    """Keep the last event."""
    return event


POKEMONS = EventStore("POKEMONS", event_types=[Described], reduce=reduce)


def make_message(version: int, text: str) -> NotificationMessage[Described]:
    """Return a message."""
    event = Described(aggregate_id="a1", version=version, timestamp=MOMENT, payload=text)
    return NotificationMessage("POKEMONS", event)


@pytest.mark.parametrize("kind", ["boto3", "aioboto3"])
@pytest.mark.parametrize("replay", [False, True])
async def test_a_large_message_arrives(
    make_client: Callable[..., Awaitable[Any]],
    make_outlet: Callable[..., Awaitable[Any]],
    url: str,
    kind: str,
    replay: bool,
) -> None:
    """Beside small ones of its batch, through the rule for its type."""
    outlet = await make_outlet(
        url, event_pattern(event_store_id="POKEMONS", event_types=[Described])
    )
    bucket = f"claims-{uuid4()}"
    (await make_client("boto3", url, "s3")).create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    claim_check = S3ClaimCheck(await make_client(kind, url, "s3"), bucket)
    bus = NotificationMessageBus(
        "BUS",
        source_event_stores=(POKEMONS,),
        message_channel_adapter=EventBridgeMessageBusAdapter(
            await make_client(kind, url),
            outlet.event_bus_name,
            claim_check=claim_check,
            limits=BatchLimits(max_entry_bytes=1_000),
        ),
    )
    messages = [make_message(1, "small"), make_message(2, "x" * 1_000), make_message(3, "small")]

    await bus.publish_messages(messages, replay=replay)

    events: list[Any] = []
    async with asyncio.timeout(20):
        while len(events) < 3:
            events += await asyncio.to_thread(outlet.receive)
    parser = EventBridgeMessageParser(bus, claim_check=claim_check)
    found = [await parser.parse_event(each) for each in events]
    assert messages == sorted((each.message for each in found), key=lambda each: each.event.version)
    assert [replay] * 3 == [each.context.replay for each in found]
    assert 1 == sum("messageUrl" in each["detail"] for each in events)


@pytest.mark.parametrize("kind", ["boto3", "aioboto3"])
async def test_a_bucket_that_is_missing_stops_no_small_message(
    make_client: Callable[..., Awaitable[Any]],
    make_outlet: Callable[..., Awaitable[Any]],
    url: str,
    kind: str,
) -> None:
    """The large one is named, with the error of S3, and the others arrive."""
    outlet = await make_outlet(url, {"source": ["POKEMONS"]})
    once = RetryPolicy(max_attempts=1)
    adapter = EventBridgeMessageBusAdapter(
        await make_client(kind, url),
        outlet.event_bus_name,
        claim_check=S3ClaimCheck(
            await make_client(kind, url, "s3"), f"claims-{uuid4()}", retries=once
        ),
        limits=BatchLimits(max_entry_bytes=1_000),
    )
    bus = NotificationMessageBus(
        "BUS", source_event_stores=(POKEMONS,), message_channel_adapter=adapter
    )

    with pytest.raises(MessagePublishError) as caught:
        await bus.publish_messages(
            [make_message(1, "small"), make_message(2, "x" * 1_000), make_message(3, "small")]
        )

    [(failed, reason)] = caught.value.failures
    assert 2 == failed.version
    assert "the claim check failed: NoSuchBucket" in reason
    assert isinstance(caught.value.__cause__, ClientError)
    events: list[Any] = []
    async with asyncio.timeout(20):
        while len(events) < 2:
            events += await asyncio.to_thread(outlet.receive)
    assert [1, 3] == sorted(each["detail"]["event"]["version"] for each in events)
