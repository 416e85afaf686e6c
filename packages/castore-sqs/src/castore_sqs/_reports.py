"""What a worker tells of its work: to the user's hook, and to the log."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from castore_sqs._received import SQSMessageContext

_logger = logging.getLogger("castore_sqs")


@dataclass(frozen=True)
class MessagesReceived:
    """The queue answered with so many messages, or with 0."""

    count: int


@dataclass(frozen=True)
class MessageHandled:
    """The handler returned, after ``duration`` seconds. The message is deleted next."""

    context: SQSMessageContext
    duration: float


@dataclass(frozen=True)
class MessageFailed:
    """The handler raised ``error``, after ``duration`` seconds. The message will come again."""

    context: SQSMessageContext
    error: BaseException
    duration: float


@dataclass(frozen=True)
class MessageUnreadable:
    """The message is none of the channel, or its claim check did not answer. It will come again."""

    message_id: str
    attempt: int
    error: BaseException


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
    """The message may be handed out to others, although the worker has it in hand.

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
    | MessageUnreadable
    | MessageReturned
    | DeleteFailed
    | HeartbeatFailed
    | VisibilityLost
    | ReceiveFailed
)

ReportHook: TypeAlias = Callable[[WorkerReport], object]


class Reporter:
    """Logs what went wrong, and tells the hook everything."""

    def __init__(self, hook: ReportHook | None) -> None:
        self._hook = hook

    def tell(self, report: WorkerReport) -> None:
        """Tell a report. What the hook raises is logged, and stops nothing."""
        _log(report)
        if self._hook is None:
            return
        try:
            self._hook(report)
        except Exception:
            _logger.exception("the hook for reports raised on %r", report)


def _log(report: WorkerReport) -> None:
    match report:
        case MessageFailed(context, error):
            place = context.message_id, context.attempt
            _logger.error("message %s was not handled (attempt %d)", *place, exc_info=error)
        case MessageUnreadable(message_id, attempt, error):
            place = message_id, attempt
            _logger.error("message %s was not read (attempt %d)", *place, exc_info=error)
        case DeleteFailed(message_id, reason):
            _logger.warning("message %s was handled, but not deleted: %s", message_id, reason)
        case HeartbeatFailed(message_id, reason):
            _logger.warning("message %s was not hidden for longer: %s", message_id, reason)
        case VisibilityLost(message_id, reason):
            _logger.warning("message %s is visible to others: %s", message_id, reason)
        case ReceiveFailed(error, failures, delay):
            _logger.warning("receiving failed (%d), next in %.1f s: %s", failures, delay, error)
        case MessagesReceived() | MessageHandled() | MessageReturned():
            return
