"""Adapters that serve several event loops at a time, and those that serve one after the other."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from threading import RLock
from typing import Any

from castore_core import Lease, LogPosition, check_parked
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemorySnapshotStorageAdapter,
)

_threads = RLock()


def guard(method: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    """Return a method that one thread runs at a time, to its end, before other tasks go on."""

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        call = method(*args, **kwargs)
        try:
            with _threads:
                while True:
                    call.send(None)
        except StopIteration as end:
            result = end.value
        await asyncio.sleep(0)
        return result

    return guarded


class ThreadSafeEvents(InMemoryEventStorageAdapter):
    """An event storage and an event log, whose waits are each in one event loop."""

    push_event = guard(InMemoryEventStorageAdapter.push_event)
    push_event_group = guard(InMemoryEventStorageAdapter.push_event_group)
    get_events = guard(InMemoryEventStorageAdapter.get_events)
    list_aggregate_ids = guard(InMemoryEventStorageAdapter.list_aggregate_ids)
    read_events = guard(InMemoryEventStorageAdapter.read_events)
    get_last_position = guard(InMemoryEventStorageAdapter.get_last_position)
    find_position = guard(InMemoryEventStorageAdapter.find_position)


class ThreadSafeSnapshots(InMemorySnapshotStorageAdapter):
    """A snapshot storage."""

    put_snapshot = guard(InMemorySnapshotStorageAdapter.put_snapshot)
    get_snapshot = guard(InMemorySnapshotStorageAdapter.get_snapshot)
    delete_snapshots = guard(InMemorySnapshotStorageAdapter.delete_snapshots)


class ThreadSafeBookmarks(InMemoryBookmarkStorageAdapter):
    """A bookmark storage."""

    get_bookmark = guard(InMemoryBookmarkStorageAdapter.get_bookmark)
    create_bookmark = guard(InMemoryBookmarkStorageAdapter.create_bookmark)
    acquire_lease = guard(InMemoryBookmarkStorageAdapter.acquire_lease)
    release_lease = guard(InMemoryBookmarkStorageAdapter.release_lease)
    get_parked_events = guard(InMemoryBookmarkStorageAdapter.get_parked_events)
    retry_parked_events = guard(InMemoryBookmarkStorageAdapter.retry_parked_events)
    drop_parked_events = guard(InMemoryBookmarkStorageAdapter.drop_parked_events)

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **parking: Any
    ) -> AsyncGenerator[None]:
        """Move at the end."""
        check_parked(parking.get("parked", ()), parking.get("unparked", ()))
        yield
        await self._move(lease, position, **parking)

    async def _enter_and_leave(self, lease: Lease, position: LogPosition, **parking: Any) -> None:
        async with super().move_bookmark(lease, position, **parking):
            pass

    _move = guard(_enter_and_leave)


class OneLoopAtATime:
    """Has a lock that belongs to the first event loop in which anybody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = asyncio.Lock()


class EventsOfOneLoopAtATime(OneLoopAtATime, ThreadSafeEvents):
    """An event storage with that lock."""

    async def push_event(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the lock."""
        async with self._lock:
            await super().push_event(*args, **kwargs)


class SnapshotsOfOneLoopAtATime(OneLoopAtATime, ThreadSafeSnapshots):
    """A snapshot storage with that lock."""

    async def put_snapshot(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the lock."""
        async with self._lock:
            await super().put_snapshot(*args, **kwargs)


class BookmarksOfOneLoopAtATime(OneLoopAtATime, ThreadSafeBookmarks):
    """A bookmark storage with that lock."""

    async def create_bookmark(self, *args: Any, **kwargs: Any) -> LogPosition:
        """Wait for the lock."""
        async with self._lock:
            return await super().create_bookmark(*args, **kwargs)


class LogOfOneLoopAtATime(OneLoopAtATime, ThreadSafeEvents):
    """An event log with that lock."""

    async def read_events(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the lock."""
        async with self._lock:
            return await super().read_events(*args, **kwargs)
