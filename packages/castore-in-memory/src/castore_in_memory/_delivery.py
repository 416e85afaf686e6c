"""Messages on their way through an in-memory channel, and how often they are tried."""

import math
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias, TypedDict, TypeVar

from castore_core import MessageRecord, check_json, copy_json

M = TypeVar("M")

Sleep: TypeAlias = Callable[[float], Awaitable[object]]


@dataclass(frozen=True)
class MessageContext:
    """What a worker or a listener is told beside the message.

    ``attempt`` counts from 1, and ``retries_left`` down to 0. ``replay`` is the flag that the
    message was published with, and ``headers`` are what it carries beside its body.
    """

    attempt: int
    retries_left: int
    replay: bool
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler: TypeAlias = Callable[[M, MessageContext], Awaitable[object] | None]


class PendingMessage(NamedTuple):
    """A message that was taken, and is neither handled nor a dead letter yet."""

    message: MessageRecord
    replay: bool


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be handled.

    ``error`` is the one of the last of the ``attempts``. A message that is none of the channel is
    never handed out: it had 0 attempts, and ``error`` is that of the parser. ``handler`` is the
    worker or the listener. To try again, publish ``message`` to the adapter again.

    ``on_dead_letter`` sees the error with its traceback. When the hook is through, the error, and
    those behind it, lose their tracebacks, which would keep all locals of the handler in memory.
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
    - ``retry_delay``: seconds before the first retry, 0 or more; 0.1 by default. Castore
      (TypeScript) waits for 30.
    - ``retry_backoff_rate``: by which factor each delay is longer than the one before it, 1 or
      more; 2 by default.
    - ``max_dead_letters``: how many dead letters are kept, 0 or more; 1,000 by default. More drop
      the oldest: ``dropped_dead_letters`` counts them.
    - ``on_dead_letter``: called (and awaited, if need be) with each dead letter. Its errors are
      logged.
    - ``sleep``: a coroutine function that waits for some seconds; `asyncio.sleep` by default.
      Tests give one of their own. When it fails, the retry comes at once.
    """

    retry_attempts: int
    retry_delay: float
    retry_backoff_rate: float
    max_dead_letters: int
    on_dead_letter: DeadLetterHook | None
    sleep: Sleep


class Letter(NamedTuple):
    """A message as it was published.

    ``number`` is its place in the channel's order. ``context`` is a copy of the context variables
    of its publisher; its handlers see those, and not the ones of another message.
    """

    number: int
    message: MessageRecord
    replay: bool
    context: Context

    @classmethod
    def seal(cls, number: int, message: MessageRecord, *, replay: bool) -> Self:
        """Copy a message, so that it is delivered as it was published.

        Raises:
            NotJSONError: the body is not made of JSON values.
        """
        check_json(message.body, "body")
        return cls(number, _copy(message), replay, copy_context())

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
        check_count("retry_attempts", self.attempts)
        check_at_least(0, "retry_delay", self.delay)
        check_at_least(1, "retry_backoff_rate", self.backoff_rate)
        try:
            _ = float(self.backoff_rate) ** self.attempts
        except OverflowError:
            raise ValueError("retry_backoff_rate is too great for so many retries") from None

    async def wait_after(self, attempt: int) -> None:
        """Wait between a failed attempt, counted from 1, and the next one."""
        await self.sleep(self.delay * self.backoff_rate ** (attempt - 1))


def describe_message(message: MessageRecord) -> str:
    """Return the ids of a message, for a log or an error."""
    version = "" if message.version is None else f"version {message.version} of "
    place = f"aggregate {message.aggregate_id!r} in event store {message.event_store_id!r}"
    return f"{message.type}, {version}{place}"


def check_at_least(minimum: int, name: str, value: float) -> None:
    """Refuse a number that is too small, infinite or not a number.

    Raises:
        ValueError: it is.
    """
    if not minimum <= value < math.inf:
        raise ValueError(f"{name} is not {minimum} or more: {value!r}")


def check_count(name: str, value: int) -> None:
    """Refuse anything but an integer from 0 on.

    Raises:
        ValueError: it is something else.
    """
    if type(value) is not int:
        raise ValueError(f"{name} is not an integer: {value!r}")
    check_at_least(0, name, value)


def _copy(message: MessageRecord) -> MessageRecord:
    return message._replace(body=copy_json(message.body), headers={**message.headers})
