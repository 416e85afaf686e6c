"""Messages as the entries of requests, and what is too large for one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from castore_aws._claim_check import S3ClaimCheck
from castore_aws._faults import AWS_ERRORS, describe_fault
from castore_core import MessageRecord, format_json

# As many as a client has connections: waiting for one would use up the time of retries.
_MOST_AT_ONCE: Final = 10


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """The size of one request to AWS: lower it for a queue, a bus or consumers with lower limits.

    Args:
        max_entries: how many messages a request has at most, 1 to 10.
        max_entry_bytes: how large a message is at most, with what AWS counts beside its body. A
            larger one goes to the claim check, or is refused.
        max_batch_bytes: how large all the messages of a request are at most, together.
    """

    max_entries: int = 10
    max_entry_bytes: int = 1_048_576
    max_batch_bytes: int = 1_048_576

    def __post_init__(self) -> None:
        if not 1 <= self.max_entries <= 10:  # noqa: PLR2004 AWS's own limit
            raise ValueError(f"max_entries is not 1 to 10: {self.max_entries}")
        if not 1 <= self.max_entry_bytes <= self.max_batch_bytes:
            raise ValueError(f"max_entry_bytes is not 1 to max_batch_bytes: {self}")


class Entry(NamedTuple):
    """A message as a request has it.

    ``size`` is what AWS counts, in bytes. Those of one ``group`` keep their order; an entry
    without a group has none to keep.
    """

    message: MessageRecord
    parameters: dict[str, Any]
    size: int
    group: str | None = None

    def __repr__(self) -> str:
        return f"Entry({_name(self.message)}, size={self.size})"


class Unsent(NamedTuple):
    """A message that is not sent, and why.

    One with a ``group`` may be sent another time, and nothing of its group goes before it. One
    without can never be sent, and nothing waits for it.
    """

    message: MessageRecord
    reason: str
    error: Exception
    group: str | None = None

    def __repr__(self) -> str:
        return f"Unsent({_name(self.message)}, {self.reason!r:.200})"


MakeEntry: TypeAlias = Callable[[MessageRecord, str], Entry]
"""Makes the entry of a message and the text of its body; a `ValueError` says why there is none."""


async def make_entries(
    messages: Sequence[MessageRecord],
    make_entry: MakeEntry,
    *,
    limits: BatchLimits,
    claim_check: S3ClaimCheck | None,
) -> list[Entry | Unsent]:
    """Return the entries of messages in their order, the larger ones by way of the claim check.

    A message that is too large, or of a kind that AWS refuses, becomes `Unsent`; so does one whose
    body the claim check did not take. The others are not affected.
    """
    made = [_make(each, make_entry) for each in messages]
    turns = asyncio.Semaphore(_MOST_AT_ONCE)

    async def shrink(entry: Entry) -> Entry | Unsent:
        if claim_check is None:
            return _check_size(entry, limits)
        async with turns:
            claim = await _check_in(entry, make_entry, claim_check)
        return _check_size(claim, limits)

    large = {
        index: entry
        for index, entry in enumerate(made)
        if isinstance(entry, Entry) and entry.size > limits.max_entry_bytes
    }
    shrunk = await asyncio.gather(*map(shrink, large.values()))
    for index, entry in zip(large, shrunk, strict=True):
        made[index] = entry
    return made


def _make(message: MessageRecord, make_entry: MakeEntry, text: str | None = None) -> Entry | Unsent:
    try:
        return make_entry(message, format_json(message.body) if text is None else text)
    except Exception as error:  # noqa: BLE001 what is wrong with a message stops no other one
        return Unsent(message, _describe(error), error)


async def _check_in(
    entry: Entry, make_entry: MakeEntry, claim_check: S3ClaimCheck
) -> Entry | Unsent:
    message = entry.message
    try:
        text = await claim_check.check_in(format_json(message.body))
    except Exception as error:  # noqa: BLE001 credentials that are renewed raise what they like
        if _speaks_for_itself(error):
            return Unsent(message, str(error), error)
        reason = f"the claim check failed: {describe_fault(error)}"
        return Unsent(message, reason, error, entry.group)
    return _make(message, make_entry, text)


def _check_size(entry: Entry | Unsent, limits: BatchLimits) -> Entry | Unsent:
    if isinstance(entry, Unsent) or entry.size <= limits.max_entry_bytes:
        return entry
    reason = (
        f"it has {entry.size} bytes, which is more than {limits.max_entry_bytes}; "
        f"a claim_check takes larger ones"
    )
    return Unsent(entry.message, reason, ValueError(reason))


def _describe(error: Exception) -> str:
    """Return what is wrong with a message, and no value that it has."""
    if isinstance(error, UnicodeError):
        return "it has text that is not well-formed Unicode"
    return str(error) if _speaks_for_itself(error) else type(error).__name__


def _speaks_for_itself(error: Exception) -> bool:
    return isinstance(error, ValueError) and not isinstance(error, AWS_ERRORS)


def _name(message: MessageRecord) -> str:
    """Return what a message is about, and nothing of its body."""
    return f"{message.event_store_id!r:.100}, {message.aggregate_id!r:.100}, {message.version}"
