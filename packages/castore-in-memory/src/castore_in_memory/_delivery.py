"""What travels in an in-memory channel, and how often it is tried."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias, TypedDict, TypeVar

from castore_core import MessageRecord, check_json, copy_json

M = TypeVar("M")

Sleep: TypeAlias = Callable[[float], Awaitable[object]]


@dataclass(frozen=True)
class MessageContext:
    """What a worker or a listener is told beside the message.

    ``attempt`` counts from 1, and ``retries_left`` down to 0. ``replay`` is the flag that the
    message was published with.
    """

    attempt: int
    retries_left: int
    replay: bool


Handler: TypeAlias = Callable[[M, MessageContext], Awaitable[object] | None]


class PendingMessage(NamedTuple):
    """A message that was taken, and is neither handled nor a dead letter yet."""

    message: MessageRecord
    replay: bool


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be handled.

    ``error`` is what the last of the ``attempts`` raised. A message that is none of the channel
    is never handed out: it had 0 attempts, and ``error`` is that of the parser. ``handler`` is the
    worker or the listener. To try again, publish ``message`` to the adapter again.
    """

    message: MessageRecord
    error: BaseException
    attempts: int
    replay: bool
    handler: Callable[..., object]


DeadLetterHook: TypeAlias = Callable[[DeadLetter], Awaitable[None] | None]


class DeliveryOptions(TypedDict, total=False):
    """How an in-memory channel goes on after a failure.

    - ``retry_attempts``: how many times a message is tried again, 0 or more; 2 by default.
    - ``retry_delay``: seconds before the first retry, 0 or more; 30 by default.
    - ``retry_backoff_rate``: by which factor each delay is longer than the one before it, 1 or
      more; 2 by default.
    - ``on_dead_letter``: called (and awaited, if need be) with each dead letter. What it raises
      goes to the exception handler of the event loop.
    - ``sleep``: what waits; `asyncio.sleep` by default. Tests give one of their own.
    """

    retry_attempts: int
    retry_delay: float
    retry_backoff_rate: float
    on_dead_letter: DeadLetterHook | None
    sleep: Sleep


class Letter(NamedTuple):
    """A message as it was published: ``number`` is its place in the channel's order."""

    number: int
    message: MessageRecord
    replay: bool

    @classmethod
    def seal(cls, number: int, message: MessageRecord, *, replay: bool) -> Self:
        """Copy a message, so that what is delivered is what was published.

        Raises:
            NotJSONError: the body is not made of JSON values.
        """
        check_json(message.body, "body")
        return cls(number, _copy(message), replay)

    def open(self) -> MessageRecord:
        """Return a copy of the message."""
        return _copy(self.message)


@dataclass(frozen=True)
class Retries:
    """How many retries a message has, and how long it waits for each."""

    attempts: int
    delay: float
    backoff_rate: float
    sleep: Sleep

    def __post_init__(self) -> None:
        if type(self.attempts) is not int:
            raise ValueError(f"retry_attempts is not an integer: {self.attempts!r}")
        _check_at_least(0, "retry_attempts", self.attempts)
        _check_at_least(0, "retry_delay", self.delay)
        _check_at_least(1, "retry_backoff_rate", self.backoff_rate)
        try:
            _ = float(self.backoff_rate) ** self.attempts
        except OverflowError:
            raise ValueError("retry_backoff_rate is too great for so many retries") from None

    async def wait_after(self, attempt: int) -> None:
        """Wait between a failed attempt, counted from 1, and the next one."""
        await self.sleep(self.delay * self.backoff_rate ** (attempt - 1))


def _copy(message: MessageRecord) -> MessageRecord:
    return message._replace(body=copy_json(message.body))


def _check_at_least(minimum: int, name: str, value: float) -> None:
    if not minimum <= value < math.inf:
        raise ValueError(f"{name} is not {minimum} or more: {value!r}")
