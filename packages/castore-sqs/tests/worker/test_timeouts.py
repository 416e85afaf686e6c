"""Handlers that hang: they hold no place for ever, and their messages go back."""

import asyncio
import gc
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from castore_sqs import HandlerGivenUp, MessageHandled, MessageReturned, MessageTimedOut

Make = Callable[..., Any]


class Swallowing:
    """A handler that hangs on some messages, and ignores that it is cancelled."""

    def __init__(self, *hanging: str) -> None:
        self.hanging = hanging
        self.may_end = asyncio.Event()
        self.cancellations = 0

    async def __call__(self, event: Any, _: object) -> None:
        """Handle a message, or hang."""
        while event.aggregate_id in self.hanging and not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancellations += 1


async def hang(*_: object) -> None:
    """Handle nothing, and never end."""
    await asyncio.Event().wait()


async def test_a_handler_that_hangs_is_cancelled(make_fake_queue: Make, make_bench: Make) -> None:
    """Others are handled then, and its message comes again: the redrive policy counts that."""
    queue = make_fake_queue()
    queue.put(*"abcdefghijk")
    hanging = [each.id for each in queue.messages[:10]]

    async def handle(_: object, context: Any) -> None:
        if context.message_id in hanging and context.attempt == 1:
            await hang()

    bench = make_bench(queue, handle, handler_timeout=0.2, retry_delay=0)
    async with bench.worker:
        await bench.until_empty()

    timed_out = bench.told(MessageTimedOut)
    assert sorted(hanging) == sorted(each.context.message_id for each in timed_out)
    assert all(0.2 <= each.duration < 5 for each in timed_out)
    assert list("abcdefghijk") == sorted(bench.ids())
    assert [] == bench.told(HandlerGivenUp)


