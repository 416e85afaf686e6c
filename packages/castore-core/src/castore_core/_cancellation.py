"""Tasks: which errors end one, and work that a cancellation of its caller must not cut short."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LAST_MOMENT: Final = 1.0  # seconds that late work has to end once it is cancelled


async def finish(work: Coroutine[Any, Any, T], *, within: float) -> T:
    """Run work to its end, even if the caller is cancelled meanwhile, once or many times.

    An anyio cancel scope, and so a task group of FastAPI or Starlette, cancels its tasks again at
    each ``await`` until they end. The work therefore runs in a task of its own. The caller's
    cancellation is raised when the work has ended.

    Args:
        work: what has to be done, such as a clean-up.
        within: seconds. Work that takes longer is cancelled, and left alone a second later.

    Raises:
        CancelledError: the caller was cancelled. An error of the work is its ``__cause__``.
        TimeoutError: the work took too long.
    """
    return await outlast(begin(work), within=within)


async def outlast(task: asyncio.Task[T], *, within: float) -> T:
    """Wait for the end of a task as `finish` waits for work."""
    cancellation = await _wait(task, within)
    error: BaseException | None = None
    if not task.done():
        task.cancel()
        cancellation = await _wait(task, _LAST_MOMENT) or cancellation
        if not task.done() or task.cancelled():
            error = TimeoutError(f"it did not finish within {within:g} s")
    error = _get_error(task) or error
    if cancellation is not None:
        raise cancellation from error
    if error is not None:
        raise error
    return task.result()


async def _wait(task: asyncio.Task[Any], seconds: float) -> asyncio.CancelledError | None:
    """Wait for a task, and return the last cancellation that arrived meanwhile."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    cancellation: asyncio.CancelledError | None = None
    while not task.done() and (left := deadline - clock()) > 0:
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError as error:
            cancellation = error
    return cancellation


def _get_error(task: asyncio.Task[Any]) -> BaseException | None:
    """Return the error of a task, so that asyncio does not log it as never retrieved."""
    if not task.done():
        task.add_done_callback(_get_error)
        return None
    return None if task.cancelled() else task.exception()


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Return a task that begins after its caller went on, with an eager task factory too."""
    return asyncio.Task(work, loop=asyncio.get_running_loop())


def is_cancelled() -> bool:
    """Tell whether the current task is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_task(error: BaseException) -> bool:
    """Tell whether an error has to go through the task, and is not that of one message.

    Two errors that are no `Exception` belong to their message: the ``CancelledError`` of a handler
    that awaits something cancelled, and the panic of a validator written in Rust.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))
