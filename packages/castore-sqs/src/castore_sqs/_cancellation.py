"""Telling what ends a task from what only a message failed with."""

import asyncio


def is_cancelled() -> bool:
    """Tell whether the current task is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_task(error: BaseException) -> bool:
    """Tell whether an error is not its message's own, and has to go through the task.

    A handler that awaits what was cancelled raises ``CancelledError`` as well, and a validator
    written in Rust that panics raises no ``Exception``: those are.
    """
    if isinstance(error, asyncio.CancelledError):
        return is_cancelled()
    return isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))
