"""Several things at once, whose results come in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def map_in_order(
    function: Callable[[T], Awaitable[R]], items: AsyncIterable[T], *, at_once: int
) -> AsyncGenerator[R]:
    """Call a function on each item, so many at once, and yield the results in their order.

    No more than ``at_once`` results wait to be taken. Close the generator when you leave it early:
    calls that run are cancelled then.
    """
    running: deque[asyncio.Task[R]] = deque()

    async def call(item: T) -> R:
        return await function(item)

    try:
        async for item in items:
            if len(running) == at_once:
                yield await running.popleft()
            running.append(asyncio.create_task(call(item)))
        while running:
            yield await running.popleft()
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
