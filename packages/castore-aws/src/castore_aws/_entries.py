"""Messages as the entries of requests, and what is too large for one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from castore_aws._claim_check import S3ClaimCheck
from castore_aws._faults import AWS_ERRORS, describe_fault
from castore_core import MessagePublishError, MessageRecord, format_json

# As many as a client has connections. What waits for one spends the time of its retries.
_MOST_AT_ONCE: Final = 10


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """What AWS takes in one request: lower it to where your queue, bus or consumers are narrower.

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


MakeEntry: TypeAlias = Callable[[MessageRecord, str], Entry]
"""Makes the entry of a message and the text of its body; a `ValueError` says why there is none."""


async def make_entries(
    messages: Sequence[MessageRecord],
    make_entry: MakeEntry,
    *,
    limits: BatchLimits,
    claim_check: S3ClaimCheck | None,
) -> list[Entry]:
    """Return the entries of messages, the larger ones with their bodies in the claim check.

    Raises:
        MessagePublishError: a message is too large, or AWS takes none like it, or the claim check
            failed. It names all messages, because none was sent.
    """
    entries: list[Entry] = []
    errors: dict[int, Exception] = {}
    for index, message in enumerate(messages):
        try:
            entry = make_entry(message, format_json(message.body))
            entries.append(entry)
            if claim_check is None:
                _check_size(entry, limits)
        except ValueError as error:
            errors[index] = error
    if errors:
        _refuse(messages, errors)
    if claim_check is None:
        return entries
    return await _check_in(entries, make_entry, limits, claim_check)


async def _check_in(
    entries: list[Entry], make_entry: MakeEntry, limits: BatchLimits, claim_check: S3ClaimCheck
) -> list[Entry]:
    turns = asyncio.Semaphore(_MOST_AT_ONCE)

    async def replace(entry: Entry) -> Entry:
        async with turns:
            text = await claim_check.check_in(format_json(entry.message.body))
        small = make_entry(entry.message, text)
        _check_size(small, limits)
        return small

    large = [index for index, each in enumerate(entries) if each.size > limits.max_entry_bytes]
    replaced = await asyncio.gather(
        *(replace(entries[index]) for index in large), return_exceptions=True
    )
    errors: dict[int, Exception] = {}
    for index, result in zip(large, replaced, strict=True):
        if isinstance(result, Entry):
            entries[index] = result
            continue
        if not isinstance(result, Exception):
            raise result
        errors[index] = result
    if errors:
        _refuse([each.message for each in entries], errors)
    return entries


def _check_size(entry: Entry, limits: BatchLimits) -> None:
    if entry.size > limits.max_entry_bytes:
        raise ValueError(
            f"it has {entry.size} bytes, which is more than {limits.max_entry_bytes}; "
            f"a claim_check takes larger ones"
        )


def _refuse(messages: Sequence[MessageRecord], errors: Mapping[int, Exception]) -> NoReturn:
    other = "not sent, because another message that was published with it could not be"
    reasons = {index: _describe(error) for index, error in errors.items()}
    raise MessagePublishError(
        [(message, reasons.get(index, other)) for index, message in enumerate(messages)]
    ) from next(iter(errors.values()))


def _describe(error: Exception) -> str:
    if isinstance(error, ValueError) and not isinstance(error, AWS_ERRORS):
        return str(error)
    return f"the claim check failed: {describe_fault(error)}"
