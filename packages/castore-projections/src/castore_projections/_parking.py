"""The events of a partition that are parked, as its reader knows them."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, Final, TypeAlias

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    LogEntry,
    LogPosition,
    ParkedEvent,
    utc_now,
)

_Aggregate: TypeAlias = tuple[str, str]  # store, aggregate

_PAGE_SIZE: Final = 1000


class Parking:
    """Knows the parked events of a bookmark, and so which aggregates are held back.

    Only the reader that has the lease parks events. Others may retry or drop them at any time:
    `load` sees what they did. So no event that is parked is unknown here.

    Args:
        bookmarks: where the bookmark is.
        bookmark_id: the bookmark.
        retry_delay: returns the seconds after which an event is tried again by itself, from the
            number of its attempts. ``None`` stands for never.
    """

    def __init__(
        self,
        bookmarks: BookmarkStorageAdapter[Any],
        bookmark_id: str,
        retry_delay: Callable[[int], float] | None = None,
    ) -> None:
        self._bookmarks = bookmarks
        self._bookmark_id = bookmark_id
        self._retry_delay = retry_delay
        self._due: dict[LogPosition, float] = {}
        self._events: dict[_Aggregate, dict[LogPosition, ParkedEvent]] = {}
        self._aggregates: dict[LogPosition, _Aggregate] = {}

    def __len__(self) -> int:
        return len(self._aggregates)

    async def load(self) -> None:
        """Read all that are parked."""
        parked = [each async for each in iter_parked(self._bookmarks, self._bookmark_id)]
        self._events.clear()
        self._aggregates.clear()
        self._put(parked)
        self._due = {each: due for each, due in self._due.items() if each in self._aggregates}
        for each in parked:
            if each.position not in self._due:
                self._set_due(each, (utc_now() - each.parked_at).total_seconds())

    async def is_parked_still(self, parked: ParkedEvent) -> bool:
        """Look whether an event is parked in the storage, too: others may have dropped it."""
        before = max((each for each in self._aggregates if each < parked.position), default="")
        found = await self._bookmarks.get_parked_events(self._bookmark_id, before, 1)
        return bool(found) and found[0].position == parked.position

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
            self._due.pop(position, None)
        new = list(parked)
        self._put(new)
        for each in new:
            self._set_due(each)

    def _put(self, parked: Iterable[ParkedEvent]) -> None:
        for each in parked:
            aggregate = (each.event_store_id, each.aggregate_id)
            self._aggregates[each.position] = aggregate
            self._events.setdefault(aggregate, {})[each.position] = each

    def get_ready(self) -> ParkedEvent | None:
        """Return an event that is the first of its aggregate, and that nothing holds back."""
        return next((each for each in self._iter_first() if each.failure is None), None)

    def get_due(self) -> ParkedEvent | None:
        """Return an event that failed, and is to be tried again by itself."""
        if self._retry_delay is None:
            return None
        now = monotonic()
        return next((each for each in self._iter_first() if self._is_due(each, now)), None)

    def _iter_first(self) -> Iterator[ParkedEvent]:
        """Walk the first event of each aggregate: they were parked in the order of the log."""
        return (next(iter(each.values())) for each in self._events.values())

    def _is_due(self, parked: ParkedEvent, now: float) -> bool:
        return parked.failure is not None and self._due[parked.position] <= now

    def _set_due(self, parked: ParkedEvent, waited: float = 0.0) -> None:
        if self._retry_delay is not None and parked.failure is not None:
            delay = self._retry_delay(parked.attempts)
            self._due[parked.position] = monotonic() + delay - min(waited, delay)


async def iter_parked(
    bookmarks: BookmarkStorageAdapter[Any],
    bookmark_id: str,
    after: LogPosition = LOG_START,
    page_size: int = _PAGE_SIZE,
) -> AsyncIterator[ParkedEvent]:
    """Walk the parked events of a bookmark that follow a position, in the order of the log."""
    position = after
    page: Sequence[ParkedEvent] | None = None
    while page is None or len(page) == page_size:
        page = await bookmarks.get_parked_events(bookmark_id, position, page_size)
        for each in page:
            yield each
            position = each.position
