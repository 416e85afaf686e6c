"""Messages stay hidden from others while they are in flight."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_sqs import HeartbeatFailed, MessageHandled, VisibilityLost

Make = Callable[..., Any]


def refuse(code: str, *, sender_fault: bool) -> Callable[..., Any]:
    """Return an outcome of a call that refuses all entries."""

    async def answer(parameters: Any) -> Any:
        failed = {"SenderFault": sender_fault, "Code": code, "Message": "no"}
        return {"Failed": [{"Id": each["Id"], **failed} for each in parameters["Entries"]]}

    return answer


async def hang(_: object) -> None:
    """Answer a call much later than anybody waits."""
    await asyncio.sleep(3)


async def test_a_long_handler(make_fake_queue: Make, make_bench: Make) -> None:
    """Its message is not handed out again, although it takes longer than the timeout."""
    queue = make_fake_queue()
    queue.put(*(f"thing{number}" for number in range(12)))

    async def handle(*_: object) -> None:
        await asyncio.sleep(1.6)

    bench = make_bench(queue, handle, visibility_timeout=1, concurrency=13)
    async with bench.worker:
        await bench.until_empty()

    assert {1} == {each.context.attempt for each in bench.told(MessageHandled)}
    beats = [len(each["Entries"]) for each in queue.called("hide")]
    assert {10, 2} == set(beats)
    assert {1} == {
        each["VisibilityTimeout"] for call in queue.called("hide") for each in call["Entries"]
    }


async def test_those_that_wait_in_a_group_are_hidden_too(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """The second one begins after the first timeout, and is handled once."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a", "a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.6)

    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert [("a", 1), ("a", 2), ("a", 3)] == bench.handled


async def test_a_heartbeat_that_failed_is_tried_again(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """It is reported, and nothing is lost while there is time."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(1.3)

    queue.script["hide"] = [make_error("AccessDenied")]
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert 1 == len(bench.told(HeartbeatFailed))
    assert [] == bench.told(VisibilityLost)
    assert 1 == len(bench.handled)


@pytest.mark.parametrize("kind", ["make_fake_queue", "make_blocking_queue"])
async def test_a_heartbeat_without_an_answer(
    request: pytest.FixtureRequest, make_bench: Make, kind: str
) -> None:
    """A connection that hangs for a minute does not hold up the next heartbeat."""
    queue = request.getfixturevalue(kind)()
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(1.6)

    queue.script["hide"] = [hang]
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert ["a"] == bench.ids()
    assert {1} == {each.context.attempt for each in bench.told(MessageHandled)}
    assert ["no answer within 0.3 s"] == [each.reason for each in bench.told(HeartbeatFailed)]


async def test_a_return_without_an_answer(make_fake_queue: Make, make_bench: Make) -> None:
    """It does not hold up the heartbeat of what else is in flight."""
    queue = make_fake_queue()
    queue.put("a", "b")

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id == "b":
            raise ValueError("no")
        await asyncio.sleep(1.6)

    queue.script["hide"] = [hang]
    bench = make_bench(queue, handle, visibility_timeout=1, retry_delay=100)
    async with bench.worker:
        await bench.until(lambda: bench.handled)

    assert ["a"] == bench.ids()
    assert {1} == {each.context.attempt for each in bench.told(MessageHandled)}


async def test_a_message_that_others_may_have(make_fake_queue: Make, make_bench: Make) -> None:
    """It is reported once, and its handler goes on."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(*_: object) -> None:
        await asyncio.sleep(0.8)

    queue.script["hide"] = [refuse("MessageNotInflight", sender_fault=True)]
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    [lost] = bench.told(VisibilityLost)
    assert "MessageNotInflight: no" == lost.reason
    assert 1 == len(queue.called("hide"))
    assert 1 == len(bench.handled)


async def test_a_lost_message_ends_its_group(make_fake_queue: Make, make_bench: Make) -> None:
    """What follows is returned: others may be about to handle the lost one."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a")
    attempts: list[tuple[int, int]] = []

    async def handle(event: Any, context: Any) -> None:
        attempts.append((event.version, context.attempt))
        if attempts == [(1, 1)]:
            await asyncio.sleep(0.5)

    async def refuse_first(parameters: Any) -> Any:
        first, second = parameters["Entries"]
        queue.for_each({"Entries": [second]}, queue.hide)
        return {"Failed": [{"Id": first["Id"], "SenderFault": True, "Code": "no"}]}

    queue.script["hide"] = [refuse_first]
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert [(1, 1), (2, 2)] == attempts


async def test_a_lost_message_that_was_not_begun(make_fake_queue: Make, make_bench: Make) -> None:
    """It is reported once, and not handled."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a")
    attempts: list[tuple[int, int]] = []

    async def handle(event: Any, context: Any) -> None:
        attempts.append((event.version, context.attempt))
        if attempts == [(1, 1)]:
            await asyncio.sleep(0.5)

    async def refuse_second(parameters: Any) -> Any:
        first, second = sorted(parameters["Entries"], key=lambda each: order[each["ReceiptHandle"]])
        queue.for_each({"Entries": [first]}, queue.hide)
        return {"Failed": [{"Id": second["Id"], "SenderFault": True, "Code": "no"}]}

    queue.script["hide"] = [refuse_second]
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until(lambda: attempts)
        order = {each.handle: number for number, each in enumerate(queue.messages)}
        second = queue.messages[1].id
        await bench.until_empty()

    assert [(1, 1), (2, 2)] == attempts
    assert [second] == [each.message_id for each in bench.told(VisibilityLost)]


async def test_time_that_ran_out_without_an_answer(make_fake_queue: Make, make_bench: Make) -> None:
    """What was not begun by then is not handled, and comes again."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a")
    attempts: list[tuple[int, int]] = []

    async def handle(event: Any, context: Any) -> None:
        attempts.append((event.version, context.attempt))
        if attempts == [(1, 1)]:
            await asyncio.sleep(1.2)

    queue.script["hide"] = [refuse("InternalError", sender_fault=False)] * 100
    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert (1, 1) == attempts[0]
    assert (2, 1) not in attempts
    assert bench.told(VisibilityLost)


async def test_what_was_deleted_meanwhile_is_not_lost(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """A heartbeat may come after the delete, and before its answer."""
    queue = make_fake_queue()
    queue.put("a")

    async def delete_slowly(parameters: Any) -> Any:
        answer = queue.for_each(parameters, queue.delete)
        await asyncio.sleep(0.5)
        return answer

    queue.script["delete"] = [delete_slowly]
    bench = make_bench(queue, visibility_timeout=1)
    async with bench.worker:
        await bench.until(lambda: queue.called("hide"))

    assert [] == bench.told(VisibilityLost)
    assert [] == bench.told(HeartbeatFailed)
