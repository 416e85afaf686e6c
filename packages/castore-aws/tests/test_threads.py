"""Calls in threads: what they return and raise, and what becomes of cancelled ones."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from castore_aws._threads import run_in_thread

trace: ContextVar[str] = ContextVar("trace", default="none")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give one thread."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def test_a_result_comes_back(threads: ThreadPoolExecutor) -> None:
    """From another thread, in which the context is the caller's."""
    trace.set("mine")
    thread, context = await run_in_thread(
        threads, lambda: (threading.current_thread(), trace.get())
    )
    assert thread is not threading.current_thread()
    assert context == "mine"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
async def test_an_error_comes_back(threads: ThreadPoolExecutor, error: BaseException) -> None:
    """Whatever it is; the thread goes on."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await run_in_thread(threads, fail)
    assert error is caught.value
    assert await run_in_thread(threads, lambda: 1) == 1


async def test_what_no_future_takes_comes_back_too(threads: ThreadPoolExecutor) -> None:
    """A mock whose answers are used up raises it; without an error, its caller would hang."""
    answers: Iterator[int] = iter([])

    with pytest.raises(RuntimeError, match=r"the call raised StopIteration\(\)"):
        await asyncio.wait_for(run_in_thread(threads, lambda: next(answers)), 10)


async def test_a_cancelled_call_that_did_not_begin_is_not_made(
    threads: ThreadPoolExecutor,
) -> None:
    """Nothing happens behind the back of who cancelled it."""
    calls: list[str] = []
    release = threading.Event()
    first = asyncio.create_task(run_in_thread(threads, release.wait))
    second = asyncio.create_task(run_in_thread(threads, lambda: calls.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    assert await first
    await run_in_thread(threads, lambda: calls.append("third"))
    assert calls == ["third"]


@pytest.mark.parametrize("error", [None, ValueError("too late")])
async def test_the_end_of_a_cancelled_call_is_not_awaited(
    threads: ThreadPoolExecutor, error: Exception | None
) -> None:
    """What it returns or raises is nobody's business any more."""
    began, release = threading.Event(), threading.Event()
    task = asyncio.create_task(run_in_thread(threads, _wait(began, release, error)))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await run_in_thread(threads, lambda: 1) == 1


def _wait(
    began: threading.Event, release: threading.Event, error: Exception | None
) -> Callable[[], None]:
    def call() -> None:
        began.set()
        release.wait()
        if error is not None:
            raise error

    return call
