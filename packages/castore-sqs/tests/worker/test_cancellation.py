"""A worker that is cancelled, once or again and again: it leaves nothing hidden, and no task."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import anyio
import pytest

from castore_core.workers import Lifecycle, NaturalBatches
from castore_sqs import MessageHandled, MessageReturned

Make = Callable[..., Any]
Cancel = Callable[[asyncio.Task[Any]], Awaitable[None]]


async def cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel as `asyncio.timeout` does."""
    task.cancel()
    await asyncio.wait([task])


async def cancel_twice(task: asyncio.Task[Any]) -> None:
    """Cancel as somebody who presses Ctrl-C again."""
    task.cancel()
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])


async def cancel_at_each_turn(task: asyncio.Task[Any]) -> None:
    """Cancel in each turn of the event loop, until the task is done."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def cancel_soon(task: asyncio.Task[Any]) -> None:
    """Cancel in each turn of the event loop, but not at once."""
    await asyncio.sleep(0.02)
    await cancel_at_each_turn(task)


each_cancel = pytest.mark.parametrize("cancel", [cancel_once, cancel_twice, cancel_at_each_turn])


async def hang(*_: object) -> None:
    """Handle nothing, and never end."""
    await asyncio.Event().wait()


async def run_in_scope(run: Callable[[], Coroutine[Any, Any, None]], begun: asyncio.Event) -> None:
    """Run something in a task group of anyio that is cancelled."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await begun.wait()
        tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
async def nothing_is_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Check that no task is left, and that asyncio complains about none."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()
    records = [*caplog.get_records("call"), *caplog.records]
    assert [] == [each.getMessage() for each in records if each.name == "asyncio"]


@each_cancel
async def test_what_runs_may_finish(
    make_fake_queue: Make, make_bench: Make, cancel: Cancel
) -> None:
    """Handlers have the grace period, as after `stop`, and what they handled is deleted."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "b")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.1)

    bench = make_bench(queue, handle, visibility_timeout=600)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: not queue.visible)
    await cancel(run)

    assert run.cancelled()
    assert [("a", 1), ("a", 2), ("b", 3)] == sorted(bench.handled)
    assert [] == queue.messages
    assert 3 == len(bench.told(MessageHandled))


@each_cancel
async def test_what_hangs_is_returned(
    make_fake_queue: Make, make_bench: Make, cancel: Cancel
) -> None:
    """After the grace period handlers are cancelled, and their messages are seen at once."""
    queue = make_fake_queue()
    queue.put("a", "b")
    ended: list[str] = []

    async def handle(event: Any, _: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # a clean-up of its own
            ended.append(event.aggregate_id)

    bench = make_bench(queue, handle, grace_period=0.1, visibility_timeout=600)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: len(queue.called("receive")) == 2)
    await cancel(run)

    assert run.cancelled()
    assert ["a", "b"] == sorted(ended)
    assert queue.messages == queue.visible
    assert [1, 1] == [each.receive_count for each in queue.messages]
    assert 2 == len(bench.told(MessageReturned))


async def test_a_worker_that_is_stopping(make_fake_queue: Make, make_bench: Make) -> None:
    """Cancellations change nothing then: the grace period goes on."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.2)

    bench = make_bench(queue, handle)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: not queue.visible)
    bench.worker.stop()
    await cancel_soon(run)

    assert run.cancelled()
    assert ["a"] == bench.ids()
    assert [] == queue.messages


async def test_a_cancelled_task_group_of_anyio(make_fake_queue: Make, make_bench: Make) -> None:
    """It cancels at each ``await``, and messages are returned and deleted all the same."""
    queue = make_fake_queue()
    queue.put("a", "b")
    begun = asyncio.Event()

    async def handle(event: Any, _: object) -> None:
        begun.set()
        await (asyncio.sleep(0.05) if event.aggregate_id == "a" else asyncio.Event().wait())

    bench = make_bench(queue, handle, grace_period=0.2, visibility_timeout=600)
    await run_in_scope(bench.worker.run, begun)

    assert ["a"] == bench.ids()
    assert queue.messages == queue.visible
    assert 1 == len(queue.messages)


