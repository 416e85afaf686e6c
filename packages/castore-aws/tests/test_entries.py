"""Messages become entries, or are refused before anything is sent."""

import asyncio
import json
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from castore_aws import BatchLimits, Entry, S3ClaimCheck, make_entries
from castore_core import MessagePublishError, MessageRecord

LIMITS = BatchLimits(max_entry_bytes=40, max_batch_bytes=100)
DOWN = EndpointConnectionError(endpoint_url="https://s3")


class FakeClaimCheck:
    """Keeps texts, and notes how many are on their way at once."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.kept: list[str] = []
        self.under_way = self.most_under_way = 0

    async def check_in(self, text: str) -> str:
        """Keep a text."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append(text)
        return json.dumps({"messageUrl": len(self.kept)})


def make_message(name: str, text: str = "") -> MessageRecord:
    """Return a message with a text."""
    return MessageRecord("STORE", name, 1, "TYPE", {"text": text})


def make_entry(message: MessageRecord, text: str) -> Entry:
    """Return an entry whose size is that of its text."""
    if message.aggregate_id == "bad":
        raise ValueError("it has a bad name")
    return Entry(message, {"Body": text}, len(text), message.aggregate_id)


async def make(*messages: MessageRecord, claim_check: Any = None) -> list[Entry]:
    """Make entries of messages."""
    check = cast("S3ClaimCheck | None", claim_check)
    return await make_entries(messages, make_entry, limits=LIMITS, claim_check=check)


async def fail(*messages: MessageRecord, claim_check: Any = None) -> MessagePublishError:
    """Make entries of messages, of which one cannot be, and return the error."""
    with pytest.raises(MessagePublishError) as caught:
        await make(*messages, claim_check=claim_check)
    assert list(messages) == [message for message, _ in caught.value.failures]
    return caught.value


async def test_the_text_is_the_body_as_javascript_writes_it() -> None:
    """Without spaces."""
    (entry,) = await make(make_message("a", "é"))

    assert {"Body": '{"text":"é"}'} == entry.parameters


async def test_too_large_a_message_is_refused_with_its_size() -> None:
    """The limit is inclusive; those beside it are named too, because none is sent."""
    fits, too_large = make_message("a", "x" * 29), make_message("b", "x" * 30)

    assert 40 == (await make(fits))[0].size
    error = await fail(fits, too_large)

    assert "another message" in error.failures[0][1]
    assert "it has 41 bytes, which is more than 40; a claim_check takes" in error.failures[1][1]


async def test_each_message_that_cannot_be_has_its_reason() -> None:
    """All are looked at, and not the first one alone."""
    error = await fail(make_message("bad"), make_message("b", "x" * 30), make_message("c"))

    reasons = [reason for _, reason in error.failures]
    assert "it has a bad name" == reasons[0]
    assert "41 bytes" in reasons[1]
    assert "another message" in reasons[2]
    assert "it has a bad name" == str(error.__cause__)


async def test_large_bodies_go_to_the_claim_check() -> None:
    """Side by side; the small ones stay, and all keep their places."""
    claim_check = FakeClaimCheck()
    messages = [make_message(each, "x" * 30 * (each != "b")) for each in "abc"]

    entries = await make(*messages, claim_check=claim_check)

    assert messages == [each.message for each in entries]
    assert ["messageUrl", "text", "messageUrl"] == [
        next(iter(json.loads(each.parameters["Body"]))) for each in entries
    ]
    assert ['{"text":"' + "x" * 30 + '"}'] * 2 == claim_check.kept
    assert 2 == claim_check.most_under_way


async def test_not_all_bodies_go_to_the_claim_check_at_once() -> None:
    """Each begins when there is a connection for it: waiting would use up its retries."""
    claim_check = FakeClaimCheck()

    await make(*(make_message(f"{each}", "x" * 30) for each in range(25)), claim_check=claim_check)

    assert 25 == len(claim_check.kept)
    assert 10 == claim_check.most_under_way


async def test_a_message_that_cannot_be_stops_the_claim_check() -> None:
    """Nothing goes to S3 for messages that are not sent."""
    claim_check = FakeClaimCheck()

    await fail(make_message("a", "x" * 30), make_message("bad"), claim_check=claim_check)

    assert [] == claim_check.kept


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("expired")], ids=repr)
async def test_a_claim_check_that_fails(failure: Exception) -> None:
    """The error says so, and its cause is the one of S3, or of its client."""
    error = await fail(
        make_message("a"), make_message("b", "x" * 30), claim_check=FakeClaimCheck(failure)
    )

    assert "another message" in error.failures[0][1]
    assert f"the claim check failed: {type(failure).__name__}" in error.failures[1][1]
    assert failure is error.__cause__


async def test_a_claim_that_is_too_large_itself() -> None:
    """A limit that no claim fits into refuses it."""
    claim_check = FakeClaimCheck()
    limits = BatchLimits(max_entry_bytes=10)

    with pytest.raises(MessagePublishError, match="17 bytes, which is more than 10"):
        await make_entries(
            [make_message("a")],
            make_entry,
            limits=limits,
            claim_check=cast("S3ClaimCheck", claim_check),
        )


async def test_no_messages() -> None:
    """There are no entries."""
    assert [] == await make(claim_check=FakeClaimCheck())
