"""Tasks: running functions in tasks of their own, and waiting in spite of cancellations.

A scope of anyio, and others like it, cancels a task again at each await, until the task has left
the scope. A clean-up that is to end has to outlast any number of cancellations.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from inspect import isasyncgen, isawaitable, isgenerator
from typing import Any, ParamSpec

P = ParamSpec("P")


async def call(
    function: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> BaseException | None:
    """Call a function or a coroutine function, wait for its end, and return the error it raised.

    An error that is returned stays out of the logs of asyncio, which would show its text. Errors
    that may end the task are raised. A function that returns a generator has failed: nothing of
    that would run.
    """
    await asyncio.sleep(0)  # whoever makes the task goes on first, with eager tasks too
    try:
        await complete(function(*args, **kwargs))
    except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 also those of test libraries are failures
        return error
    return None


async def complete(result: object) -> None:
    """Await what a function returned, if need be.

    Raises:
        TypeError: it returned a generator: nothing of that would run.
    """
    if isawaitable(result):
        await result
    elif isgenerator(result) or isasyncgen(result):
        raise TypeError("it returned a generator, over which nobody iterates")


async def get_outcome(task: asyncio.Task[BaseException | None]) -> BaseException | None:
    """Wait for a `call`, however often this task is cancelled, and return the error of its end."""
    ended = asyncio.Event()
    task.add_done_callback(lambda _: ended.set())
    while not task.done():
        with suppress(asyncio.CancelledError):
            await ended.wait()
    try:
        error = task.exception()
    except asyncio.CancelledError as cancellation:
        return cancellation
    return task.result() if error is None else error


async def settle(tasks: Collection[asyncio.Task[Any]], timeout: float) -> None:  # noqa: ASYNC109 a cancellation does not end it
    """Wait for tasks for some seconds, however often this one is cancelled meanwhile.

    The first cancellation is raised at the end.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    cancellation: asyncio.CancelledError | None = None
    while late := [each for each in tasks if not each.done()]:
        try:
            await asyncio.wait(late, timeout=max(0.0, end - loop.time()))
        except asyncio.CancelledError as error:
            cancellation = cancellation or error
        if loop.time() >= end:
            break
    if cancellation is not None:
        raise cancellation


def is_cancelled() -> bool:
    """Tell whether the current task is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_task(error: BaseException) -> bool:
    """Tell whether an error ends the current task, and is no failure of what the task called.

    A handler that awaits something cancelled raises ``CancelledError``, too: that is a failure.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))
