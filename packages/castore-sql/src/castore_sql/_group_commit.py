"""Group commit: pushes that come while a commit is under way share the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Generic, TypeAlias, TypeVar

from castore_core.telemetry import installed, note

W = TypeVar("W")


class NotYet(Enum):
    """A write that was handed over with others was not written: it is handed over again."""

    TOGETHER = auto()
    ALONE = auto()


Outcome: TypeAlias = Exception | NotYet | None
"""The outcome of a write: ``None`` if it is durable, its own error, or not yet."""

_Waiting: TypeAlias = tuple[W, asyncio.Future[None]]

_MOST_AT_ONCE = 512


class GroupCommit(Generic[W]):
    """Gathers the writes of one event loop, and hands them over together.

    A lone write commits in the task of its caller. Later writes wait for a task that commits them
    together, and so on until nothing waits.

    Args:
        commit: writes a number of writes, durably when it returns, and says what became of each,
            whatever that is: it does not raise. Of a write that is alone it says no `NotYet`.
    """

    def __init__(self, commit: Callable[[Sequence[W]], Awaitable[Sequence[Outcome]]]) -> None:
        self._commit = commit
        self._waiting: list[_Waiting[W]] = []
        self._batch: list[_Waiting[W]] = []
        self._is_committing = False
        self._task: asyncio.Task[None] | None = None

    async def write(self, write: W) -> None:
        """Hand a write over, and return when it is durable, or raise what became of it."""
        if self._is_committing:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((write, future))
            await future
            return
        self._is_committing = True
        try:
            (outcome,) = await self._hand_over([write])
        finally:
            self._go_on()
        if isinstance(outcome, Exception):
            raise outcome

    def _hand_over(self, writes: Sequence[W]) -> Awaitable[Sequence[Outcome]]:
        if installed.telemetry is not None:
            note("GroupCommitted", size=len(writes))
        return self._commit(writes)

    def _go_on(self) -> None:
        self._waiting = [each for each in self._waiting if not each[1].cancelled()]
        self._is_committing = bool(self._waiting)
        if self._is_committing:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._task = asyncio.get_running_loop().create_task(self._commit_waiting())
                self._task.add_done_callback(self._end)

    async def _commit_waiting(self) -> None:
        while self._take_batch():
            await self._commit_batch(self._batch)
            # Those who were just answered write again before the next batch is closed.
            await asyncio.sleep(0)

    def _end(self, _: object) -> None:
        """Go on after the task, which may have been cancelled before its first step."""
        self._task = None  # it would keep an event loop that has ended
        for _, future in self._batch:  # if they are not done, the task was cancelled
            future.cancel()
        self._batch = []
        self._go_on()

    def _take_batch(self) -> bool:
        wanted = [each for each in self._waiting if not each[1].cancelled()]
        self._batch, self._waiting = wanted[:_MOST_AT_ONCE], wanted[_MOST_AT_ONCE:]
        return bool(self._batch)

    async def _commit_batch(self, batch: Sequence[_Waiting[W]]) -> None:
        outcomes = await self._hand_over([write for write, _ in batch])
        again: list[_Waiting[W]] = []
        for each, outcome in zip(batch, outcomes, strict=True):
            if outcome is NotYet.TOGETHER:
                again.append(each)
            elif outcome is NotYet.ALONE:
                await self._commit_alone(*each)
            else:
                _settle(each[1], outcome)
        self._batch, self._waiting = [], again + self._waiting

    async def _commit_alone(self, write: W, future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            (outcome,) = await self._hand_over([write])
            _settle(future, outcome)


def _settle(future: asyncio.Future[None], outcome: Outcome) -> None:
    if future.cancelled():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(None)
