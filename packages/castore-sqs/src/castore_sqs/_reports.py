"""Reports of a worker, for the user's hook and for the log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from castore_sqs._context import SQSMessageContext
from castore_sqs._subjects import MessageSubject


@dataclass(frozen=True)
class MessagesReceived:
    """The queue answered with so many messages, or with 0."""

    count: int


@dataclass(frozen=True)
class MessageHandled:
    """The handler returned, after ``duration`` seconds. The message is deleted next."""

    context: SQSMessageContext
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageFailed:
    """The handler raised ``error``, after ``duration`` seconds. The message will come again.

    The error is not part of the ``repr``: its text may hold values of the payload.
    """

    context: SQSMessageContext
    error: BaseException = field(repr=False)
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageTimedOut:
    """The handler took longer than its timeout, and was cancelled. The message will come again.

    ``error`` is what the handler raised then. Its traceback shows what the handler waited for.
    """

    context: SQSMessageContext
    duration: float
    subject: MessageSubject | None = None
    error: BaseException | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HandlerGivenUp:
    """The handler still runs, after it was cancelled, and the worker goes on without it.

    It swallows its cancellation, or it is a plain function: a thread cannot be cancelled. Its
    message may be handled again while it runs. Another report tells of the message:
    `MessageTimedOut`, or `MessageReturned` when the worker was stopped.
    """

    context: SQSMessageContext
    duration: float
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageUnreadable:
    """The message is none of the channel, or its claim check did not answer. It will come again.

    The error is not part of the ``repr``: its text may hold values of the payload. The ``subject``
    is there where the error tells it.
    """

    message_id: str
    attempt: int
    error: BaseException = field(repr=False)
    subject: MessageSubject | None = None


@dataclass(frozen=True)
class MessageSkipped:
    """The channel skips the type of the message's event. The message is deleted next, unhandled."""

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
class DeleteFailed:
    """The message was handled, and could not be deleted. It will come again."""

    message_id: str
    reason: str


@dataclass(frozen=True)
class HeartbeatFailed:
    """The message could not be hidden for longer; that is tried again while there is time."""

    message_id: str
    reason: str


@dataclass(frozen=True)
class VisibilityLost:
    """The message may be handed out to others, although the worker has it in flight.

    Where its handler runs, that goes on. Otherwise the message is left to others.
    """

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


WorkerReport: TypeAlias = (
    MessagesReceived
    | MessageHandled
    | MessageFailed
    | MessageTimedOut
    | HandlerGivenUp
    | MessageUnreadable
    | MessageSkipped
    | MessageReturned
    | DeleteFailed
    | HeartbeatFailed
    | VisibilityLost
    | ReceiveFailed
)

ReportHook: TypeAlias = Callable[[WorkerReport], object]
