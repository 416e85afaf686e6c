"""What becomes of a message that is handled, or is not."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, ClassVar, Self

import pytest
from botocore.exceptions import ClientError

from castore_core import (
    Event,
    EventRecord,
    EventStore,
    InvalidMessageError,
    UnknownEventTypeError,
)
from castore_sqs import (
    DeleteFailed,
    MessageFailed,
    MessageHandled,
    MessageSkipped,
    MessagesReceived,
    MessageUnreadable,
)

Make = Callable[..., Any]

LOST = """{"eventStoreId": "POKEMONS", "event": {
    "aggregateId": "a", "version": 1, "type": "LOST", "timestamp": "2024-05-01T10:00:00.000Z"
}}"""


class Panic(BaseException):
    """What pyo3 raises where code in Rust panics."""


class Rested(Event, type="POKEMON_LEVELED_UP"):
    """An event that nobody can read while there is an error."""

    errors: ClassVar[list[BaseException]] = []

    @classmethod
    def from_record(cls, record: EventRecord) -> Self:
        """Raise the next error."""
        if cls.errors:
            raise cls.errors.pop()
        return super().from_record(record)


def keep_last(_: Rested | None, event: Rested) -> Rested:
    """Keep the last event."""
    return event


async def fail(*_: object) -> None:
    """Handle nothing."""
    raise ValueError("no")


def grow(attempt: int) -> int:
    """Return the delay of a retry."""
    return 100 * attempt


async def test_what_was_handled_is_deleted(make_fake_queue: Make, make_bench: Make) -> None:
    """The handler has each message once, and the queue has none any more."""
    queue = make_fake_queue()
    queue.put(*"abcdefghijklmno")
    bench = make_bench(queue)

    async with bench.worker:
        await bench.until_empty()

    assert list("abcdefghijklmno") == sorted(bench.ids())
    assert 15 == sum(each.count for each in bench.told(MessagesReceived))


async def test_what_ends_together_is_deleted_together(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Ten messages are deleted by one request."""
    queue = make_fake_queue()
    queue.put(*"abcdefghij")
    bench = make_bench(queue)

    async with bench.worker:
        await bench.until_empty()

    assert [10] == [len(each["Entries"]) for each in queue.called("delete")]


