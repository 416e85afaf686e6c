"""Callers that wait for a bookmark to move, woken by the runners of the same event loop."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from castore_core import BookmarkStorageAdapter, Event, LogPosition, ParkedEvent
from castore_projections._keys import find_partition
from castore_projections._parking import iter_parked
from castore_projections._partition import Partition
from castore_projections._source import Source
from castore_projections.errors import EventParkedError, ProjectionWaitTimeoutError

_FIRST_PAUSE: Final = 0.01  # seconds
_LONGEST_PAUSE: Final = 0.25


class Waiters:
    """Lets callers wait until something moved, or until some time has passed."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    async def wait(self, seconds: float) -> None:
        """Wait for the next call of `wake`, at most so many seconds."""
        future = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(future, seconds)
        finally:
            self._futures.discard(future)

    def wake(self) -> None:
        """Wake the callers of this event loop."""
        loop = asyncio.get_running_loop()
        for each in tuple(self._futures):
            if each.get_loop() is loop and not each.done():
                each.set_result(None)


async def wait_for_event(
    name: str,
    event: Event,
    event_store_id: str,
    *,
    source: Source,
    bookmarks: BookmarkStorageAdapter[Any],
    partitions: list[Partition],
    waiters: Waiters,
    timeout: float,  # noqa: ASYNC109 has its own error
) -> LogPosition:
    """Wait until a projection has handled an event, and return its position.

    Raises:
        ProjectionWaitTimeoutError: the time is over.
        EventParkedError: the event is parked.
        ValueError: it is not stored.
    """
    place = event_store_id, event.aggregate_id, event.version
    position = await source.get_log().find_position(*place)
    if position is None:
        raise ValueError(
            f"event store {event_store_id!r} has no event {event.version} of aggregate "
            f"{event.aggregate_id!r}"
        )
    number = find_partition(event_store_id, event.aggregate_id, len(partitions))
    bookmark_id = partitions[number].bookmark_id
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + timeout, _FIRST_PAUSE
    while ((await bookmarks.get_bookmark(bookmark_id)).position or "") < position:
        left = deadline - clock()
        if left <= 0:
            raise ProjectionWaitTimeoutError(name, *place, timeout)
        await waiters.wait(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
    parked = await _find_parked(bookmarks, bookmark_id, position)
    if parked is not None:
        kind = None if parked.failure is None else parked.failure.kind
        raise EventParkedError(name, *place, kind)
    return position


async def _find_parked(
    bookmarks: BookmarkStorageAdapter[Any], bookmark_id: str, position: LogPosition
) -> ParkedEvent | None:
    async for each in iter_parked(bookmarks, bookmark_id):
        if each.position >= position:
            return each if each.position == position else None
    return None
