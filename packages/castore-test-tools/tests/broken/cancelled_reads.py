"""Adapters whose reads go on when they are cancelled, as if nothing had happened."""

import asyncio
from typing import Any

from castore_core import LOG_START, Bookmark, LogPosition, LogSlice
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemorySnapshotStorageAdapter,
)


class CancelledReadIsEmpty(InMemoryEventStorageAdapter):
    """Takes a cancellation for a backend that has nothing."""

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return no events."""
        try:
            return await super().get_events(event_store_id, aggregate_id, **options)
        except asyncio.CancelledError:
            return []


class CancelledListIsReadAgain(InMemoryEventStorageAdapter):
    """Takes a cancellation for a failure, after which it tries again."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Try twice."""
        try:
            return await super().list_aggregate_ids(event_store_id, **options)
        except asyncio.CancelledError:
            return await super().list_aggregate_ids(event_store_id, **options)


class CancelledReadIsTheEnd(InMemoryEventStorageAdapter):
    """Takes a cancellation for the end of the log."""

    async def read_events(
        self, event_store_ids: Any = None, after: LogPosition = LOG_START, limit: int = 100
    ) -> LogSlice:
        """Return no entries."""
        try:
            return await super().read_events(event_store_ids, after, limit)
        except asyncio.CancelledError:
            return LogSlice([], after)


class CancelledReadIsNoSnapshot(InMemorySnapshotStorageAdapter):
    """Takes a cancellation for a cache that has nothing."""

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return none."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return None
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class CancelledReadIsNoBookmark(InMemoryBookmarkStorageAdapter):
    """Takes a cancellation for a bookmark that is not there."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return none."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return Bookmark(None)
        return await super().get_bookmark(bookmark_id)
