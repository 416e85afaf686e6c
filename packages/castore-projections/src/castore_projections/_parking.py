"""The events of a partition that are parked, as its reader knows them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeAlias

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    LogEntry,
    LogPosition,
    ParkedEvent,
)

_Aggregate: TypeAlias = tuple[str, str]  # store, aggregate

PAGE_SIZE = 1000


class Parking:
    """Knows the parked events of a bookmark, and so which aggregates are held back.

    Only the reader that has the lease parks events. Others may retry or drop them at any time:
    `load` sees what they did. So no event that is parked is unknown here.
    """

    def __init__(self, bookmarks: BookmarkStorageAdapter[Any], bookmark_id: str) -> None:
        self._bookmarks = bookmarks
        self._bookmark_id = bookmark_id
        self._events: dict[_Aggregate, dict[LogPosition, ParkedEvent]] = {}
        self._aggregates: dict[LogPosition, _Aggregate] = {}

    def __len__(self) -> int:
        return len(self._aggregates)

    async def load(self) -> None:
        """Read all that are parked."""
        parked = [each async for each in iter_parked(self._bookmarks, self._bookmark_id)]
        self._events.clear()
        self._aggregates.clear()
        self.update(parked)

    def holds(self, entry: LogEntry) -> bool:
        """Tell whether an event has to wait behind a parked one of its aggregate."""
        return (entry.event_store_id, entry.record.aggregate_id) in self._events

    def update(
        self, parked: Iterable[ParkedEvent] = (), unparked: Iterable[LogPosition] = ()
    ) -> None:
        """Follow a move of the bookmark."""
        for position in unparked:
            aggregate = self._aggregates.pop(position)
            del self._events[aggregate][position]
            if not self._events[aggregate]:
                del self._events[aggregate]
        for each in parked:
            aggregate = (each.event_store_id, each.aggregate_id)
            self._aggregates[each.position] = aggregate
            self._events.setdefault(aggregate, {})[each.position] = each

    def get_ready(self) -> ParkedEvent | None:
        """Return an event that is the first of its aggregate, and that nothing holds back."""
        for events in self._events.values():
            first = events[min(events)]
            if first.failure is None:
                return first
        return None


async def iter_parked(
    bookmarks: BookmarkStorageAdapter[Any], bookmark_id: str
) -> AsyncIterator[ParkedEvent]:
    """Walk all parked events of a bookmark, in the order of the log."""
    position = LOG_START
    page: Sequence[ParkedEvent] | None = None
    while page is None or len(page) == PAGE_SIZE:
        page = await bookmarks.get_parked_events(bookmark_id, position, PAGE_SIZE)
        for each in page:
            yield each
            position = each.position
