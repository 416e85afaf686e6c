"""Reports of workers that read a queue, for the user's hook and for the log."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from castore_core._workers.subjects import MessageSubject


class MessageContext(Protocol):
    """The facts about a delivery that every worker gives to a handler, beside the message."""

    @property
    def message_id(self) -> str:
        """The id that the queue gave to the message."""
        ...

    @property
    def attempt(self) -> int:
        """How often the queue handed the message out, this time included."""
        ...


C_co = TypeVar("C_co", bound=MessageContext, covariant=True)


@dataclass(frozen=True)
class MessagesReceived:
    """The queue answered with so many messages, or with 0."""

    count: int


@dataclass(frozen=True)
class MessageHandled(Generic[C_co]):
    """The handler returned, after ``duration`` seconds. The message is taken off the queue next."""

    context: C_co
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageFailed(Generic[C_co]):
    """The handler raised ``error``, after ``duration`` seconds. The message will come again.

    The error is not part of the ``repr``: its text may hold values of the payload.
    """

    context: C_co
    error: BaseException = field(repr=False)
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageTimedOut(Generic[C_co]):
    """The handler took longer than its timeout, and was cancelled. The message will come again.

    ``error`` is what the handler raised then. Its traceback shows what the handler waited for.
    """

    context: C_co
    duration: float
    subject: MessageSubject | None = None
    error: BaseException | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HandlerGivenUp(Generic[C_co]):
    """The handler still runs, after it was cancelled, and the worker goes on without it.

    It swallows its cancellation, or it is a plain function: a thread cannot be cancelled. Its
    message may be handled again while it runs. Another report tells of the message:
    `MessageTimedOut`, or `MessageReturned` when the worker was stopped.
    """

    context: C_co
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageUnreadable:
    """The message is none of the channel, or its body could not be fetched. It will come again.

    The error is not part of the ``repr``: its text may hold values of the payload. The ``subject``
    is there where the error tells it.
    """

    message_id: str
    attempt: int
    error: BaseException = field(repr=False)
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageSkipped:
    """The channel skips the type of the message's event.

    The message is taken off the queue next, unhandled.
    """

    message_id: str
    attempt: int
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageReturned:
    """The message was returned to the queue unhandled, or before its handler was through.

    It followed a message of its group that failed, or the worker was stopped.
    """

    message_id: str


@dataclass(frozen=True)
class HeartbeatFailed:
    """The message could not be kept from others for longer; that is tried again in time."""

    message_id: str
    reason: str


@dataclass(frozen=True)
class ReceiveFailed:
    """The queue did not answer; it is asked again after ``delay`` seconds.

    ``failures`` counts from 1 how often that happened since its last answer.
    """

    error: Exception
    failures: int
    delay: float
