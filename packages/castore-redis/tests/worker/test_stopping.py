"""How a worker ends, whatever ends it: what it had is there for others at once."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from castore_redis import MessageHandled, MessageReturned, RedisMessageContext

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


each_cancel = pytest.mark.parametrize("cancel", [cancel_once, cancel_twice, cancel_at_each_turn])
each_order = pytest.mark.parametrize("ordered", [True, False])


@pytest.fixture(autouse=True)
async def nothing_is_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Check that no task is left, and that asyncio complains about none."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()
    records = [*caplog.get_records("call"), *caplog.records]
    assert [] == [each.getMessage() for each in records if each.name == "asyncio"]


async def is_left_tidy(bench: Any) -> bool:
    """Tell whether there is neither a lease nor a consumer."""
    consumers = await bench.client.xinfo_consumers(bench.stream, "castore")
    return not consumers and not await bench.client.exists(bench.keys.lease)


async def test_handlers_may_finish(bench: Any) -> None:
    """Within the grace period what is in flight is handled, and nothing else is received."""
    await bench.publish("a", [2, 3])
    begun, may_finish = asyncio.Event(), asyncio.Event()

    async def handle(*_: object) -> None:
        begun.set()
        await may_finish.wait()

    worker = bench.make_worker(handle)
    run = asyncio.create_task(worker.run())
    await begun.wait()
    worker.stop()
    await bench.publish("b")
    await asyncio.sleep(0.1)
    may_finish.set()
    await run

    assert [("a", 2), ("a", 3)] == bench.handled
    assert 1 == (await bench.adapter.get_lag()).waiting
    assert await is_left_tidy(bench)


@each_order
async def test_what_hangs_is_returned(bench: Any, *, ordered: bool) -> None:
    """Another worker has it at once, and the attempt that was cut short does not count."""
    await bench.publish("a", [2, 3, 4])
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    options: Any = {"ordered": ordered, "visibility_timeout": 600}
    async with bench.make_worker(hang, grace_period=0, **options):
        await begun.wait()
    assert 3 == len(bench.told(MessageReturned))
    async with bench.make_worker(**options):
        await bench.until_done()

    assert [2, 3, 4] == bench.versions("a")
    assert [1, 1, 1] == bench.attempts
    assert not await bench.client.exists(bench.keys.lease)


@each_order
async def test_what_waits_for_a_retry_is_returned(bench: Any, *, ordered: bool) -> None:
    """At once, with the attempts that it had; what was behind it had none."""
    await bench.publish("a", [2, 3])
    failed = asyncio.Event()

    async def fail(*_: object) -> None:
        failed.set()
        raise ValueError("no")

    options: Any = {"ordered": ordered, "visibility_timeout": 600, "retry_delay": 600}
    async with asyncio.timeout(5):
        async with bench.make_worker(fail, **options):
            await failed.wait()
            await asyncio.sleep(0.05)
        async with bench.make_worker(**options):
            await bench.until_done()

    assert [2, 3] == bench.versions("a")
    assert [2, 1] == bench.attempts


@each_cancel
@each_order
async def test_a_cancelled_worker_ends_in_good_order(
    bench: Any, cancel: Cancel, *, ordered: bool
) -> None:
    """Messages are acknowledged whose handlers finish in time; those of the others are returned."""
    for each in ("a", "b", "c"):
        await bench.publish(each, [2, 3])
    begun = asyncio.Barrier(4)

    async def handle(event: Any, context: RedisMessageContext) -> None:
        if context.attempt == 1 and event.version == 2:
            await begun.wait()
        if event.aggregate_id == "c":
            await asyncio.Event().wait()
        await asyncio.sleep(0.05)

    worker = bench.make_worker(handle, ordered=ordered, grace_period=0.3, visibility_timeout=600)
    run = asyncio.create_task(worker.run())
    await begun.wait()
    await cancel(run)

    assert run.cancelled()
    assert [("a", 2), ("a", 3), ("b", 2), ("b", 3)] == sorted(bench.handled)
    assert 2 == len(bench.told(MessageReturned)) == (await bench.adapter.get_lag()).pending
    assert not await bench.client.exists(bench.keys.lease)


async def test_a_scope_of_anyio_may_end_it(bench: Any) -> None:
    """Which cancels again at each await."""
    await bench.publish("a")

    async def handle(*_: object) -> None:
        tasks.cancel_scope.cancel()
        await asyncio.sleep(0.05)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.make_worker(handle).run)

    assert [("a", 2)] == bench.handled
    assert 0 == (await bench.adapter.get_lag()).pending
    assert await is_left_tidy(bench)


@each_cancel
async def test_an_idle_worker_ends_at_once(bench: Any, cancel: Cancel) -> None:
    """A request for messages that is under way is not waited for, and swallows none."""
    run = asyncio.create_task(bench.make_worker(wait_time=4).run())
    await asyncio.sleep(0.2)
    async with asyncio.timeout(1):
        await cancel(run)
    await bench.publish("a")

    assert 1 == (await bench.adapter.get_lag()).waiting
    assert await is_left_tidy(bench)


async def test_a_worker_ends_under_load(bench: Any) -> None:
    """Again and again: each message is handled once, in the order of its aggregate."""
    for each in range(10):
        await bench.publish(str(each), range(2, 42))
    while not await bench.is_done():
        async with bench.make_worker(batch_size=10):
            await asyncio.sleep(0.05)

    assert 400 == len(bench.told(MessageHandled))
    assert {str(each): list(range(2, 42)) for each in range(10)} == {
        str(each): bench.versions(str(each)) for each in range(10)
    }
    assert {1} == set(bench.attempts)


async def test_a_worker_runs_once(bench: Any) -> None:
    """It cannot be run again."""
    worker = bench.make_worker()
    async with worker:
        pass

    with pytest.raises(RuntimeError, match="has run already"):
        await worker.run()
