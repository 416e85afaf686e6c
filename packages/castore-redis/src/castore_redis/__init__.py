"""Castore on Redis: a queue on Streams, a bus on Pub/Sub, bookmarks and snapshots."""

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
from castore_redis._bookmarks import RedisBookmarkStorageAdapter
from castore_redis._bus import RedisMessageBusAdapter
from castore_redis._bus_listener import RedisBusContext, RedisBusListener, RegisterHandler
from castore_redis._client import RedisClient
from castore_redis._context import RedisMessageContext
from castore_redis._lag import QueueLag
from castore_redis._listener_reports import (
    ConnectionLost,
    HandlerFailed,
    ListenerHook,
    ListenerReport,
    MessageNotRead,
    MessagesMissed,
)
from castore_redis._listening import ListenOptions, RedisBusSubscription, listen
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
from castore_redis._snapshots import RedisSnapshotStorageAdapter
from castore_redis._worker import Handler, RedisWorker

__all__ = [
    "AckFailed",
    "ConnectionLost",
    "GroupRecreated",
    "Handler",
    "HandlerFailed",
    "HandlerGivenUp",
    "HeartbeatFailed",
    "ListenOptions",
    "ListenerHook",
    "ListenerReport",
    "MessageDeadLettered",
    "MessageFailed",
    "MessageHandled",
    "MessageLost",
    "MessageNotRead",
    "MessageReturned",
    "MessageSkipped",
    "MessageSubject",
    "MessageTimedOut",
    "MessageUnreadable",
    "MessagesMissed",
    "MessagesReceived",
    "QueueLag",
    "ReceiveFailed",
    "RedisBookmarkStorageAdapter",
    "RedisBusContext",
    "RedisBusListener",
    "RedisBusSubscription",
    "RedisClient",
    "RedisMessageBusAdapter",
    "RedisMessageContext",
    "RedisMessageQueueAdapter",
    "RedisSnapshotStorageAdapter",
    "RedisWorker",
    "RegisterHandler",
    "ReportHook",
    "RetryDelay",
    "StreamLost",
    "StreamTaken",
    "WorkerReport",
    "listen",
]
