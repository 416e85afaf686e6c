"""Handlers of all kinds: plain functions run in threads, and hold up nothing."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import pytest

from castore_sqs import MessageFailed, MessageHandled, VisibilityLost

Make = Callable[..., Any]

handled: list[tuple[str, str]] = []
"""Aggregates, and the names of the threads in which they were handled."""


def note(message: Any, _: object) -> None:
    """Note what was handled, and where."""
    handled.append((message.event.aggregate_id, threading.current_thread().name))


async def note_later(message: Any, context: object) -> None:
    """Do it in the event loop."""
    await asyncio.sleep(0)
    note(message, context)


def note_with(_: str, message: Any, context: object) -> None:
    """Take an argument of its own."""
    note(message, context)


async def note_later_with(_: str, message: Any, context: object) -> None:
    """Take an argument of its own."""
    await note_later(message, context)


class Notes:
    """Objects and methods that are handlers."""

    def __call__(self, message: Any, context: object) -> None:
        """Handle a message."""
        note(message, context)

    async def handle(self, message: Any, context: object) -> None:
        """Handle a message."""
        await note_later(message, context)


class LaterNotes:
    """An object that is a coroutine function."""

    async def __call__(self, message: Any, context: object) -> None:
        """Handle a message."""
        await note_later(message, context)


@wraps(note_later)
def decorated(message: Any, context: object) -> Awaitable[None]:
    """Return what has to be awaited."""
    return note_later(message, context)


async def forgetful(message: Any, context: object) -> Awaitable[None]:
    """Forget an ``await``."""
    return note_later(message, context)


@pytest.fixture(autouse=True)
def nothing_was_handled() -> None:
    """Begin anew."""
    handled.clear()


@pytest.mark.parametrize(
    ("handler", "in_loop"),
    [
        (note, False),
        (Notes(), False),
        (partial(note_with, "a"), False),
        (partial(Notes()), False),
        (note_later, True),
        (Notes().handle, True),
        (LaterNotes(), True),
        (partial(note_later_with, "a"), True),
        (partial(LaterNotes()), True),
        (decorated, True),
        (forgetful, True),
    ],
    ids=[
        "function",
        "object",
        "partial",
        "partial-object",
        "coroutine-function",
        "method",
        "async-object",
        "async-partial",
        "async-partial-object",
        "decorated",
        "forgetful",
    ],
)
async def test_every_kind_of_handler(
    make_fake_queue: Make, make_bench: Make, handler: Any, *, in_loop: bool
) -> None:
    """A coroutine function runs in the event loop, and a plain one in a thread of the worker."""
    queue = make_fake_queue()
    queue.put("a")
    bench = make_bench(queue, plain_handler=handler)
    async with bench.worker:
        await bench.until_empty()

    thread = "MainThread" if in_loop else "castore-handler"
    assert [("a", thread)] == handled
    assert 1 == len(bench.told(MessageHandled))


async def test_a_handler_that_blocks_holds_up_nothing(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Others are handled and deleted meanwhile, and heartbeats keep its message hidden."""
    queue = make_fake_queue()
    queue.put("a", *"bcdefghij")

    def handle(message: Any, _: object) -> None:
        if message.event.aggregate_id == "a":
            time.sleep(1.5)

    bench = make_bench(queue, plain_handler=handle, visibility_timeout=1)
    began = time.monotonic()
    async with bench.worker:
        await bench.until(lambda: len(queue.messages) == 1)
        assert time.monotonic() - began < 1
        await bench.until_empty()

    assert {1} == {each.context.attempt for each in bench.told(MessageHandled)}
    assert 10 == len(bench.told(MessageHandled))
    assert [] == bench.told(VisibilityLost)


async def test_threads_are_no_more_than_messages(make_fake_queue: Make, make_bench: Make) -> None:
    """So many run at once as the concurrency says; threads are used again, and end at last."""
    queue = make_fake_queue()
    queue.put(*(f"thing{number}" for number in range(30)))
    together = threading.Barrier(3)
    threads: set[threading.Thread] = set()

    def handle(*_: object) -> None:
        threads.add(threading.current_thread())
        together.wait(10)

    bench = make_bench(queue, plain_handler=handle, concurrency=3)
    async with bench.worker:
        await bench.until_empty()

    assert [True] * 3 == [each.daemon for each in threads]
    await bench.until(lambda: not any(each.is_alive() for each in threads))


async def test_context_variables(make_fake_queue: Make, make_bench: Make) -> None:
    """Those of whoever runs the worker are there, and a handler's own stay its own."""
    tenant = ContextVar("tenant", default="nobody")
    seen: list[str] = []
    queue = make_fake_queue()
    queue.put("a", "b")

    def handle(message: Any, _: object) -> None:
        seen.append(tenant.get())
        tenant.set(message.event.aggregate_id)

    tenant.set("somebody")
    bench = make_bench(queue, plain_handler=handle, concurrency=1)
    async with bench.worker:
        await bench.until_empty()

    assert ["somebody", "somebody"] == seen


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), asyncio.CancelledError()])
async def test_what_a_function_raises(
    make_fake_queue: Make, make_bench: Make, error: BaseException
) -> None:
    """It fails its message, and the thread goes on with the next one."""
    queue = make_fake_queue()
    queue.put("a", "b")

    def handle(message: Any, _: object) -> None:
        if message.event.aggregate_id == "a":
            raise error

    bench = make_bench(queue, plain_handler=handle, concurrency=1)
    async with bench.worker:
        await bench.until(lambda: len(queue.messages) == 1)

    [failed] = bench.told(MessageFailed)
    assert isinstance(failed.error, RuntimeError if type(error) is StopIteration else type(error))


async def test_a_generator_is_not_taken_for_handled(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Its body never ran: deleting its message would lose it."""
    queue = make_fake_queue()
    queue.put("a")

    def generate(*_: object) -> Any:
        yield

    def handle(message: Any, context: object) -> Any:
        return generate(message, context)

    bench = make_bench(queue, plain_handler=handle)
    async with bench.worker:
        await bench.until(lambda: bench.told(MessageFailed))

    [failed] = bench.told(MessageFailed)
    assert "the handler returned a generator, whose body never ran" == str(failed.error)
    assert 1 == len(queue.messages)


async def test_a_plain_function_may_stop_the_worker(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Any thread may: a worker that waits for messages wakes at once."""
    queue = make_fake_queue()
    queue.put("a")

    def handle(*_: object) -> None:
        bench.worker.stop()

    bench = make_bench(queue, plain_handler=handle)

    async with asyncio.timeout(5):
        await bench.worker.run()

    assert [] == queue.messages


async def test_stopping_after_the_end(make_fake_queue: Make, make_bench: Make) -> None:
    """It changes nothing, even when the event loop is closed."""
    bench = make_bench(make_fake_queue())

    def run_elsewhere() -> None:
        async def run() -> None:
            async with bench.worker:
                await asyncio.sleep(0)

        asyncio.run(run())

    await asyncio.to_thread(run_elsewhere)
    bench.worker.stop()
