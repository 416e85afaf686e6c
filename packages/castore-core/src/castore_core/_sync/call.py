"""A call: a coroutine in an event loop, and the thread that waits for it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar

from castore_core._calling_thread import CallingThread, current_caller

T = TypeVar("T")

LONGEST_END: Final = 30.0
"""Seconds that a call may take to end once it is cancelled."""

_ADVICE: Final = "if it was to write, look whether it did so before you try again"


class Call(Generic[T]):
    """A coroutine that runs in another thread's event loop, in the context of its caller.

    Args:
        coroutine: it has not begun.
        loop: where it runs.
        calls: has the calls that run there: this is one of them until it ends.
        begin: lets it `start` soon, or raises that the event loop is closed.
    """

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        calls: "set[Call[Any]]",
        begin: "Callable[[Call[Any]], None]",
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._calls = calls
        self._begin = begin
        self._caller = CallingThread(loop, calls)
        self._context = copy_context()
        self._context.run(current_caller.set, self._caller)
        self._task: asyncio.Task[T] | None = None
        self._is_shut = False

    # In the thread of the event loop

    def start(self) -> None:
        """Make its task."""
        self._task = self._loop.create_task(self._coroutine, context=self._context)
        self._task.add_done_callback(self._end)

    def _end(self, _: object) -> None:
        self._calls.discard(self)
        self._caller.dismiss()

    def shut(self) -> None:
        """Note that its end is that of the event loop."""
        self._is_shut = True

    def abandon(self) -> None:
        """Let the caller go, because the event loop has ended."""
        if self._task is None:
            self._coroutine.close()  # or Python would warn that nobody has awaited it
        self._end(None)

    def _cancel_task(self) -> None:
        if self._task is None:  # it was interrupted before it could begin
            self.abandon()
        else:
            self._task.cancel()

    # In the thread of the caller

    def run(self, timeout: float | None) -> T:
        """Begin, wait for the end, and return the result or raise the error of the coroutine.

        An interruption such as Ctrl-C cancels the coroutine, and is raised when that has ended. A
        second interruption is raised at once.

        Raises:
            TimeoutError: the coroutine took longer than ``timeout``, and was cancelled.
            RuntimeError: the event loop was closed meanwhile.
        """
        try:
            try:
                self._begin(self)
                is_in_time = self._caller.serve(timeout)
            except BaseException as interruption:
                self._follow(interruption)
                raise
            return self._get_result() if is_in_time else self._give_up(timeout)
        finally:
            self._caller.leave()
            del self  # its task refers to the error, and that to this frame

    def _get_result(self) -> T:
        task = self._task
        if task is None or not task.done() or (self._is_shut and task.cancelled()):
            raise RuntimeError(f"the event loop was closed, and the call cancelled: {_ADVICE}")
        return task.result()

    def _give_up(self, timeout: float | None) -> T:
        has_ended = self._cancel()
        if has_ended and self._task is not None and not self._task.cancelled():
            return self._get_result()  # it was decided before the cancellation came
        consequence = "was cancelled" if has_ended else "goes on, although it was cancelled"
        raise TimeoutError(f"the call took longer than {timeout:g} s, and {consequence}: {_ADVICE}")

    def _follow(self, interruption: BaseException) -> None:
        """Wait for the end of the coroutine, and note on the interruption how that ended."""
        if not self._cancel():
            interruption.add_note("the call goes on, although it was cancelled")
        elif self._task is not None and not self._task.cancelled():
            error = self._task.exception()
            outcome = "returned" if error is None else f"raised {type(error).__qualname__}"
            interruption.add_note(f"the call {outcome} all the same")

    def _cancel(self) -> bool:
        """Cancel the coroutine, and tell whether it has ended."""
        try:
            self._loop.call_soon_threadsafe(self._cancel_task)
        except RuntimeError:  # the loop is closed, and so nothing runs
            self.abandon()
        return self._caller.serve(LONGEST_END)
