"""Callers that wait for a bookmark to move, woken by the runners of the same event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from castore_core import LOG_START, BookmarkStorageAdapter, Event, LogPosition, ParkedEvent
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
    number = find_partition(event_store_id, event.aggregate_id, len(partitions))
    bookmark_id = partitions[number].bookmark_id
    place = event_store_id, event.aggregate_id, event.version

    async def has_come(position: LogPosition | None) -> bool:
        if position is not None:
            last = (await bookmarks.get_bookmark(bookmark_id)).position
            if last is not None:
                return last >= position
        aggregate_id = identity.get_aggregate_id(event_store_id, event.aggregate_id)
        return int((await bookmarks.get_bookmark(aggregate_id)).position or 0) >= event.version

    limit = asyncio.timeout(timeout + _MARGIN)
    try:
        async with limit:
            position = await _find_position(source, event, event_store_id)
            await _wait_until(lambda: has_come(position), waiters, timeout)
            parked = await _find_parked(bookmarks, bookmark_id, position or LOG_START)
    except _TimeIsOverError:
        raise ProjectionWaitTimeoutError(identity.name, *place, timeout) from None
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise ProjectionWaitTimeoutError(identity.name, *place, timeout) from error
    if parked is not None:
        kind = None if parked.failure is None else parked.failure.kind
        raise EventParkedError(identity.name, *place, kind)
    return position or LOG_START


class _TimeIsOverError(Exception):
    """The wait did not end in time."""


async def _wait_until(
    check: Callable[[], Awaitable[bool]], waiters: Waiters, seconds: float
) -> None:
    clock = asyncio.get_running_loop().time
    deadline, pause = clock() + seconds, _FIRST_PAUSE
    while not await check():
        left = deadline - clock()
        if left <= 0:
            raise _TimeIsOverError
        await waiters.wait(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _find_position(source: Source, event: Event, event_store_id: str) -> LogPosition | None:
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


async def _find_parked(
    bookmarks: BookmarkStorageAdapter[Any], bookmark_id: str, position: LogPosition
) -> ParkedEvent | None:
    async for each in iter_parked(bookmarks, bookmark_id):
        if each.position >= position:
            return each if each.position == position else None
    return None