async def test_what_is_told_of_it(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The report is one of its own, and the log shows what the handler waited for."""
    queue = make_fake_queue()
    queue.put("a")
    bench = make_bench(queue, hang, handler_timeout=0.05)
    async with bench.worker:
        await bench.until(lambda: bench.told(MessageTimedOut))

    [report] = bench.told(MessageTimedOut)
    assert (queue.messages[0].id, 1) == (report.context.message_id, report.context.attempt)
    assert ("POKEMONS", "a", 1, "POKEMON_LEVELED_UP") == report.subject
    assert isinstance(report.error, asyncio.CancelledError)
    assert f"message {queue.messages[0].id} was not handled (attempt 1): event 1" in caplog.text
    assert "its time was up after 0." in caplog.text
    assert "await asyncio.Event().wait()" in caplog.text


async def test_without_a_delay_it_is_left_to_the_queue(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """It is hidden no longer than its visibility timeout: the heartbeat leaves it alone."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(_: object, context: Any) -> None:
        if context.attempt == 1:
            await hang()

    bench = make_bench(queue, handle, handler_timeout=0.1, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert [2] == [each.context.attempt for each in bench.told(MessageHandled)]


async def test_the_rest_of_its_group_is_returned(make_fake_queue: Make, make_bench: Make) -> None:
    """As after any other failure: the order is kept."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "b")

    async def handle(event: Any, context: Any) -> None:
        if (event.version, context.attempt) == (1, 1):
            await hang()

    bench = make_bench(queue, handle, handler_timeout=0.1, retry_delay=0)
    async with bench.worker:
        await bench.until_empty()

    assert [("b", 3), ("a", 1), ("a", 2)] == bench.handled
    assert 1 == len(bench.told(MessageReturned))


@pytest.mark.parametrize("error", [None, ValueError("no")], ids=repr)
async def test_however_it_ends_its_message_comes_again(
    make_fake_queue: Make, make_bench: Make, error: Exception | None
) -> None:
    """A handler that catches everything may not have handled its message."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(_: object, context: Any) -> None:
        if context.attempt > 1:
            return
        try:
            await hang()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None

    bench = make_bench(queue, handle, handler_timeout=0.05, retry_delay=0)
    async with bench.worker:
        await bench.until_empty()

    assert [error] == [each.error for each in bench.told(MessageTimedOut)]
    assert [2] == [each.context.attempt for each in bench.told(MessageHandled)]


async def test_a_handler_that_swallows_its_cancellation(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """It is given up after the grace period, and another message takes its place."""
    queue = make_fake_queue()
    queue.put("a")
    handler = Swallowing("a")
    bench = make_bench(
        queue, handler, concurrency=1, handler_timeout=0.05, grace_period=0.1, retry_delay=3600
    )
    async with bench.worker:
        await bench.until(lambda: handler.cancellations)
        queue.put("b")
        await bench.until(lambda: len(queue.messages) == 1)
    handler.may_end.set()
    await asyncio.sleep(0.01)

    assert ["b", "a"] == bench.ids()  # "a" went on, and nobody waited for it
    [given_up] = bench.told(HandlerGivenUp)
    [timed_out] = bench.told(MessageTimedOut)
    assert given_up.context == timed_out.context
    assert given_up.duration >= 1  # a second is the least
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_what_it_raises_later_is_nobodys_concern(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Asyncio does not complain that nobody asked for the error."""
    queue = make_fake_queue()
    queue.put("a")
    may_end = asyncio.Event()

    async def handle(*_: object) -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("late")

    bench = make_bench(queue, handle, handler_timeout=0.05, grace_period=0)
    async with bench.worker:
        await bench.until(lambda: bench.told(HandlerGivenUp))
    may_end.set()
    await asyncio.sleep(0.01)
    gc.collect()

    assert [] == [each for each in caplog.records if each.name == "asyncio"]


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_the_end_does_not_wait_for_it(
    make_fake_queue: Make, make_bench: Make, *, is_cancelled: bool
) -> None:
    """A second after the grace period it is given up, and its message is returned."""
    queue = make_fake_queue()
    queue.put("a")
    handler = Swallowing("a")
    bench = make_bench(queue, handler, grace_period=0.1, visibility_timeout=600)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: len(queue.called("receive")) == 2)
    async with asyncio.timeout(3):
        if is_cancelled:
            run.cancel()
        else:
            bench.worker.stop()
        await asyncio.wait([run])
    assert queue.messages == queue.visible
    handler.may_end.set()
    await asyncio.sleep(0.01)

    assert is_cancelled == run.cancelled()
    assert 1 == len(bench.told(HandlerGivenUp))
    assert [queue.messages[0].id] == [each.message_id for each in bench.told(MessageReturned)]


async def test_a_thread_cannot_be_cancelled(make_fake_queue: Make, make_bench: Make) -> None:
    """A plain function that hangs is given up at once, and others are handled in other threads."""
    queue = make_fake_queue()
    queue.put("a", "b")
    may_end = Event()
    ended: list[str] = []

    def handle(message: Any, _: object) -> None:
        if message.event.aggregate_id == "a":
            may_end.wait(30)
        ended.append(message.event.aggregate_id)

    bench = make_bench(
        queue, plain_handler=handle, concurrency=1, handler_timeout=0.1, retry_delay=3600
    )
    async with asyncio.timeout(5), bench.worker:
        await bench.until(lambda: len(queue.messages) == 1)
    assert ["b"] == ended
    may_end.set()
    await bench.until(lambda: len(ended) == 2)

    [given_up] = bench.told(HandlerGivenUp)
    [timed_out] = bench.told(MessageTimedOut)
    assert given_up.context == timed_out.context
    assert given_up.duration < 1


async def test_the_end_does_not_wait_for_a_thread(make_fake_queue: Make, make_bench: Make) -> None:
    """Its message is returned after the grace period."""
    queue = make_fake_queue()
    queue.put("a")
    may_end = Event()

    def handle(*_: object) -> None:
        may_end.wait(30)

    bench = make_bench(queue, plain_handler=handle, grace_period=0.1, visibility_timeout=600)
    async with asyncio.timeout(5), bench.worker:
        await bench.until(lambda: len(queue.called("receive")) == 2)
    assert queue.messages == queue.visible
    may_end.set()

    assert 1 == len(bench.told(HandlerGivenUp))
    assert [1] == [each.receive_count for each in queue.messages]


async def test_no_limit(make_fake_queue: Make, make_bench: Make) -> None:
    """A handler may take as long as it likes, if the worker is told so."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.2)

    bench = make_bench(queue, handle, handler_timeout=None)
    async with bench.worker:
        await bench.until_empty()

    assert ["a"] == bench.ids()
