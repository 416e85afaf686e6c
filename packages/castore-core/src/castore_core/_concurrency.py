"""Several things at once, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from castore_core._cancellation import ends_task

T = TypeVar("T")


async def run_all(jobs: Sequence[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """Run jobs, so many at once, and return their results in the order of the jobs.

    After an error no further job begins; those that run end first, so that none is cut short. If
    the caller is cancelled, they are cancelled, too. None is left behind.

    Raises:
        BaseException: the error of a job; of several, that of the first in their order.
    """
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    waiting = iter(enumerate(jobs))

    async def work() -> None:
        for number, job in waiting:
            try:
                results[number] = await job()
            except BaseException as error:
                if ends_task(error):
                    raise
                errors[number] = error
            if errors:
                return

    await _run_workers(work, min(at_once, len(jobs)))
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(jobs))]


async def _run_workers(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    if count <= 1:
        await work()
        return
    async with asyncio.TaskGroup() as workers:
        for _ in range(count):
            workers.create_task(work())
