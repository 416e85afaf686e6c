"""Messages of castore on Redis Streams: a queue adapter, and the worker that handles messages."""

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
from castore_redis._adapter import RedisMessageQueueAdapter
from castore_redis._client import RedisClient
from castore_redis._context import RedisMessageContext
from castore_redis._lag import QueueLag
from castore_redis._options import RetryDelay
from castore_redis._reports import (
    AckFailed,
    GroupRecreated,
    MessageDeadLettered,
    MessageLost,
    ReportHook,
    StreamLost,
    StreamTaken,
    WorkerReport,
)
from castore_redis._worker import Handler, RedisWorker

__all__ = [
    "AckFailed",
    "GroupRecreated",
    "Handler",
    "HandlerGivenUp",
    "HeartbeatFailed",
    "MessageDeadLettered",
    "MessageFailed",
    "MessageHandled",
    "MessageLost",
    "MessageReturned",
    "MessageSkipped",
    "MessageSubject",
    "MessageTimedOut",
    "MessageUnreadable",
    "MessagesReceived",
    "QueueLag",
    "ReceiveFailed",
    "RedisClient",
    "RedisMessageContext",
    "RedisMessageQueueAdapter",
    "RedisWorker",
    "ReportHook",
    "RetryDelay",
    "StreamLost",
    "StreamTaken",
    "WorkerReport",
]
