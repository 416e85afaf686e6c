"""Places in a log that are near a moment: logs are in the order of pushes, not of timestamps."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from castore_core import EventStore, ListedAggregate, LogPosition, ReversibleEventLog
from castore_visualizer._storage_failures import attempt

_MARGIN: Final = 20
"""So many aggregates that began later lie between the moment and the place."""


async def find_places(
    logs: Iterable[tuple[ReversibleEventLog, list[str]]],
    stores: Mapping[str, EventStore],
    moment: datetime,
    patience: float,
) -> list[LogPosition | None]:
    """Return a place of each log, before which the events up to a moment are; ``None`` is the end.

    Aggregates are listed by the moments at which they began, and so lead to places quickly. Events
    that were pushed long after their timestamps may lie behind. A storage that fails, or does not
    answer for ``patience`` seconds, has its end.
    """
    places = await asyncio.gather(
        *(
            attempt(_find_first(log, [stores[each] for each in store_ids], moment), patience)
            for log, store_ids in logs
        )
    )
    # Reading the log tells of the error.
    return [None if isinstance(each, Exception) else each for each in places]


async def _find_first(
    log: ReversibleEventLog, stores: Iterable[EventStore], moment: datetime
) -> LogPosition | None:
    return _choose([await _find_place(log, each, moment) for each in stores])


async def _find_place(
    log: ReversibleEventLog, store: EventStore, moment: datetime
) -> LogPosition | None:
    page = await store.list_aggregate_ids(initial_event_after=moment, limit=_MARGIN)
    if len(page.aggregates) < _MARGIN:
        return None
    last: ListedAggregate = page.aggregates[-1]
    return await log.find_position(store.event_store_id, last.aggregate_id, 1)


def _choose(places: list[LogPosition | None]) -> LogPosition | None:
    """Return the first place that any store knows."""
    return min((each for each in places if each is not None), default=None)
