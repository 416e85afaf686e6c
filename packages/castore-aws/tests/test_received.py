"""Received bodies become messages, wherever they come from."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from castore_aws import ReceivedMessage, S3ClaimCheck, receive_message
from castore_core import (
    Event,
    EventStore,
    InvalidMessageError,
    JSONValue,
    MessageChannelEventStoreNotFoundError,
    NotificationMessage,
    NotificationMessageQueue,
    UnknownEventTypeError,
)

MOMENT = datetime(2022, 1, 1, tzinfo=UTC)


class Noted(Event, type="NOTED"):
    """An event."""

    payload: JSONValue


def reduce(_: Noted | None, event: Noted) -> Noted:
    """Keep the last event."""
    return event


NOTES = EventStore("NOTES", event_types=[Noted], reduce=reduce)
QUEUE = NotificationMessageQueue("QUEUE", source_event_stores=(NOTES,))
MESSAGE = NotificationMessage(
    "NOTES", Noted(aggregate_id="a1", version=1, timestamp=MOMENT, payload={"size": 2**60})
)
BODY = QUEUE.message_to_record(MESSAGE).body
CLAIM = {"messageUrl": "https://claims.s3.amazonaws.com/key"}


class FakeClaimCheck:
    """Gives the same body for each claim."""

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content
        self.claims: list[Mapping[str, Any]] = []

    async def redeem(self, body: Mapping[str, Any]) -> bytes:
        """Give the body."""
        self.claims.append(body)
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


def make_event(detail: object = BODY, detail_type: str = "NOTED", **more: str) -> Any:
    """Return an event as EventBridge delivers it."""
    return {"id": "e1", "detail-type": detail_type, "source": "NOTES", "detail": detail, **more}


async def receive(body: Any, content: bytes | Exception | None = None) -> ReceivedMessage[Any]:
    """Receive a body, with a claim check if it has something to give."""
    claim_check = None if content is None else FakeClaimCheck(content)
    return await receive_message(QUEUE, body, cast("S3ClaimCheck | None", claim_check))


@pytest.mark.parametrize("body", [BODY, json.dumps(BODY)], ids=["object", "text"])
async def test_a_body_of_a_queue(body: Any) -> None:
    """Of a replay it does not tell: that is an attribute."""
    assert (MESSAGE, False) == await receive(body)


@pytest.mark.parametrize("write", [dict[str, Any], json.dumps], ids=["object", "text"])
@pytest.mark.parametrize(
    ("options", "replay"),
    [
        ({}, False),
        ({"detail_type": "__REPLAYED__"}, True),
        ({"replay-name": "of an archive"}, True),
    ],
    ids=["live", "replay", "archive"],
)
async def test_an_event_of_a_bus(write: Any, options: dict[str, str], replay: bool) -> None:
    """Its detail is the body, whether Lambda or a queue hands it over."""
    assert (MESSAGE, replay) == await receive(write(make_event(**options)))


@pytest.mark.parametrize("body", [CLAIM, json.dumps(CLAIM), make_event(CLAIM)])
async def test_a_body_in_s3(body: Any) -> None:
    """It is fetched, with or without an envelope."""
    assert (MESSAGE, False) == await receive(body, json.dumps(BODY).encode())


async def test_a_replay_in_s3() -> None:
    """The envelope tells of it, and not the body."""
    event = make_event(CLAIM, "__REPLAYED__")

    assert (MESSAGE, True) == await receive(event, json.dumps(BODY).encode())


async def test_a_claim_that_nobody_can_redeem() -> None:
    """The error says what the consumer lacks."""
    with pytest.raises(InvalidMessageError, match="give the consumer a claim_check"):
        await receive(CLAIM)


async def test_a_claim_of_nothing() -> None:
    """The body is no message, and the error says why."""
    with pytest.raises(InvalidMessageError, match="'QUEUE': it is gone"):
        await receive(CLAIM, ValueError("it is gone"))


async def test_s3_does_not_answer() -> None:
    """The message may be one: the error is no `InvalidMessageError`."""
    with pytest.raises(ConnectionError, match="no route"):
        await receive(CLAIM, ConnectionError("no route"))


@pytest.mark.parametrize("body", [BODY, make_event()], ids=["queue", "bus"])
async def test_small_bodies_need_no_claim_check(body: Any) -> None:
    """It is not asked for what is there."""
    claim_check = FakeClaimCheck(ValueError("nobody should ask"))

    await receive_message(QUEUE, body, cast("S3ClaimCheck", claim_check))

    assert [] == claim_check.claims


@pytest.mark.parametrize(
    "body",
    ["", "text", "[]", "null", "{}", "[" * 100_000, make_event("text"), make_event({})],
    ids=["empty", "text", "list", "null", "object", "deep", "text detail", "empty detail"],
)
async def test_what_is_no_message(body: Any) -> None:
    """One error for all of it."""
    with pytest.raises(InvalidMessageError):
        await receive(body)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", json.dumps(CLAIM).encode()])
async def test_what_is_no_message_in_s3(content: bytes) -> None:
    """Nor is the claim of a claim one."""
    with pytest.raises(InvalidMessageError):
        await receive(CLAIM, content)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"eventStoreId": "OTHERS"}, MessageChannelEventStoreNotFoundError),
        ({"event": {**cast("Any", BODY["event"]), "type": "VANISHED"}}, UnknownEventTypeError),
    ],
    ids=["store", "type"],
)
async def test_messages_of_others(changes: Any, error: type[Exception]) -> None:
    """What the channel says of them is raised as it is."""
    with pytest.raises(error):
        await receive({**BODY, **changes})
