"""Work that is finished whatever cancels its caller."""

import asyncio
import gc
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from castore_core.workers import finish


@pytest.fixture(autouse=True)
async def nothing_is_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Check that no task is left, and that asyncio complains about none."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()
    records = [*caplog.get_records("call"), *caplog.records]
    assert [] == [each.getMessage() for each in records if each.name == "asyncio"]


async def cancel_at_each_turn(task: asyncio.Task[object]) -> None:
    """Cancel in each turn of the event loop, until the task is done."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


class Work:
    """Work that takes a while, and notes how it ended."""

    def __init__(self, *, seconds: float = 0.05, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error
        self.ended = ""

    async def do(self) -> int:
        """Do it."""
        try:
            for _ in range(5):
                await asyncio.sleep(self.seconds / 5)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        if self.error is not None:
            raise self.error
        return 3


async def test_its_result() -> None:
    """Without a cancellation it is like awaiting the work."""
    assert 3 == await finish(Work().do(), within=1)


async def test_its_error() -> None:
    """It is raised as it is."""
    error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        await finish(Work(error=error).do(), within=1)
    assert error is caught.value


async def test_a_caller_that_is_cancelled_again_and_again() -> None:
    """The work is done, and then the cancellation is raised."""
    work = Work()
    task = asyncio.create_task(finish(work.do(), within=1))
    await asyncio.sleep(0)
    await cancel_at_each_turn(task)

    assert task.cancelled()
    assert "done" == work.ended


async def test_an_error_after_a_cancellation() -> None:
    """It is the cause of the cancellation, and not lost."""
    error = ValueError("no")

    async def clean_up() -> None:
        await finish(Work(error=error).do(), within=1)

    task = asyncio.create_task(clean_up())
    await asyncio.sleep(0)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough") as caught:
        await task
    assert error is caught.value.__cause__


async def test_a_scope_of_anyio() -> None:
    """It knows its own cancellation again, and ends."""
    work = Work()
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            await finish(work.do(), within=1)

    assert scope.cancelled_caught
    assert "done" == work.ended


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_work_that_takes_too_long(*, is_cancelled: bool) -> None:
    """It is cancelled, whether its caller is or not."""
    work = Work(seconds=60)
    task = asyncio.create_task(finish(work.do(), within=0.05))
    await asyncio.sleep(0)
    if is_cancelled:
        await cancel_at_each_turn(task)
    with pytest.raises(asyncio.CancelledError if is_cancelled else TimeoutError):
        await task

    assert "cancelled" == work.ended


async def test_work_that_swallows_its_cancellation() -> None:
    """It is left alone after a second."""
    may_end = asyncio.Event()

    async def hang() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody is told")

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await finish(hang(), within=0.01)
    may_end.set()
    await asyncio.sleep(0.01)
