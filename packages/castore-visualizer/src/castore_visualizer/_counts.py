"""The numbers of events of stores: counted once, and then only what came since."""

import asyncio
from collections import defaultdict

from castore_core import LOG_START, LogPosition, ReversibleEventLog


class EventCounts:
    """Counts the events of stores, and remembers up to where.

    The first count of a store may take as long as reading its log.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[LogPosition, int]] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    def knows(self, log: ReversibleEventLog, event_store_id: str) -> bool:
        """Tell whether a count needs no more than what came since the last one."""
        return (id(log), event_store_id) in self._known

    async def count(self, log: ReversibleEventLog, event_store_id: str) -> int:
        """Return how many events a store has."""
        key = (id(log), event_store_id)
        async with self._locks[id(log)]:
            position, number = self._known.get(key, (LOG_START, 0))
            # The end comes first: what is pushed meanwhile is counted next time, and not twice.
            end = await log.get_last_position()
            if end == position:
                return number
            number += await log.count_events([event_store_id], position)
            after_end = await log.count_events([event_store_id], end) if end else 0
            self._known[key] = (end, number - after_end)
            return number
