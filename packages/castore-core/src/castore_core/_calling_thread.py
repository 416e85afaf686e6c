"""The thread that waits for a call, and meanwhile runs functions that need that thread."""

import asyncio
from collections.abc import Callable, Sized
from contextlib import suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")


class CallingThread:
    """A thread that waits for a call of a façade.

    An adapter finds it with `find_calling_thread`, and lets it use objects that belong to it, such
    as a connection of the user's.

    Args:
        loop: the event loop in which the call runs.
        calls: all the calls that run there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, calls: Sized) -> None:
        self.thread: Final[Thread] = current_thread()
        self.loop: Final = loop
        self._calls = calls
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._has_ended = False
        self._has_left = False

    @property
    def is_waiting(self) -> bool:
        """Whether it still waits: tasks may outlive the call that made them."""
        return not self._has_left

    @property
    def is_alone(self) -> bool:
        """Whether it waits, and no other thread: the event loop may stand still for a moment."""
        return len(self._calls) == 1 and not self._has_left

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function in the thread, after the earlier ones, and return its result.

        A function that has not begun when this is cancelled is not called.

        Raises:
            RuntimeError: the call has ended, and the thread does not wait any more.
        """
        job = _Job(function, self.loop)
        self._jobs.put(job)
        if self._has_left:
            self._refuse_all()
        return await job.future

    def serve(self, timeout: float | None) -> bool:
        """Run functions until the call has ended, and tell whether it did so in time."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self._has_ended:  # an interruption may have come after the last job
            left = None if deadline is None else max(deadline - monotonic(), 0)
            try:
                job = self._jobs.get(timeout=left)
            except Empty:
                return False
            if job is not None:
                job.run()
        return True

    def dismiss(self) -> None:
        """Let `serve` return: the call has ended."""
        self._has_ended = True
        self._jobs.put(None)

    def leave(self) -> None:
        """Refuse functions from now on."""
        self._has_left = True
        self._refuse_all()

    def _refuse_all(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                job.refuse()


class _Job(Generic[T]):
    """A function that a task of the event loop waits for."""

    def __init__(self, function: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[T] = loop.create_future()
        self._function = function
        self._loop = loop

    def run(self) -> None:
        """Call the function. Only errors that end a thread are raised, such as Ctrl-C."""
        if self.future.cancelled():
            return
        try:
            result = self._function()
        except StopIteration as error:  # which no future can raise
            self._answer(self.future.set_exception, RuntimeError(repr(error)))
        except Exception as error:  # noqa: BLE001 it is the outcome of the function
            self._answer(self.future.set_exception, error)
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.future.cancel)
            raise
        else:
            self._answer(self.future.set_result, result)

    def refuse(self) -> None:
        """Answer that the function will not be called."""
        error = RuntimeError("the call has ended: the thread that made it does not wait any more")
        self._answer(self.future.set_exception, error)

    def _answer(self, answer: Callable[[Any], None], value: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, answer, value)

    def _settle(self, answer: Callable[[Any], None], value: object) -> None:
        if not self.future.done():
            answer(value)


current_caller: Final[ContextVar[CallingThread | None]] = ContextVar("current_caller", default=None)


def find_calling_thread() -> CallingThread | None:
    """Return the thread that made the call in which this runs, if a façade did so.

    A task has that of the call which made it, also when the call has ended. It is ``None`` in other
    event loops, and where no event loop runs.
    """
    caller = current_caller.get()
    if caller is None or caller.loop is not _find_running_loop():
        return None
    return caller


def _find_running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
