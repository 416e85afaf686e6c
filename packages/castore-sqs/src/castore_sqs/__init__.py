"""Messages of castore on SQS: a queue adapter, and what consumes its messages."""

from castore_core.workers import (
    HandlerGivenUp,
    HeartbeatFailed,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessageSkipped,
    MessagesReceived,
    MessageSubject,
    MessageTimedOut,
    MessageUnreadable,
    ReceiveFailed,
)
from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._context import SQSMessageContext
from castore_sqs._lambda import SQSHandler
from castore_sqs._options import RetryDelay
from castore_sqs._received import Handler, SQSMessage, SQSMessageParser
from castore_sqs._reports import DeleteFailed, ReportHook, VisibilityLost, WorkerReport
from castore_sqs._worker import SQSWorker

__all__ = [
    "DeleteFailed",
    "Handler",
    "HandlerGivenUp",
    "HeartbeatFailed",
    "MessageFailed",
    "MessageHandled",
    "MessageReturned",
    "MessageSkipped",
    "MessageSubject",
    "MessageTimedOut",
    "MessageUnreadable",
    "MessagesReceived",
    "ReceiveFailed",
    "ReportHook",
    "RetryDelay",
    "SQSHandler",
    "SQSMessage",
    "SQSMessageContext",
    "SQSMessageParser",
    "SQSMessageQueueAdapter",
    "SQSWorker",
    "VisibilityLost",
    "WorkerReport",
]
