"""Messages of castore on Redis Streams: a queue adapter."""

from castore_redis._adapter import RedisMessageQueueAdapter
from castore_redis._client import RedisClient
from castore_redis._lag import QueueLag

__all__ = ["QueueLag", "RedisClient", "RedisMessageQueueAdapter"]
