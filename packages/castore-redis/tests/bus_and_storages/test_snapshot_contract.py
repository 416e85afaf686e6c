"""Snapshots in Redis and Valkey keep the contract."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_redis import RedisSnapshotStorageAdapter
from castore_test_tools import SnapshotStorageAdapterTests


class SnapshotContract(SnapshotStorageAdapterTests):
    """The fixtures."""

    works_in_several_event_loops = False  # neither does a client of redis-py
    works_in_several_event_loops_at_once = False
    other_names = ("ttl",)

    ttl: timedelta | None = None

    @pytest.fixture
    def adapter(self, redis: Redis, prefix: str) -> RedisSnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        return RedisSnapshotStorageAdapter(redis, key_prefix=prefix, ttl=self.ttl)

    @pytest.fixture
    def connect_again(self, redis: Redis, prefix: str) -> Callable[[], RedisSnapshotStorageAdapter]:
        """Return a function that makes another adapter of the same client."""
        return lambda: RedisSnapshotStorageAdapter(redis, key_prefix=prefix, ttl=self.ttl)

    @pytest.fixture
    def break_backend(self, break_connections: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that breaks the connections, and all later ones."""
        return break_connections


class TestRedisSnapshots(SnapshotContract):
    """Without a time to live."""


class TestRedisSnapshotsWithTTL(SnapshotContract):
    """With one that is longer than a test."""

    ttl = timedelta(minutes=10)
