"""The life of a worker: it runs once, and ends in good order, whatever ends it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from castore_core._cancellation import begin, finish, outlast
from castore_core._error_texts import format_error

Loop: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Tasks: TypeAlias = Sequence[asyncio.Task[None]]

_MARGIN: Final = 5.0  # seconds


class Lifecycle:
    """Runs the loops of a worker until it is stopped or cancelled, or until one of them ends.

    Args:
        worker: whose life it is; errors and the log name it.
        loops: coroutine functions that run at the same time.
        is_stopping: is set when the end begins.
        put_down: leaves nothing in flight. It gets the tasks of the loops, which still run.
        longest_end: seconds after which ``put_down`` is cancelled.
        logger: where the log goes.
        describe: returns what the log says of an error that ended the worker.
    """

    def __init__(
        self,
        worker: object,
        loops: Sequence[Loop],
        *,
        is_stopping: asyncio.Event,
        put_down: Callable[[Tasks], Coroutine[Any, Any, None]],
        longest_end: float,
        logger: logging.Logger,
        describe: Callable[[Exception], str] = format_error,
    ) -> None:
        self._worker = worker
        self._loops = loops
        self._is_stopping = is_stopping
        self._put_down = put_down
        self._longest_end = longest_end
        self._logger = logger
        self._describe = describe
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._background: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run to the end, and raise what a loop failed with.

        Raises:
            RuntimeError: it has run already.
        """
        if self._event_loop is not None:
            raise RuntimeError(f"{self._worker!r} has run already: make another one")
        self._event_loop = asyncio.get_running_loop()
        tasks = [begin(each()) for each in self._loops]
        for each in tasks:
            each.add_done_callback(lambda _: self._is_stopping.set())
        try:
            await self._is_stopping.wait()
        finally:
            self._is_stopping.set()
            await self._end(tasks)
        for each in tasks:
            if not each.cancelled():
                each.result()  # raises its error

    def stop(self) -> None:
        """Begin the end. Any thread may call this, and a signal handler."""
        if self._event_loop is None or self._event_loop is _get_running_loop():
            self._is_stopping.set()
        if self._event_loop is not None:  # wakes it, too
            with suppress(RuntimeError):  # it is closed
                self._event_loop.call_soon_threadsafe(self._is_stopping.set)

    def start(self) -> None:
        """Run in the background. An error that ends this is logged at once."""
        self._background = asyncio.get_running_loop().create_task(self._run_in_background())

    async def join(self) -> None:
        """Stop, wait for the end in the background, and raise what it raised."""
        self.stop()
        if self._background is not None:
            await outlast(self._background, within=self._longest_end + _MARGIN)

    async def _end(self, tasks: Tasks) -> None:
        with suppress(TimeoutError):  # the log tells
            await finish(self._end_all(tasks), within=self._longest_end)

    async def _end_all(self, tasks: Tasks) -> None:
        try:
            await self._put_down(tasks)
        except asyncio.CancelledError:
            text = "%r took too long to end: work in flight was cancelled"
            self._logger.warning(text, self._worker)
            raise
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_in_background(self) -> None:
        try:
            await self.run()
        except Exception as error:
            text = "%r ended, and handles nothing any more: %s"
            self._logger.error(text, self._worker, self._describe(error))  # noqa: TRY400 it is raised, too
            raise


def _get_running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
