"""Group commit: what is pushed while a commit is under way shares the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

W = TypeVar("W")
Outcome: TypeAlias = Exception | None
"""What became of a write: nothing to say, or the error of this write alone."""

_MOST_AT_ONCE = 512


class GroupCommit(Generic[W]):
    """Gathers the writes of one event loop, and hands them over together.

    Args:
        commit: writes a number of writes, durably when it returns, and says what became of each,
            whatever that is: it does not raise.
    """

    def __init__(self, commit: Callable[[Sequence[W]], Awaitable[Sequence[Outcome]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[W, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, write: W) -> None:
        """Hand a write over, and return when it is durable, or raise what became of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((write, future))
        if self._task is None:
            self._task = loop.create_task(self._commit_all())
        await future

    async def _commit_all(self) -> None:
        batch: list[tuple[W, asyncio.Future[None]]] = []
        try:
            while batch := self._take_batch():
                await self._commit_batch(batch)
                # Those who were just answered write again before the next batch is closed.
                await asyncio.sleep(0)
        finally:
            self._task = None
            for _, future in (*batch, *self._waiting):
                future.cancel()
            self._waiting = []

    def _take_batch(self) -> list[tuple[W, asyncio.Future[None]]]:
        wanted = [each for each in self._waiting if not each[1].cancelled()]
        self._waiting = wanted[_MOST_AT_ONCE:]
        return wanted[:_MOST_AT_ONCE]

    async def _commit_batch(self, batch: Sequence[tuple[W, asyncio.Future[None]]]) -> None:
        outcomes = await self._commit([write for write, _ in batch])
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.cancelled():
                continue
            if outcome is None:
                future.set_result(None)
            else:
                future.set_exception(outcome)
