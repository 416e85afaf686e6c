"""How a worker ends: nothing that it had in flight stays hidden."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_aws import RetryPolicy
from castore_sqs import MessageReturned, ReceiveFailed

Make = Callable[..., Any]


async def test_handlers_may_finish(make_fake_queue: Make, make_bench: Make) -> None:
    """Within the grace period what is in flight is handled and deleted."""
    queue = make_fake_queue()
    queue.put("a", "b")
    may_finish = asyncio.Event()

    async def handle(*_: object) -> None:
        await may_finish.wait()

    bench = make_bench(queue, handle)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: len(queue.visible) == 0)
    await asyncio.sleep(0.02)
    bench.worker.stop()
    queue.put("c")
    await asyncio.sleep(0.1)
    may_finish.set()
    await run

    assert ["a", "b"] == sorted(bench.ids())
    assert [queue.messages[0]] == queue.visible  # "c"


async def test_after_the_grace_period_they_are_cancelled(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Their messages are returned, and others see them at once."""
    queue = make_fake_queue()
    queue.put("a", "b")
    cancelled: list[str] = []

    async def handle(event: Any, _: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(event.aggregate_id)
            raise

    bench = make_bench(queue, handle, grace_period=0.1)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: not queue.visible)
    await asyncio.sleep(0.02)
    bench.worker.stop()
    await run

    assert ["a", "b"] == sorted(cancelled)
    assert queue.messages == queue.visible
    assert {each.id for each in queue.messages} == {
        each.message_id for each in bench.told(MessageReturned)
    }


async def test_the_rest_of_a_group_is_returned_too(make_fake_queue: Make, make_bench: Make) -> None:
    """In an order that nobody can overtake: all are seen, and none was begun."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")
    begun: list[int] = []

    async def handle(event: Any, _: object) -> None:
        begun.append(event.version)
        await asyncio.Event().wait()

    bench = make_bench(queue, handle, grace_period=0)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: begun)
    bench.worker.stop()
    await run

    assert [1] == begun
    assert queue.messages == queue.visible


async def test_a_handler_that_ends_well_when_cancelled(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Its message was handled, and is deleted; the next of its group is returned."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a")
    begun: list[int] = []

    async def handle(event: Any, _: object) -> None:
        begun.append(event.version)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    bench = make_bench(queue, handle, grace_period=0)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: begun)
    bench.worker.stop()
    await run

    assert [1] == begun
    assert 1 == len(queue.visible) == len(queue.messages)


@pytest.mark.parametrize("kind", ["make_fake_queue", "make_blocking_queue"])
@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_poll_under_way_swallows_nothing(
    request: pytest.FixtureRequest, make_bench: Make, kind: str, *, is_cancelled: bool
) -> None:
    """What it gets after the end began is returned; a call in a thread ends in its own time."""
    queue = request.getfixturevalue(kind)()
    queue.patience = 0.3
    bench = make_bench(queue)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: queue.called("receive"))
    if is_cancelled:
        run.cancel()
    else:
        bench.worker.stop()
    await asyncio.sleep(0.05)
    queue.put("a")
    await asyncio.wait([run])

    assert is_cancelled == run.cancelled()
    assert [] == bench.handled
    assert 1 == queue.messages[0].receive_count
    assert queue.messages == queue.visible


async def test_a_poll_under_way_does_not_get_what_is_returned(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """That would count as one more attempt to handle it."""
    queue = make_fake_queue()
    queue.patience = 0.3
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.Event().wait()

    bench = make_bench(queue, handle, grace_period=0)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: len(queue.called("receive")) == 2)
    bench.worker.stop()
    await run

    assert [1] == [each.receive_count for each in queue.messages]
    assert queue.messages == queue.visible


async def test_what_is_being_deleted_is_deleted(make_fake_queue: Make, make_bench: Make) -> None:
    """The end waits for it."""
    queue = make_fake_queue()
    queue.put("a")

    async def delete_slowly(parameters: Any) -> Any:
        await asyncio.sleep(0.2)
        return queue.for_each(parameters, queue.delete)

    queue.script["delete"] = [delete_slowly]
    bench = make_bench(queue, grace_period=0)
    async with bench.worker:
        await bench.until(lambda: queue.called("delete"))

    assert [] == queue.messages


async def test_stopping_again_changes_nothing(make_fake_queue: Make, make_bench: Make) -> None:
    """Before, during and after the end."""
    bench = make_bench(make_fake_queue())
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: bench.queue.calls)

    bench.worker.stop()
    bench.worker.stop()
    await run
    bench.worker.stop()

    assert run.done()


async def test_stopped_before_it_ran(make_fake_queue: Make, make_bench: Make) -> None:
    """It asks for nothing."""
    bench = make_bench(make_fake_queue())

    bench.worker.stop()
    await bench.worker.run()

    assert [] == bench.queue.calls


async def test_a_worker_runs_once(make_fake_queue: Make, make_bench: Make) -> None:
    """A second run is refused, also after the end of the first."""
    bench = make_bench(make_fake_queue())
    async with bench.worker:
        with pytest.raises(RuntimeError, match="has run already"):
            await asyncio.gather(bench.worker.run(), bench.worker.run())

    with pytest.raises(RuntimeError, match="has run already"):
        await bench.worker.run()


async def test_waiting_for_the_next_attempt_is_cut_short(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """A queue that is down does not hold up the end."""
    queue = make_fake_queue()
    queue.script["receive"] = [make_error("Throttling")] * 1000
    bench = make_bench(queue, retries=RetryPolicy(base_delay=60, max_delay=60))

    async with asyncio.timeout(5), bench.worker:
        await bench.until(lambda: bench.told(ReceiveFailed))

    assert len(queue.calls) < 10


async def test_a_slow_end_of_a_group_is_waited_for(make_fake_queue: Make, make_bench: Make) -> None:
    """All that is in flight of a group may finish, one after the other."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.05)

    bench = make_bench(queue, handle)
    run = asyncio.create_task(bench.worker.run())
    await bench.until(lambda: bench.handled)
    bench.worker.stop()
    await run

    assert [("a", 1), ("a", 2), ("a", 3)] == bench.handled