async def test_the_context_manager_in_a_scope_of_anyio(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Leaving it is not cut short either."""
    queue = make_fake_queue()
    queue.put("a")

    bench = make_bench(queue, hang, grace_period=0.1, visibility_timeout=600)
    with anyio.move_on_after(0.1) as scope:
        async with bench.worker:
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert queue.messages == queue.visible


async def test_a_time_limit_of_anyio(make_fake_queue: Make, make_bench: Make) -> None:
    """It raises its own error, as around any other function."""
    queue = make_fake_queue()
    bench = make_bench(queue)

    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.05):
            await bench.worker.run()


async def test_a_time_limit_of_asyncio(make_fake_queue: Make, make_bench: Make) -> None:
    """The same."""
    bench = make_bench(make_fake_queue())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await bench.worker.run()


async def test_cancelled_before_it_began(make_fake_queue: Make, make_bench: Make) -> None:
    """It asks for nothing."""
    bench = make_bench(make_fake_queue())
    run = asyncio.create_task(bench.worker.run())
    run.cancel()
    await asyncio.wait([run])

    assert run.cancelled()
    assert [] == bench.queue.calls


@pytest.mark.parametrize("turns", [1, 2, 3, 20])
async def test_no_handler_goes_on_without_its_worker(
    make_fake_queue: Make, make_bench: Make, turns: int
) -> None:
    """However soon the second cancellation comes."""
    queue = make_fake_queue()
    queue.put("a")
    ended: list[str] = []

    async def handle(event: Any, _: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.aggregate_id)

    bench = make_bench(queue, handle, grace_period=0)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: len(queue.called("receive")) == 2)
    run.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    await cancel_at_each_turn(run)

    assert ["a"] == ended
    assert queue.messages == queue.visible


@pytest.mark.parametrize("cancel", [cancel_soon, None])
async def test_an_end_that_takes_too_long(
    caplog: pytest.LogCaptureFixture, cancel: Cancel | None
) -> None:
    """It is cut short, and logged; cancelling it does not hide that."""
    is_stopping = asyncio.Event()
    cut_short: list[bool] = []

    async def put_down(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut_short.append(True)

    life = Lifecycle(
        "worker",
        [hang],
        is_stopping=is_stopping,
        put_down=put_down,
        longest_end=0.1,
        logger=logging.getLogger("castore_sqs"),
    )
    run = asyncio.create_task(life.run())
    await asyncio.sleep(0)
    life.stop()
    await (asyncio.wait([run]) if cancel is None else cancel(run))

    assert [True] == cut_short
    assert (cancel is not None) == run.cancelled()
    assert "'worker' took too long to end" in caplog.text


async def test_batches_that_are_cancelled() -> None:
    """The batch under way is cancelled, and the waiting items are never sent."""
    sent: list[list[int]] = []

    async def send(items: Sequence[int]) -> None:
        sent.append(list(items))
        await hang()

    batches: NaturalBatches[int] = NaturalBatches(send, 2)
    batches.add(1)
    await asyncio.sleep(0.01)
    batches.add(2)
    await batches.cancel()

    await batches.drain()
    assert [[1]] == sent


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_handler_that_ends_the_program(
    make_fake_queue: Make, make_bench: Make, error: BaseException, *, is_plain: bool
) -> None:
    """What is in flight is returned first."""
    queue = make_fake_queue()
    queue.put("a", "b")

    def end_now(*_: object) -> None:
        raise error

    async def end_later(*_: object) -> None:
        raise error

    handler = end_now if is_plain else end_later
    bench = make_bench(queue, plain_handler=handler, visibility_timeout=600)
    with pytest.raises(type(error)):
        asyncio.run(bench.worker.run())
    del bench
    gc.collect()

    assert queue.messages == queue.visible


def test_the_end_of_the_event_loop(make_fake_queue: Make, make_bench: Make) -> None:
    """`asyncio.run` cancels every task at once, and the worker returns what it has all the same."""
    queue = make_fake_queue()
    queue.put("a", "b")
    bench = make_bench(queue, hang, visibility_timeout=600)

    async def forget() -> asyncio.Task[None]:
        run = asyncio.create_task(bench.worker.run())
        await bench.until(lambda: len(queue.called("receive")) == 2)
        return run

    assert asyncio.run(forget()).cancelled()
    assert queue.messages == queue.visible
