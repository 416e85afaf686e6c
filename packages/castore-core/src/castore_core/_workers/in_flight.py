"""The messages that a worker has in flight, and how many more it may take."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class InFlight(Generic[T]):
    """All that was received, and is neither deleted nor left to the queue again."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._reserved = 0
        self._deliveries: set[T] = set()
        self._is_closed = False
        self._has_changed = asyncio.Event()

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._deliveries))

    def __contains__(self, delivery: object) -> bool:
        return delivery in self._deliveries

    async def reserve(self, most: int) -> int:
        """Wait for room, and keep it for what is about to be received: 0 when closed."""
        while not self._is_closed:
            room = self._capacity - self._reserved - len(self._deliveries)
            if room > 0:
                self._reserved += (reserved := min(room, most))
                return reserved
            self._has_changed.clear()
            await self._has_changed.wait()
        return 0

    def take(self, deliveries: Iterable[T], reserved: int) -> None:
        """Keep what was received, and give up what was reserved for it."""
        self._reserved -= reserved
        self._deliveries.update(deliveries)
        self._has_changed.set()

    def drop(self, delivery: T) -> None:
        """Forget a message."""
        self._deliveries.discard(delivery)
        self._has_changed.set()

    def close(self) -> None:
        """Reserve nothing any more."""
        self._is_closed = True
        self._has_changed.set()
