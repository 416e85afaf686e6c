"""Calls of a handler with a time limit, and an end of all of them."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum, auto
from time import perf_counter
from typing import Final

from castore_core._cancellation import begin
from castore_core._operations import Destination, describe_message_handling
from castore_core._telemetry import Observation, installed
from castore_core._workers.handler_function import HandlerFunction


class Ending(Enum):
    """How a call ended."""

    RETURNED = auto()
    RAISED = auto()
    TIMED_OUT = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended, after ``duration`` seconds.

    ``error`` is what the handler raised, a cancellation included. A call that ``is_given_up``
    still runs, and nobody waits for it.
    """

    ending: Ending
    duration: float
    error: BaseException | None = field(default=None, repr=False)
    is_given_up: bool = False


class HandlerCalls:
    """Calls a handler, cancels calls that take too long, and gives up those that do not end then.

    A thread cannot be cancelled: a call in a thread is given up at once.

    Args:
        function: the handler.
        timeout: seconds that a call may take, or ``None``.
        grace: seconds that a call has to end after its timeout.
    """

    def __init__(self, function: HandlerFunction, *, timeout: float | None, grace: float) -> None:
        self._function = function
        self._timeout = timeout
        self._grace = grace
        self._running: set[_Call] = set()
        self._is_stopped = False

    async def call(self, *arguments: object) -> CallResult:
        """Call the handler, and return how that ended; it never raises what the handler does."""
        if self._is_stopped:
            return CallResult(Ending.STOPPED, 0.0)
        call = _Call(self._function, arguments)
        if self._timeout is not None:
            call.end_after(self._timeout, self._grace)
        self._running.add(call)
        try:
            return await call.wait()
        finally:
            self._running.discard(call)

    async def handle(
        self, destination: Destination | None, message: object, context: object
    ) -> CallResult:
        """Call the handler with a message and its context, and tell the telemetry of it.

        Nothing is told without a ``destination``, which is where the message comes from.
        """
        if installed.telemetry is None or destination is None:
            return await self.call(message, context)
        with Observation(describe_message_handling(destination, message, context)) as operation:
            result = await self.call(message, context)
            operation.error = result.error
            operation.results["ending"] = result.ending.name.lower()
        return result

    def stop(self, grace: float, ending: Ending = Ending.STOPPED) -> None:
        """Cancel all calls, which have ``grace`` seconds to end, and begin none any more."""
        if not self._is_stopped:
            self._is_stopped = True
            for each in self._running:
                each.cancel(ending, grace)


class _Call:
    """One call, in a task of its own: only so can it be given up."""

    def __init__(self, function: HandlerFunction, arguments: tuple[object, ...]) -> None:
        self._function = function
        self._loop = asyncio.get_running_loop()
        self._began = perf_counter()
        self._is_running = False
        self._is_in_thread = False
        self._cancelled_for: Ending | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._result: asyncio.Future[CallResult] = self._loop.create_future()
        self._task = begin(self._run(arguments))

    async def wait(self) -> CallResult:
        """Wait until the call ended, or was given up."""
        try:
            return await self._result
        except asyncio.CancelledError:  # the event loop ends
            self._task.cancel()
            _keep(self._task)
            raise
        finally:
            self._stop_timer()

    def end_after(self, seconds: float, grace: float) -> None:
        """Cancel the call in so many seconds."""
        self._timer = self._loop.call_later(seconds, self.cancel, Ending.TIMED_OUT, grace)

    def cancel(self, ending: Ending, grace: float) -> None:
        """Cancel the call, and give it up after ``grace`` seconds."""
        self._cancelled_for = self._cancelled_for or ending
        self._stop_timer()
        self._task.cancel()
        if self._is_running:
            self._timer = self._loop.call_later(grace, self._give_up, ending)
        else:
            self._end(asyncio.CancelledError())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def _run(self, arguments: tuple[object, ...]) -> None:
        """Call the handler, and keep its error: asyncio's debug mode shows those of tasks."""
        self._is_running = True
        self._is_in_thread = self._function.runs_in_threads
        try:
            result = await self._function.call(*arguments)
            self._is_in_thread = False
            await self._function.await_result(result)
        except BaseException as error:
            self._end(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self._task.add_done_callback(_retrieve)
                raise  # the event loop raises it, too
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        is_cancelled = isinstance(error, asyncio.CancelledError)
        cancelled_for = self._cancelled_for
        if cancelled_for is Ending.TIMED_OUT or (cancelled_for is not None and is_cancelled):
            is_given_up = is_cancelled and self._is_in_thread
            self._set_result(cancelled_for, error, is_given_up=is_given_up)
        else:
            self._set_result(Ending.RETURNED if error is None else Ending.RAISED, error)

    def _give_up(self, ending: Ending) -> None:
        _keep(self._task)
        self._set_result(self._cancelled_for or ending, None, is_given_up=True)

    def _set_result(
        self, ending: Ending, error: BaseException | None, *, is_given_up: bool = False
    ) -> None:
        if not self._result.done():  # it was given up before, or the event loop ends
            duration = perf_counter() - self._began
            self._result.set_result(CallResult(ending, duration, error, is_given_up))


_given_up: Final[set[asyncio.Task[None]]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """Keep a task until it ends: asyncio does not, and complains where one is destroyed before."""
    _given_up.add(task)
    task.add_done_callback(_given_up.discard)


def _retrieve(task: asyncio.Task[None]) -> None:
    task.exception()  # asyncio complains about errors that nobody asks for
