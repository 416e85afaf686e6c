"""Storages of snapshots and bookmarks that are given a client: sound ones, and broken ones."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from castore_core import (
    LOG_START,
    Bookmark,
    Lease,
    LogPosition,
    ParkedEvent,
    Snapshot,
    check_parked,
)
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemorySnapshotStorageAdapter
from castore_test_tools import BookmarkStorageAdapterTests, SnapshotStorageAdapterTests

from .remote import Client, ErrorsAreNotTranslated, Remote, RemoteHooks


class RemoteSnapshots(Remote):
    """Keeps snapshots on a server."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        await self.call(lambda server: server.put_snapshot(snapshot))

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return a snapshot."""
        return await self.call(
            lambda server: server.get_snapshot(event_store_id, aggregate_id, **options)
        )

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> Any:
        """Return reducer versions."""
        return await self.call(
            lambda server: server.get_reducer_versions(event_store_id, aggregate_id)
        )

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **bounds: Any
    ) -> None:
        """Forget snapshots."""
        await self.call(
            lambda server: server.delete_snapshots(event_store_id, aggregate_id, **bounds)
        )


class BookmarkServer(InMemoryBookmarkStorageAdapter):
    """Keeps bookmarks, and moves them in one call."""

    async def move(self, lease: Lease, position: LogPosition, **parking: Any) -> None:
        """Move a bookmark."""
        async with self.move_bookmark(lease, position, **parking):
            pass


class RemoteBookmarks(Remote):
    """Keeps bookmarks on a server."""

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark."""
        return await self.call(lambda server: server.get_bookmark(bookmark_id))

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark."""
        return await self.call(lambda server: server.create_bookmark(bookmark_id, position))

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Move a bookmark at the end of the block."""
        check_parked(parking.get("parked", ()), parking.get("unparked", ()))
        yield
        await self.call(lambda server: server.move(lease, position, **parking))

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take a lease."""
        return await self.call(lambda server: server.acquire_lease(bookmark_id, owner, duration))

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        await self.call(lambda server: server.release_lease(lease))

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> Sequence[ParkedEvent]:
        """Read parked events."""
        return await self.call(lambda server: server.get_parked_events(bookmark_id, after, limit))

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget failures."""
        await self.call(lambda server: server.retry_parked_events(bookmark_id, positions))

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events."""
        await self.call(lambda server: server.drop_parked_events(bookmark_id, positions))


class RemoteSnapshotsTests(RemoteHooks, SnapshotStorageAdapterTests):
    """Everything is declared."""

    adapter_class = RemoteSnapshots
    server_class = InMemorySnapshotStorageAdapter


class RemoteBookmarksTests(RemoteHooks, BookmarkStorageAdapterTests):
    """Everything is declared."""

    adapter_class = RemoteBookmarks
    server_class = BookmarkServer


class SnapshotErrorsAreNotTranslated(ErrorsAreNotTranslated, RemoteSnapshots):
    """A snapshot storage that does."""


class BookmarkErrorsAreNotTranslated(ErrorsAreNotTranslated, RemoteBookmarks):
    """A bookmark storage that does."""


class KeepsBookmarks(RemoteBookmarks):
    """Reads a position from where itself has moved the bookmark."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._moved: dict[str, LogPosition] = {}

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return what was kept."""
        found = await super().get_bookmark(bookmark_id)
        return found._replace(position=self._moved.get(bookmark_id) or found.position)

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Keep the position."""
        async with super().move_bookmark(lease, position, **parking):
            yield
        self._moved[lease.bookmark_id] = position


class ClosesItsClientOfSnapshots(RemoteSnapshots):
    """Closes what it was given."""

    def close(self) -> None:
        """Close."""
        self.client.close()


class ClosesItsClientOfBookmarks(RemoteBookmarks):
    """Closes what it was given."""

    def close(self) -> None:
        """Close."""
        self.client.close()
