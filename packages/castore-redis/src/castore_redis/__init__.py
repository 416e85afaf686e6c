"""Messages of castore on Redis Streams and Pub/Sub, bookmarks and snapshots in Redis."""

from castore_redis._bookmarks import RedisBookmarkStorageAdapter

__all__ = ["RedisBookmarkStorageAdapter"]
