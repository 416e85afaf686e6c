"""An event loop for one piece of work, which does not wait for the leftovers of the work."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_LAST_MOMENT: Final = 0.05  # seconds


def run_briefly(work: Coroutine[Any, Any, T]) -> T:
    """Run work in an event loop of its own, and return its result.

    `asyncio.run` waits for tasks that swallow their cancellation, and for threads that hang. This
    cancels tasks, waits for a moment, and leaves the rest alone.

    Raises:
        RuntimeError: an event loop runs in this thread.
    """
    if _is_loop_running():
        work.close()
        raise RuntimeError("an event loop runs already: await the coroutine function in it")
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(_end_tasks())
        loop.close()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _end_tasks() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for each in tasks:
        each.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=_LAST_MOMENT)
        _kept.update(left)
    ending = loop.create_task(loop.shutdown_asyncgens())
    _, late = await asyncio.wait([ending], timeout=_LAST_MOMENT)
    _kept.update(late)


_kept: Final[set[asyncio.Task[Any]]] = set()
"""Tasks whose event loop is closed: asyncio complains about those that are destroyed."""
