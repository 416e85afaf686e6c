"""What type checkers know of messages on AWS. Checked by pyright and mypy, and never run."""

from dataclasses import dataclass
from typing import Any, assert_type

from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient
from types_aiobotocore_s3 import S3Client as AsyncS3Client

from castore_aws import (
    BatchLimits,
    Entry,
    MakeEntry,
    ReceivedMessage,
    S3ClaimCheck,
    Unsent,
    make_entries,
    receive_message,
)
from castore_core import Event, EventStore, NotificationMessage, NotificationMessageBus


class Opened(Event, type="OPENED"):
    """An event."""


class Closed(Event, type="CLOSED"):
    """Another one."""


@dataclass(frozen=True)
class Door:
    """What is known."""

    aggregate_id: str
    version: int


def reduce(_: Door | None, event: Opened | Closed) -> Door:
    """Count the events."""
    return Door(event.aggregate_id, event.version)


doors = EventStore("DOORS", event_types=[Opened, Closed], reduce=reduce)
bus = NotificationMessageBus("BUS", source_event_stores=(doors,))


def check_claim_checks(s3: S3Client, async_s3: AsyncS3Client, sqs: SQSClient) -> None:
    """Take clients of either kind; of which service they are is looked at when they are given."""
    S3ClaimCheck(s3, "claims", prefix="messages/", expires_in=60)
    S3ClaimCheck(async_s3, bucket="claims")
    S3ClaimCheck(s3, "claims", max_body_bytes=1_000, timeout=5, endpoints=["http://minio:9000"])
    S3ClaimCheck(sqs, "claims")
    S3ClaimCheck(s3, "claims", "messages/")  # type: ignore[call-arg]


async def check_received_messages(body: dict[str, Any], claim_check: S3ClaimCheck) -> None:
    """Know the messages of a channel, from a text or an object."""
    found = await receive_message(bus, body, claim_check)
    assert_type(found, ReceivedMessage[NotificationMessage[Opened | Closed]])
    message, replay = await receive_message(bus, "{}")
    assert_type(message, NotificationMessage[Opened | Closed])
    assert_type(replay, bool)


async def check_adapters(make_entry: MakeEntry, limits: BatchLimits) -> None:
    """Refuse limits by position: two of them are numbers of bytes."""
    BatchLimits(10, 1_000, 1_000)  # type: ignore[call-arg]
    BatchLimits(max_entry_bytes=255_000)
    make_entry("message", "text")  # type: ignore[arg-type]
    entries = await make_entries([], make_entry, limits=limits, claim_check=None)
    assert_type(entries, list[Entry | Unsent])
