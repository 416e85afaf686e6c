"""Adapters that keep what they have read: they miss what others write afterwards."""

from collections.abc import Sequence
from typing import Any

from castore_core import LOG_START, Bookmark, EventRecord, LogPosition, LogSlice

from .remote import Client, RemoteEvents
from .remote_logs import RemoteLog
from .remote_others import RemoteBookmarks, RemoteSnapshots


class EventsAreCached(RemoteEvents):
    """Reads the events of an aggregate once, until itself pushes one."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._events: dict[tuple[str, str, str], Any] = {}

    async def push_event_group(self, *arguments: Any, **options: Any) -> None:
        """Forget them."""
        self._events.clear()
        await super().push_event_group(*arguments, **options)

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Keep them, if there are any."""
        key = event_store_id, aggregate_id, repr(options)
        found = self._events.get(key) or await super().get_events(*key[:2], **options)
        self._events[key] = found
        return found


class EventsAreCachedByVersion(RemoteEvents):
    """Takes an event that it has read for final, though force may replace it."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._events: dict[tuple[str, str, int], EventRecord] = {}

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Keep each."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [self._events.setdefault((event_store_id, *each[:2]), each) for each in found]


class ListsAreCached(RemoteEvents):
    """Lists the aggregates of a store once, until itself pushes an event."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._lists: dict[tuple[str, str], Any] = {}

    async def push_event_group(self, *arguments: Any, **options: Any) -> None:
        """Forget them."""
        self._lists.clear()
        await super().push_event_group(*arguments, **options)

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Keep them."""
        key = event_store_id, repr(options)
        if key not in self._lists:
            self._lists[key] = await super().list_aggregate_ids(event_store_id, **options)
        return self._lists[key]


class LogIsCached(RemoteLog):
    """Takes an entry that it has read for final, though force may replace its event."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._read: dict[LogPosition, LogSlice] = {}

    async def read_events(
        self, event_store_ids: Any = None, after: LogPosition = LOG_START, limit: int = 100
    ) -> LogSlice:
        """Keep it."""
        found = self._read.get(after) or await super().read_events(event_store_ids, after, limit)
        if found.entries:
            self._read[after] = found._replace(position=found.entries[-1].position)
        return found


class EndOfTheLogIsCached(RemoteLog):
    """Asks for the end of the log once."""

    _end: LogPosition | None = None

    async def get_last_position(self) -> LogPosition:
        """Keep it."""
        if self._end is None:
            self._end = await super().get_last_position()
        return self._end


class PositionsAreCached(RemoteLog):
    """Looks for the position of an event once, be it found or not."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._positions: dict[tuple[str, str, int], LogPosition | None] = {}

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Keep it."""
        key = event_store_id, aggregate_id, version
        if key not in self._positions:
            self._positions[key] = await super().find_position(*key)
        return self._positions[key]


class CountsAreCached(RemoteLog):
    """Counts the events of a log once."""

    _count: int | None = None

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Keep it."""
        if self._count is None:
            self._count = await super().count_events(event_store_ids, after)
        return self._count


class SnapshotsAreCached(RemoteSnapshots):
    """Reads a snapshot once."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._snapshots: dict[str, Any] = {}

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Keep it, if there is one."""
        key = repr((event_store_id, aggregate_id, options))
        if self._snapshots.get(key) is None:
            found = await super().get_snapshot(event_store_id, aggregate_id, **options)
            self._snapshots[key] = found
        return self._snapshots[key]


class BookmarksAreCached(RemoteBookmarks):
    """Reads a position once."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._bookmarks: dict[str, Bookmark] = {}

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Keep it, if there is one."""
        found = self._bookmarks.get(bookmark_id)
        if found is None or found.position is None:
            found = self._bookmarks[bookmark_id] = await super().get_bookmark(bookmark_id)
        return found
