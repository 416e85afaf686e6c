"""Batches that make themselves: as large as the load, and never waited for."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from castore_core._cancellation import begin

T = TypeVar("T")


class NaturalBatches(Generic[T]):
    """Sends items at once; those that come while a batch is under way go with the next one.

    A full batch waits for nothing. ``send`` must not raise.
    """

    def __init__(self, send: Callable[[Sequence[T]], Coroutine[Any, Any, None]], size: int) -> None:
        self._send = send
        self._size = size
        self._waiting: list[T] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    def add(self, item: T) -> None:
        """Send an item, with the others that come in the same turn of the event loop."""
        self._waiting.append(item)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    async def drain(self) -> None:
        """Wait until nothing is left."""
        while self._waiting or self._under_way:
            await (asyncio.wait(self._under_way) if self._under_way else asyncio.sleep(0))

    async def cancel(self) -> None:
        """Send nothing more."""
        self._waiting.clear()
        for task in self._under_way:
            task.cancel()
        await self.drain()

    def _begin(self) -> None:
        self._is_scheduled = False
        while len(self._waiting) >= (1 if not self._under_way else self._size):
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            task = begin(self._send(batch))
            self._under_way.add(task)
            task.add_done_callback(self._go_on)

    def _go_on(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()
