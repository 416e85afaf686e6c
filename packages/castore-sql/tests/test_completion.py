"""Calls of a pool go on where the task that waits for them is cancelled."""

import asyncio

import pytest
from sqlalchemy.util import await_only, greenlet_spawn

from castore_sql._completion import complete


def test_without_a_greenlet() -> None:
    """It is a plain call."""
    assert 1 == complete(lambda: 1)


async def test_a_function_that_awaits_nothing() -> None:
    """It runs in the task of the caller, at once."""
    task = asyncio.current_task()
    assert task is await greenlet_spawn(lambda: complete(asyncio.current_task))


async def test_a_function_that_awaits() -> None:
    """Its result, and its error, are the caller's."""

    def run() -> list[int]:
        return [await_only(asyncio.sleep(0, each)) for each in (1, 2)]

    def fail() -> None:
        await_only(asyncio.sleep(0))
        raise ValueError("no")

    assert [1, 2] == await greenlet_spawn(complete, run)
    with pytest.raises(ValueError, match="no"):
        await greenlet_spawn(complete, fail)


async def test_a_caller_that_is_cancelled() -> None:
    """It ends at once, and the function goes on."""
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    def run() -> None:
        await_only(may_end.wait())
        await_only(asyncio.sleep(0))
        has_ended.set()

    task = asyncio.create_task(greenlet_spawn(complete, run))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not has_ended.is_set()
    may_end.set()
    async with asyncio.timeout(1):
        await has_ended.wait()
