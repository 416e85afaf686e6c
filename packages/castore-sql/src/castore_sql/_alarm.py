"""A limit of time for a block of an event loop that may not end by itself."""

import asyncio
from types import TracebackType
from typing import Any, Self

_PAUSE = 1.0  # seconds between two rings


class AlarmError(Exception):
    """The time of a block was over, and it was cancelled."""


class Alarm:
    """Cancels a block when its time is over, and again each second while it does not end.

    A driver that is cancelled asks the server to stop, and waits for it. A server that does not
    answer then, either, has to be left.

    Args:
        at: the end, by the clock of the event loop; ``None``: there is none.
    """

    def __init__(self, at: float | None) -> None:
        self._at = at
        self._rings = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._handle: asyncio.TimerHandle | None = None
        self._cancellations = 0
        if self._task is not None and self._at is not None:
            self._cancellations = self._task.cancelling()
            self._handle = self._loop.call_at(self._at, self._ring)
        return self

    def hurry(self) -> None:
        """Ring in a second: the block is about to end."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = self._loop.call_later(_PAUSE, self._ring)

    def _ring(self) -> None:
        assert self._task is not None  # noqa: S101 only that of a task rings
        self._rings += 1
        self._task.cancel()
        self._handle = self._loop.call_later(_PAUSE, self._ring)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is None or self._task is None:
            return
        self._handle.cancel()
        self._handle = None  # it refers to the task, and the task to all that it runs
        for _ in range(self._rings):
            self._task.uncancel()
        is_own = self._rings and self._task.cancelling() <= self._cancellations
        if is_own and isinstance(error, asyncio.CancelledError):
            raise AlarmError from error
