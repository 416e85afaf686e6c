"""Callers that wait for a bookmark to move, woken by the runners of the same event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from castore_core import (
    LOG_START,
    Aggregate,
    BookmarkStorageAdapter,
    LogPosition,
    ParkedEvent,
)
from castore_projections._identity import Identity
from castore_projections._keys import find_partition
from castore_projections._parking import iter_parked
from castore_projections._partition import Partition
from castore_projections._source import Source
from castore_projections.errors import EventParkedError, ProjectionWaitTimeoutError

_FIRST_PAUSE: Final = 0.01  # seconds
_LONGEST_PAUSE: Final = 0.25
_MARGIN: Final = 1.0  # seconds, for a storage that does not answer


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
    identity: Identity,
    event: Aggregate,
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
    wait = _Wait(identity, place, bookmarks, partitions)
    limit = asyncio.timeout(timeout + _MARGIN)
    try:
        async with limit:
            position = await _find_position(source, event, event_store_id)
            if await _wait_until(lambda: wait.has_come(position), waiters, timeout):
                return position or LOG_START
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProjectionWaitTimeoutError(identity.name, *place, timeout) from error
    raise ProjectionWaitTimeoutError(identity.name, *place, timeout)


class _Wait:
    """Looks whether a projection has handled an event: by its log, or by messages."""

    def __init__(
        self,
        identity: Identity,
        place: tuple[str, str, int],
        bookmarks: BookmarkStorageAdapter[Any],
        partitions: list[Partition],
    ) -> None:
        self._name = identity.name
        self._place = place
        self._bookmarks = bookmarks
        self._partition_id = partitions[find_partition(*place[:2], len(partitions))].bookmark_id
        self._aggregate_id = identity.get_aggregate_id(*place[:2])

    async def has_come(self, position: LogPosition | None) -> bool:
        """Tell whether the event is handled; ``position`` is that in the log, if there is one.

        Raises:
            EventParkedError: it is parked.
        """
        if position is not None:
            last = (await self._bookmarks.get_bookmark(self._partition_id)).position
            if last is not None:
                return last >= position and not await self._is_retried(position)
        bookmark = await self._bookmarks.get_bookmark(self._aggregate_id)
        return int(bookmark.position or 0) >= self._place[2]

    async def _is_retried(self, position: LogPosition) -> bool:
        """Tell whether the event is parked, and about to be tried again."""
        earlier: ParkedEvent | None = None
        async for each in iter_parked(self._bookmarks, self._partition_id):
            if (each.event_store_id, each.aggregate_id) != self._place[:2]:
                continue
            if each.failure is not None:
                earlier = earlier or each
            if each.position == position:
                if earlier is None:
                    return True
                kind = None if each.failure is None else each.failure.kind
                raise EventParkedError(self._name, *self._place, kind)
        return False


async def _wait_until(
    check: Callable[[], Awaitable[bool]], waiters: Waiters, seconds: float
) -> bool:
    """Wait until a check holds, and tell whether it does before the time is over."""
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + seconds, _FIRST_PAUSE
    while not await check():
        left = deadline - clock()
        if left <= 0:
            return False
        await waiters.wait(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
    return True


async def _find_position(
    source: Source, event: Aggregate, event_store_id: str
) -> LogPosition | None:
    """Return the position of an event, or ``None`` where there is no log."""
    log = source.find_log()
    if log is None:
        return None
    position = await log.find_position(event_store_id, event.aggregate_id, event.version)
    if position is None:
        raise ValueError(
            f"event store {event_store_id!r} has no event {event.version} of aggregate "
            f"{event.aggregate_id!r}"
        )
    return position
