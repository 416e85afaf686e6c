"""Reports of a worker, for the user's hook and for the log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from castore_core.workers import (
    HandlerGivenUp,
    HeartbeatFailed,
    LogWarning,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
)
from castore_sqs._context import SQSMessageContext


@dataclass(frozen=True)
class DeleteFailed:
    """The message was handled, and could not be deleted. It will come again."""

    message_id: str
    reason: str


@dataclass(frozen=True)
class VisibilityLost:
    """The message may be handed out to others, although the worker has it in flight.

    Where its handler runs, that goes on. Otherwise the message is left to others.
    """

    message_id: str
    reason: str


WorkerReport: TypeAlias = (
    MessagesReceived
    | MessageHandled[SQSMessageContext]
    | MessageFailed[SQSMessageContext]
    | MessageTimedOut[SQSMessageContext]
    | HandlerGivenUp[SQSMessageContext]
    | MessageUnreadable
    | MessageSkipped
    | MessageReturned
    | DeleteFailed
    | HeartbeatFailed
    | VisibilityLost
    | ReceiveFailed
)

ReportHook: TypeAlias = Callable[[WorkerReport], object]


def describe_report(report: object) -> LogWarning | None:
    """Return the warning for a report that only workers of SQS have."""
    match report:
        case DeleteFailed(message_id, reason):
            return "message %s was handled, but not deleted: %s", message_id, reason
        case VisibilityLost(message_id, reason):
            return "message %s is visible to others: %s", message_id, reason
        case _:
            return None
