"""FIFO queues: the messages of a group are handled in their order."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from castore_sqs import MessageFailed, MessageReturned, MessageUnreadable, ReceiveFailed

Make = Callable[..., Any]


async def test_a_group_one_after_the_other(make_fake_queue: Make, make_bench: Make) -> None:
    """While one is handled, none of its group is, and those of others are."""
    queue = make_fake_queue(fifo=True)
    under_way: set[str] = set()
    most = 0

    async def handle(event: Any, _: object) -> None:
        nonlocal most
        assert event.aggregate_id not in under_way
        under_way.add(event.aggregate_id)
        most = max(most, len(under_way))
        await asyncio.sleep(0.001)
        under_way.remove(event.aggregate_id)

    for version in range(1, 9):
        queue.put("a", "b", "c", version=version)
    bench = make_bench(queue, handle)
    async with bench.worker:
        await bench.until_empty()

    assert 3 == most
    for group in "abc":
        versions = [version for aggregate_id, version in bench.handled if aggregate_id == group]
        assert 8 == len(versions)
        assert versions == sorted(versions)


async def test_standard_queues_have_no_order(make_fake_queue: Make, make_bench: Make) -> None:
    """They may have groups too, whose messages are handled at the same time."""
    queue = make_fake_queue()
    queue.put("a", "a")
    for each in queue.messages:
        each.group = "tenant"
    both = asyncio.Barrier(2)

    async def handle(*_: object) -> None:
        await both.wait()

    bench = make_bench(queue, handle)
    async with bench.worker:
        await bench.until_empty()

    assert 2 == len(bench.handled)


async def test_after_a_failure_the_rest_of_its_group_is_returned(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """It is handled after the one that failed; other groups go on meanwhile."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")
    queue.put("b", "b")

    async def handle(event: Any, context: Any) -> None:
        if (event.aggregate_id, event.version, context.attempt) == ("a", 1, 1):
            raise ValueError("no")

    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert [("b", 1), ("b", 2), ("a", 1), ("a", 2), ("a", 3)] == bench.handled
    assert 1 == len(bench.told(MessageFailed))
    assert 2 == len(bench.told(MessageReturned))


@pytest.mark.may_skip("Python 3.11 has no eager tasks")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
async def test_eager_tasks(make_fake_queue: Make, make_bench: Make) -> None:
    """Where a handler ends before the next message is looked at, the order is kept all the same."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")

    async def handle(_: object, context: Any) -> None:
        if context.attempt == 1:
            raise ValueError("no")

    asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
    bench = make_bench(queue, handle, retry_delay=0)
    async with bench.worker:
        await bench.until_empty()

    assert [("a", 1), ("a", 2), ("a", 3)] == bench.handled


async def test_a_failure_and_the_rest_in_one_request(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """The rest is seen at once, and waits in the queue for the one that failed."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")

    async def fail(*_: object) -> None:
        raise ValueError("no")

    bench = make_bench(queue, fail, retry_delay=100)
    async with bench.worker:
        await bench.until(lambda: queue.called("hide"))

    [request] = queue.called("hide")
    assert [100, 0, 0] == [each["VisibilityTimeout"] for each in request["Entries"]]
    assert 1 == len(bench.told(MessageFailed))


async def test_what_waits_is_not_received_with_a_message_that_fails(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """One by one: the queue counts no attempts of a message that was never handled."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "b")

    async def handle(event: Any, _: object) -> None:
        if event.version == 1:
            raise ValueError("no")

    bench = make_bench(queue, handle, batch_size=1, retry_delay=0)
    async with bench.worker:
        await bench.until(lambda: len(bench.told(MessageFailed)) >= 3)

    assert ["b"] == bench.ids()
    assert {1} == {each["MaxNumberOfMessages"] for each in queue.called("receive")}
    first, second = queue.messages
    assert first.receive_count >= 3
    assert 0 == second.receive_count


async def test_an_unreadable_message_holds_up_its_group_alone(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """The order of the group is kept, whoever moves the message away."""
    queue = make_fake_queue(fifo=True)
    queue.put_body("no JSON", "a")
    queue.put("a", "b")

    bench = make_bench(queue, retry_delay=0)
    async with bench.worker:
        await bench.until(lambda: len(bench.told(MessageUnreadable)) == 3)
        assert ["b"] == bench.ids()
        del queue.messages[0]  # as the redrive policy does
        await bench.until_empty()

    assert ["b", "a"] == bench.ids()


async def test_a_lost_answer_is_asked_for_again(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """The second request is the same attempt to the queue, and the next one another."""
    queue = make_fake_queue(fifo=True)
    queue.put("a")
    queue.script["receive"] = [make_error("InternalError", 500)]
    bench = make_bench(queue, concurrency=1)

    async with bench.worker:
        await bench.until_empty()
        await bench.until(lambda: len(queue.called("receive")) > 2)

    first, second, third, *_ = (each["ReceiveRequestAttemptId"] for each in queue.called("receive"))
    assert first == second
    assert second != third
    assert 1 == len(bench.told(ReceiveFailed))


@pytest.mark.parametrize("fifo", [True, False])
async def test_the_name_of_an_attempt(
    make_fake_queue: Make, make_bench: Make, *, fifo: bool
) -> None:
    """Only FIFO queues have one."""
    queue = make_fake_queue(fifo=fifo)
    bench = make_bench(queue)

    async with bench.worker:
        await bench.until(lambda: queue.called("receive"))

    assert fifo == ("ReceiveRequestAttemptId" in queue.called("receive")[0])


@settings(max_examples=15)
@given(
    concurrency=st.integers(1, 12),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    failures=st.sets(st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 3))),
)
def test_any_failures(
    make_fake_queue: Make,
    make_bench: Make,
    concurrency: int,
    lengths: list[int],
    failures: set[tuple[int, int, int]],
) -> None:
    """Whatever fails, and how often: each group is handled in its order, and nothing twice."""
    queue = make_fake_queue(fifo=True)
    for number, length in enumerate(lengths):
        queue.put(*[str(number)] * length)

    async def handle(event: Any, context: Any) -> None:
        await asyncio.sleep(0)
        if (int(event.aggregate_id), event.version, context.attempt) in failures:
            raise ValueError("no")

    async def work_off() -> list[tuple[str, int]]:
        bench = make_bench(queue, handle, concurrency=concurrency, retry_delay=0)
        async with bench.worker:
            await bench.until_empty()
        handled: list[tuple[str, int]] = bench.handled
        return handled

    handled = asyncio.run(work_off())

    assert queue.most_hidden <= concurrency
    for number, length in enumerate(lengths):
        versions = [version for aggregate_id, version in handled if aggregate_id == str(number)]
        assert list(range(1, length + 1)) == versions
