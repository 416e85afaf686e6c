"""Messages of castore on Redis Streams and Pub/Sub, bookmarks and snapshots in Redis."""

from castore_redis._bookmarks import RedisBookmarkStorageAdapter
from castore_redis._bus import RedisMessageBusAdapter
from castore_redis._bus_listener import RedisBusContext, RedisBusListener, RegisterHandler
from castore_redis._listener_reports import (
    ConnectionLost,
    HandlerFailed,
    ListenerHook,
    ListenerReport,
    MessageNotRead,
    MessagesMissed,
)
from castore_redis._listening import ListenOptions, RedisBusSubscription, listen
from castore_redis._snapshots import RedisSnapshotStorageAdapter

__all__ = [
    "ConnectionLost",
    "HandlerFailed",
    "ListenOptions",
    "ListenerHook",
    "ListenerReport",
    "MessageNotRead",
    "MessagesMissed",
    "RedisBookmarkStorageAdapter",
    "RedisBusContext",
    "RedisBusListener",
    "RedisBusSubscription",
    "RedisMessageBusAdapter",
    "RedisSnapshotStorageAdapter",
    "RegisterHandler",
    "listen",
]
