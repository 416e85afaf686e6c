"""Messages become entries, or are set aside with the reason, each by itself."""

import asyncio
import json
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from castore_aws import BatchLimits, Entry, S3ClaimCheck, Unsent, make_entries
from castore_core import MessageRecord

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
    if message.aggregate_id == "worse":
        raise KeyError(text)
    return Entry(message, {"Body": text}, len(text.encode()), message.aggregate_id)


async def make(*messages: MessageRecord, claim_check: Any = None) -> list[Entry | Unsent]:
    """Make entries of messages."""
    check = cast("S3ClaimCheck | None", claim_check)
    return await make_entries(messages, make_entry, limits=LIMITS, claim_check=check)


async def make_all(*messages: MessageRecord, claim_check: Any = None) -> list[Entry]:
    """Make entries of messages that can all be sent."""
    entries = await make(*messages, claim_check=claim_check)
    return [each for each in entries if isinstance(each, Entry)]


async def refuse(message: MessageRecord, claim_check: Any = None) -> Unsent:
    """Make entries of a message that is not sent, and of others around it that are."""
    first, refused, last = await make(
        make_message("first"), message, make_message("last"), claim_check=claim_check
    )
    assert isinstance(first, Entry)
    assert isinstance(last, Entry)
    assert isinstance(refused, Unsent)
    assert message is refused.message
    return refused


async def test_the_text_is_the_body_as_javascript_writes_it() -> None:
    """Without spaces."""
    (entry,) = await make_all(make_message("a", "é"))

    assert {"Body": '{"text":"é"}'} == entry.parameters


async def test_too_large_a_message_is_not_sent() -> None:
    """The limit is inclusive; the reason has the size, and what to do."""
    assert 40 == (await make_all(make_message("a", "x" * 29)))[0].size

    refused = await refuse(make_message("a", "x" * 30))

    assert "it has 41 bytes, which is more than 40; a claim_check takes larger ones" in (
        refused.reason
    )
    assert refused.reason == str(refused.error)


async def test_each_message_that_cannot_be_sent_has_its_reason() -> None:
    """All others become entries."""
    names = "a", "bad", "b", "c", "worse"

    entries = await make(*(make_message(each, "x" * 30 * (each == "c")) for each in names))

    assert ["a", "b"] == [each.message.aggregate_id for each in entries if isinstance(each, Entry)]
    reasons = {
        each.message.aggregate_id: each.reason for each in entries if isinstance(each, Unsent)
    }
    assert ["bad", "c", "worse"] == list(reasons)
    assert "it has a bad name" == reasons["bad"]
    assert "41 bytes" in reasons["c"]
    assert "KeyError" == reasons["worse"]  # what it says may be of the payload


@pytest.mark.parametrize("text", ["\udc80", "hunter2 \ud800"])
async def test_text_that_cannot_be_written(text: str) -> None:
    """The reason does not quote it."""
    refused = await refuse(make_message("a", text))

    assert "it has text that is not well-formed Unicode" == refused.reason


@pytest.mark.parametrize("name", ["bad", "worse", "too large"])
async def test_nothing_waits_for_what_can_never_be_sent(name: str) -> None:
    """Later messages of its group go."""
    refused = await refuse(make_message(name, "x" * 30 * (name == "too large")))

    assert refused.group is None


async def test_large_bodies_go_to_the_claim_check() -> None:
    """Side by side; the small ones stay, and all keep their places."""
    claim_check = FakeClaimCheck()
    messages = [make_message(each, "x" * 30 * (each != "b")) for each in "abc"]

    entries = await make_all(*messages, claim_check=claim_check)

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


async def test_the_claim_check_takes_what_is_beside_a_message_that_cannot_be_sent() -> None:
    """The claim check keeps the body of the sendable message, and not that of the other."""
    claim_check = FakeClaimCheck()

    entries = await make(
        make_message("a", "x" * 30), make_message("bad", "y" * 30), claim_check=claim_check
    )

    assert [Entry, Unsent] == [type(each) for each in entries]
    assert ['{"text":"' + "x" * 30 + '"}'] == claim_check.kept


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("expired")], ids=repr)
async def test_a_claim_check_that_fails(failure: Exception) -> None:
    """The message may be sent another time: what comes after it in its group waits for it."""
    refused = await refuse(make_message("b", "x" * 30), FakeClaimCheck(failure))

    assert f"the claim check failed: {type(failure).__name__}" in refused.reason
    assert failure is refused.error
    assert "b" == refused.group


async def test_a_body_that_the_claim_check_never_takes() -> None:
    """It says itself why, and nothing waits for it."""
    refusal = ValueError("its body has 9 bytes, and the claim check takes 8")

    refused = await refuse(make_message("b", "x" * 30), FakeClaimCheck(refusal))

    assert (str(refusal), None) == (refused.reason, refused.group)


async def test_a_claim_that_is_too_large_itself() -> None:
    """A limit that no claim fits into refuses it."""
    (refused,) = await make_entries(
        [make_message("a")],
        make_entry,
        limits=BatchLimits(max_entry_bytes=10),
        claim_check=cast("S3ClaimCheck", FakeClaimCheck()),
    )

    assert isinstance(refused, Unsent)
    assert "17 bytes, which is more than 10" in refused.reason


async def test_no_messages() -> None:
    """There are no entries."""
    assert [] == await make(claim_check=FakeClaimCheck())


async def test_entries_do_not_show_their_bodies() -> None:
    """Nor do those that are not sent: reprs are logged."""
    entry, refused = await make(make_message("a", "hunter2"), make_message("b", "hunter2" * 9))

    assert "Entry('STORE', 'a', 1, size=18)" == repr(entry)
    assert "Unsent('STORE', 'b', 1, 'it has 74 bytes, which" in repr(refused)
    assert "hunter2" not in f"{entry!r} {refused!r}"
