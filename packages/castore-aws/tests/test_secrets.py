"""No error shows what is in a message: errors are logged, and logs are read by others."""

from collections.abc import Sequence
from traceback import format_exception
from typing import Any, cast

import pytest

from castore_aws import (
    BatchLimits,
    Entry,
    Refusal,
    RetryPolicy,
    S3ClaimCheck,
    make_entries,
    receive_message,
    send_batches,
)
from castore_core import (
    CastoreError,
    Event,
    EventStore,
    MessagePublishError,
    MessageRecord,
    NotificationMessageQueue,
)

MARK = "hunter2"
LIMITS = BatchLimits(max_entry_bytes=100)


class Noted(Event, type="NOTED"):
    """An event."""

    payload: str


def reduce(_: Noted | None, event: Noted) -> Noted:
    """Keep the last event."""
    return event


NOTES = EventStore("NOTES", event_types=[Noted], reduce=reduce)
QUEUE = NotificationMessageQueue("QUEUE", source_event_stores=(NOTES,))


class FakeClaimCheck:
    """Gives what is no message, and takes nothing."""

    async def redeem(self, _: object) -> bytes:
        """Give it."""
        return f'{{"eventStoreId": "{MARK}'.encode()

    async def check_in(self, text: str) -> str:
        """Take nothing."""
        raise KeyError(len(text))


CLAIM_CHECK = cast("S3ClaimCheck", FakeClaimCheck())


def show(error: BaseException) -> str:
    """Return what a log would have of an error, with its causes and notes."""
    return "".join(format_exception(error))


def make_entry(message: MessageRecord, text: str) -> Entry:
    """Return an entry, or fail in a way of its own."""
    if message.aggregate_id == "bad":
        raise LookupError(text)
    return Entry(message, {"Body": text}, len(text.encode()))


async def refuse(entries: Sequence[Entry]) -> list[Refusal | None]:
    """Refuse what is sent."""
    return [Refusal("no")] * len(entries)


@pytest.mark.parametrize("claim_check", [None, CLAIM_CHECK], ids=["none", "fails"])
@pytest.mark.parametrize(
    ("name", "text"),
    [("a", MARK), ("a", MARK * 99), ("a", f"{MARK}\udc80"), ("bad", MARK)],
    ids=["refused", "large", "no text", "fails"],
)
async def test_a_message_that_was_not_published(
    name: str, text: str, claim_check: S3ClaimCheck | None
) -> None:
    """It is named by its store, its aggregate and its version."""
    messages = [MessageRecord("NOTES", name, 1, "NOTED", {"payload": text})]
    entries = await make_entries(messages, make_entry, limits=LIMITS, claim_check=claim_check)

    with pytest.raises(MessagePublishError) as caught:
        await send_batches(entries, refuse, limits=LIMITS, retries=RetryPolicy(max_attempts=1))

    [(_, reason)] = caught.value.failures
    assert MARK not in f"{reason} {entries!r} {caught.value}"
    if name != "bad":  # what a stranger's code raises is the stranger's
        assert MARK not in show(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        MARK,
        f'"{MARK}"',
        f'["{MARK}"]',
        f'{{"eventStoreId": "NOTES", "event": {{"payload": "{MARK}"',
        f'{{"eventStoreId": "NOTES", "event": "{MARK}"}}',
        {"eventStoreId": "NOTES", "event": {"payload": MARK}},
        {"eventStoreId": ["NOTES"], "event": {"payload": MARK}},
        {"messageUrl": f"https://claims.s3.amazonaws.com/x?X-Amz-Signature={MARK}"},
        {"detail-type": "NOTED", "detail": {"event": MARK}},
    ],
)
@pytest.mark.parametrize("claim_check", [None, CLAIM_CHECK], ids=["none", "broken"])
async def test_a_body_that_is_no_message(body: Any, claim_check: S3ClaimCheck | None) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(CastoreError) as caught:
        await receive_message(QUEUE, body, claim_check)

    assert MARK not in f"{show(caught.value)} {caught.value!r}"
