"""Messages of castore on SQS: a queue adapter, and what consumes its messages."""

from castore_sqs._adapter import SQSMessageQueueAdapter
from castore_sqs._lambda import SQSHandler
from castore_sqs._lanes import RetryDelay
from castore_sqs._received import Handler, SQSMessage, SQSMessageContext, SQSMessageParser
from castore_sqs._reports import (
    DeleteFailed,
    HeartbeatFailed,
    MessageFailed,
    MessageHandled,
    MessageReturned,
    MessagesReceived,
    MessageUnreadable,
    ReceiveFailed,
    ReportHook,
    VisibilityLost,
    WorkerReport,
)
from castore_sqs._worker import SQSWorker

__all__ = [
    "DeleteFailed",
    "Handler",
    "HeartbeatFailed",
    "MessageFailed",
    "MessageHandled",
    "MessageReturned",
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