async def test_what_ends_during_a_delete_goes_with_the_next(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """One message is deleted at once, and those that follow meanwhile by one more request."""
    queue = make_fake_queue()
    queue.put(*"abcde")
    is_deleting, others_ended = asyncio.Event(), asyncio.Event()

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id != "a":
            await is_deleting.wait()

    async def delete_slowly(parameters: Any) -> Any:
        is_deleting.set()
        await others_ended.wait()
        return queue.for_each(parameters, queue.delete)

    queue.script["delete"] = [delete_slowly]
    bench = make_bench(queue, handle)

    async with bench.worker:
        await bench.until(lambda: len(bench.handled) == 5)
        others_ended.set()
        await bench.until_empty()

    assert [1, 4] == [len(each["Entries"]) for each in queue.called("delete")]


async def test_never_more_in_flight_than_allowed(make_fake_queue: Make, make_bench: Make) -> None:
    """Handling and deleting counts: no more are hidden from others."""
    queue = make_fake_queue()
    queue.put(*(f"thing{number}" for number in range(40)))
    under_way = most = 0

    async def handle(event: Any, _: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (event.version % 5))
        under_way -= 1

    bench = make_bench(queue, handle, concurrency=7, receivers=2)
    async with bench.worker:
        await bench.until_empty()

    assert 7 == most
    assert 7 == queue.most_hidden
    assert max(each["MaxNumberOfMessages"] for each in queue.called("receive")) <= 7


async def test_several_receivers(make_fake_queue: Make, make_bench: Make) -> None:
    """They fill more room than one request does."""
    queue = make_fake_queue()
    queue.put(*(f"thing{number}" for number in range(40)))
    everybody = asyncio.Barrier(25)

    async def handle(event: Any, _: object) -> None:
        if event.version <= 25:
            await everybody.wait()

    bench = make_bench(queue, handle, concurrency=25, receivers=3)
    async with bench.worker:
        await bench.until_empty()

    assert 40 == len(bench.handled)


async def test_a_failed_message_comes_again(make_fake_queue: Make, make_bench: Make) -> None:
    """It is left to the queue, which hands it out when its visibility timeout ran out."""
    queue = make_fake_queue()
    queue.put("a", "b")

    async def handle(event: Any, context: Any) -> None:
        if event.aggregate_id == "a" and context.attempt == 1:
            raise ValueError("no")

    bench = make_bench(queue, handle, visibility_timeout=1)
    async with bench.worker:
        await bench.until_empty()

    assert ["b", "a"] == bench.ids()
    [failed] = bench.told(MessageFailed)
    assert 1 == failed.context.attempt
    assert "no" == str(failed.error)
    assert 0 <= failed.duration < 1
    assert [1, 2] == [each.context.attempt for each in bench.told(MessageHandled)]


async def test_the_delay_of_a_retry(make_fake_queue: Make, make_bench: Make) -> None:
    """It may be given in seconds."""
    queue = make_fake_queue()
    queue.put("a")

    async def handle(_: object, context: Any) -> None:
        if context.attempt < 4:
            raise ValueError("no")

    bench = make_bench(queue, handle, retry_delay=0)
    async with bench.worker:
        await bench.until_empty()

    assert [1, 2, 3] == [each.context.attempt for each in bench.told(MessageFailed)]


async def test_a_delay_that_grows(make_fake_queue: Make, make_bench: Make) -> None:
    """A function tells it from the number of the attempt."""
    queue = make_fake_queue()
    queue.put("a")
    bench = make_bench(queue, fail, retry_delay=grow)

    async with bench.worker:
        await bench.until(lambda: queue.called("hide"))

    [request] = queue.called("hide")
    assert [100] == [each["VisibilityTimeout"] for each in request["Entries"]]
    assert 1 == len(queue.messages)


async def test_a_delay_that_raises(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the message is left to the queue as without a delay."""
    queue = make_fake_queue()
    queue.put("a", "b")

    def raise_error(attempt: int) -> int:
        raise LookupError(attempt)

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id == "a":
            raise ValueError("no")

    bench = make_bench(queue, handle, retry_delay=raise_error)
    async with bench.worker:
        await bench.until(lambda: len(queue.messages) == 1)

    assert "retry_delay raised for attempt 1: LookupError" in caplog.text
    assert [] == queue.called("hide")


@pytest.mark.parametrize("delay", [-1, 43_201, 0.5, "1"])
async def test_a_delay_that_sqs_does_not_take(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture, delay: Any
) -> None:
    """It is not sent: what else is returned with it would be refused too."""
    queue = make_fake_queue(fifo=True)
    queue.put("a", "a")

    def get_delay(_: int) -> Any:
        return delay

    bench = make_bench(queue, fail, retry_delay=get_delay)

    async with bench.worker:
        await bench.until(lambda: queue.called("hide"))

    [request] = queue.called("hide")
    assert [0] == [each["VisibilityTimeout"] for each in request["Entries"]]
    assert f"retry_delay is not 0 to 43200 whole seconds: {delay!r}" in caplog.text


async def test_a_handler_that_cancels_itself(make_fake_queue: Make, make_bench: Make) -> None:
    """Its message failed, as by any other error, and the worker goes on."""
    queue = make_fake_queue()
    queue.put("a", "b")

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id == "a":
            raise asyncio.CancelledError

    bench = make_bench(queue, handle)
    async with bench.worker:
        await bench.until(lambda: len(queue.messages) == 1)

    assert ["b"] == bench.ids()
    assert 1 == len(bench.told(MessageFailed))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("no JSON", InvalidMessageError),
        ("[1]", InvalidMessageError),
        ('{"messageUrl": "https://bucket/key"}', InvalidMessageError),
        (LOST, UnknownEventTypeError),
    ],
)
async def test_an_unreadable_message(
    make_fake_queue: Make, make_bench: Make, body: str, error: type[Exception]
) -> None:
    """It blocks no other, is reported, and is not deleted."""
    queue = make_fake_queue()
    queue.put_body(body)
    queue.put("a", "b")
    bench = make_bench(queue, concurrency=1)

    async with bench.worker:
        await bench.until(lambda: len(bench.handled) == 2)

    [unreadable] = bench.told(MessageUnreadable)
    assert isinstance(unreadable.error, error)
    assert (queue.messages[0].id, 1) == (unreadable.message_id, unreadable.attempt)
    assert [body] == [each.body for each in queue.messages]


async def test_a_type_that_the_channel_skips(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message is deleted unhandled and told, and is no line of the log."""
    queue = make_fake_queue()
    queue.put_body(LOST)
    queue.put("b")
    bench = make_bench(queue, skip_unknown_types=True)

    async with bench.worker:
        await bench.until_empty()

    assert ["b"] == bench.ids()
    [skipped] = bench.told(MessageSkipped)
    assert ("POKEMONS", "a", 1, "LOST") == skipped.subject
    assert [] == bench.told(MessageUnreadable)
    assert [] == caplog.records


async def test_a_channel_that_skips_types_refuses_all_else(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """A body that is no message is unreadable, and stays."""
    queue = make_fake_queue()
    queue.put_body("no JSON")
    bench = make_bench(queue, skip_unknown_types=True)

    async with bench.worker:
        await bench.until(lambda: bench.told(MessageUnreadable))

    assert [] == bench.told(MessageSkipped)
    assert 1 == len(queue.messages)


@pytest.mark.parametrize("error", [Panic(), asyncio.CancelledError()], ids=repr)
async def test_a_reader_that_raises_no_exception(
    make_fake_queue: Make, make_bench: Make, error: BaseException
) -> None:
    """Its message is unreadable as any other, and does not stay in flight."""
    queue = make_fake_queue()
    queue.put("a", "b")
    Rested.errors[:] = [error]
    bench = make_bench(
        queue,
        stores=[EventStore("POKEMONS", event_types=[Rested], reduce=keep_last)],
        concurrency=1,
    )

    async with bench.worker:
        await bench.until(lambda: bench.handled)

    assert ["b"] == bench.ids()
    assert [error] == [each.error for each in bench.told(MessageUnreadable)]


async def test_a_delete_that_failed_in_part_is_tried_again(
    make_fake_queue: Make, make_bench: Make
) -> None:
    """Only what failed is in the second request."""
    queue = make_fake_queue()
    queue.put(*"abc")

    async def fail_one(parameters: Any) -> Any:
        first, *others = parameters["Entries"]
        queue.for_each({"Entries": others}, queue.delete)
        code = "InternalError"
        return {"Failed": [{"Id": first["Id"], "SenderFault": False, "Code": code}]}

    queue.script["delete"] = [fail_one]
    bench = make_bench(queue)
    async with bench.worker:
        await bench.until_empty()

    assert [3, 1] == [len(each["Entries"]) for each in queue.called("delete")]
    assert [] == bench.told(DeleteFailed)


async def test_a_delete_that_is_refused(make_fake_queue: Make, make_bench: Make) -> None:
    """It is reported, once, and the message may come again."""
    queue = make_fake_queue()
    queue.put(*"ab")

    async def refuse_all(parameters: Any) -> Any:
        failed = {"SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": "expired"}
        return {"Failed": [{"Id": each["Id"], **failed} for each in parameters["Entries"]]}

    queue.script["delete"] = [refuse_all]
    bench = make_bench(queue)
    async with bench.worker:
        await bench.until(lambda: len(bench.told(DeleteFailed)) == 2)

    assert {"ReceiptHandleIsInvalid: expired"} == {each.reason for each in bench.told(DeleteFailed)}
    assert 1 == len(queue.called("delete"))
    assert 2 == len(queue.messages)


async def test_deletes_are_tried_so_often(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """After the last attempt the worker goes on with others, and the message may come again."""
    queue = make_fake_queue()
    queue.put("a")
    queue.script["delete"] = [make_error("Throttling")] * 5
    bench = make_bench(queue, visibility_timeout=2)

    async with bench.worker:
        await bench.until(lambda: bench.told(DeleteFailed))
        queue.put("b")
        await bench.until_empty()

    assert "b" in bench.ids()
    assert ["a", "a"] == [each for each in bench.ids() if each == "a"]


async def test_a_hook_that_raises_stops_nothing(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is logged."""
    queue = make_fake_queue()
    queue.put("a")

    def raise_error(report: object) -> None:
        raise LookupError(report)

    bench = make_bench(queue, on_report=raise_error)
    async with bench.worker:
        await bench.until_empty()

    assert "LookupError" in caplog.text


async def test_what_would_be_silent_is_logged(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a hook too, to the logger ``castore_sqs``."""
    queue = make_fake_queue()
    queue.put("a")
    queue.put_body("no JSON")
    bench = make_bench(queue, fail, on_report=None)

    with caplog.at_level(logging.INFO, "castore_sqs"):
        async with bench.worker:
            await bench.until(lambda: len(caplog.records) == 2)

    first, second = queue.messages
    assert f"message {first.id} was not handled (attempt 1)" in caplog.text
    assert f"message {second.id} was not read (attempt 1)" in caplog.text
    assert (
        "POKEMON_LEVELED_UP) of aggregate 'a' in event store 'POKEMONS': ValueError" in caplog.text
    )
    assert f": {InvalidMessageError.__module__}.InvalidMessageError" in caplog.text
