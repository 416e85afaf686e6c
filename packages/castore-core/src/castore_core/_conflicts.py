"""Conflicts: what commands do when another writer was faster."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from random import uniform
from typing import Final, NamedTuple, TypeAlias, TypeVar

from castore_core._telemetry import note
from castore_core.errors import EventAlreadyExistsError

T = TypeVar("T")

# Of 32 writers of one aggregate on SQLite, the slowest needs about 10 retries.
DEFAULT_RETRIES: Final = 20
DEFAULT_PAUSE: Final = 0.01
_LONGEST_PAUSE = 1.0


class ConflictAttempt(NamedTuple):
    """Which attempt of a command ended with a conflict, counted from 1, and how many are left."""

    attempt_number: int
    retries_left: int


ConflictCallback: TypeAlias = Callable[
    [EventAlreadyExistsError, ConflictAttempt], Awaitable[None] | None
]


def is_conflict(error: Exception) -> bool:
    """Tell whether nothing was written because of another writer."""
    return isinstance(error, EventAlreadyExistsError) and error.retryable


@dataclass(frozen=True)
class ConflictRetries:
    """How often, and after which pauses, a command runs again.

    Raises:
        ValueError: ``retries`` is no integer of 0 or more, or ``pause`` no number of 0 or more.
    """

    retries: int
    pause: float
    callback: ConflictCallback | None

    def __post_init__(self) -> None:
        if type(self.retries) is not int or self.retries < 0:
            raise ValueError(f"event_already_exists_retries is not 0 or more: {self.retries!r}")
        if not 0 <= self.pause < float("inf"):
            raise ValueError(f"event_already_exists_pause is not 0 or more: {self.pause!r}")

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        may_repeat: Callable[[Exception], bool] = is_conflict,
    ) -> T:
        """Await ``attempt()``, and repeat it after an error for which ``may_repeat`` is true."""
        number = 0
        while True:
            number += 1
            try:
                return await attempt()
            except Exception as error:
                if not may_repeat(error):
                    raise
                if isinstance(error, EventAlreadyExistsError):
                    await self._tell(error, number)
                if number > self.retries:
                    raise
            await asyncio.sleep(self._draw_pause(number))

    async def _tell(self, conflict: EventAlreadyExistsError, number: int) -> None:
        left = self.retries + 1 - number
        note("ConflictMet", error=conflict, attempt=number, retries_left=left)
        if self.callback is not None:
            answer = self.callback(conflict, ConflictAttempt(number, left))
            if isawaitable(answer):
                await answer

    def _draw_pause(self, number: int) -> float:
        bound = min(self.pause * 2.0 ** min(number - 1, 60), _LONGEST_PAUSE)
        return uniform(0, bound)  # noqa: S311 no secret
