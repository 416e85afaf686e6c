"""Bookmarks in Redis and Valkey keep the contract."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_redis import RedisBookmarkStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests


class TestRedisBookmarks(BookmarkStorageAdapterTests):
    """The contract, by both versions of the protocol."""

    works_in_several_event_loops = False  # neither does a client of redis-py
    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self, redis: Redis, prefix: str) -> RedisBookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        return RedisBookmarkStorageAdapter(redis, key_prefix=prefix)

    @pytest.fixture
    def connect_again(self, redis: Redis, prefix: str) -> Callable[[], RedisBookmarkStorageAdapter]:
        """Return a function that makes another adapter of the same client."""
        return lambda: RedisBookmarkStorageAdapter(redis, key_prefix=prefix)

    @pytest.fixture
    def break_backend(self, break_connections: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that breaks the connections, and all later ones."""
        return break_connections

    @pytest.fixture
    def join_transaction(self, reader: Redis, prefix: str) -> Any:
        """Return functions that write and read texts of a list."""

        def write(transaction: Any, text: str) -> None:
            transaction.rpush(f"{prefix}:texts", text)

        async def read() -> list[str]:
            texts: Any = reader.lrange(f"{prefix}:texts", 0, -1)
            return [each.decode() for each in await texts]

        return write, read
