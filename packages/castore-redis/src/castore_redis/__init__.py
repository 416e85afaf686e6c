"""Messages of castore on Redis Streams and Pub/Sub, bookmarks and snapshots in Redis."""

from castore_redis._bookmarks import RedisBookmarkStorageAdapter
from castore_redis._bus import RedisMessageBusAdapter
from castore_redis._snapshots import RedisSnapshotStorageAdapter

__all__ = [
    "RedisBookmarkStorageAdapter",
    "RedisMessageBusAdapter",
    "RedisSnapshotStorageAdapter",
]
