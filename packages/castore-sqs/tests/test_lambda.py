"""Lambda is told of every message that was not handled, and of no other one."""

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any, Self

import pytest

from castore_core import (
    Event,
    EventRecord,
    EventStore,
    NotificationMessage,
    NotificationMessageQueue,
    parse_timestamp,
)
from castore_sqs import SQSHandler, SQSMessageContext


class Stepped(Event, type="STEPPED"):
    """An event."""


def reduce(_: Stepped | None, event: Stepped) -> Stepped:
    """Keep the last event."""
    return event


WALKS = EventStore("WALKS", event_types=[Stepped], reduce=reduce)
QUEUE = NotificationMessageQueue("QUEUE", source_event_stores=(WALKS,))
STANDARD = "arn:aws:sqs:eu-west-1:123456789012:walks"
FIFO = f"{STANDARD}.fifo"


def make_record(name: str, *, arn: str = STANDARD, group: str | None = None) -> dict[str, Any]:
    """Return a record about event 1 of an aggregate; the record has the same name."""
    moment = parse_timestamp("2021-01-01T00:00:00.000Z")
    event = Stepped(aggregate_id=name, version=1, timestamp=moment)
    body = QUEUE.message_to_record(NotificationMessage("WALKS", event)).body
    attributes = {"ApproximateReceiveCount": "1"}
    if group is not None:
        attributes["MessageGroupId"] = group
    return {
        "messageId": name,
        "body": json.dumps(body),
        "attributes": attributes,
        "messageAttributes": {},
        "eventSourceARN": arn,
    }


def make_fifo_records(*names: str) -> list[dict[str, Any]]:
    """Return records of a FIFO queue: those of a1 and a2 are of group a."""
    return [make_record(each, arn=FIFO, group=each[0]) for each in names]


def make_poison(name: str, **options: Any) -> dict[str, Any]:
    """Return a record that is no message."""
    return {**make_record(name, **options), "body": "poison"}


def get_failures(answer: Any) -> list[str]:
    """Return the names of the records that Lambda is told of."""
    assert list(answer) == ["batchItemFailures"]
    failures: list[dict[str, str]] = answer["batchItemFailures"]
    assert all(list(each) == ["itemIdentifier"] for each in failures)
    return [each["itemIdentifier"] for each in failures]


class Panic(BaseException):
    """What pyo3 raises where code in Rust panics."""


class Panicking(Event, type="STEPPED"):
    """An event that nobody can read."""

    @classmethod
    def from_record(cls, record: EventRecord) -> Self:
        """Fail."""
        raise Panic(record.aggregate_id)


def keep_last(_: Panicking | None, event: Panicking) -> Panicking:
    """Keep the last event."""
    return event


class Walker:
    """A handler that fails at some messages."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.handled: list[str] = []
        self.contexts: list[SQSMessageContext] = []
        self.under_way: set[str] = set()
        self.most_under_way: set[str] = set()

    async def __call__(
        self, message: NotificationMessage[Stepped], context: SQSMessageContext
    ) -> None:
        """Take a while."""
        name = message.event.aggregate_id
        self.contexts.append(context)
        self.under_way.add(name)
        self.most_under_way = max(self.most_under_way, set(self.under_way), key=len)
        await asyncio.sleep(0.001)
        self.under_way.remove(name)
        if name in self.failing:
            raise RuntimeError(f"cannot step to {name}")
        self.handled.append(name)


async def handle(records: Iterable[dict[str, Any]], walker: Walker, **options: Any) -> list[str]:
    """Handle records, and return the names of those that Lambda is told of."""
    return get_failures(await SQSHandler(QUEUE, walker, **options).handle_records(list(records)))


def test_lambda_calls_it() -> None:
    """With an event and a context, without an event loop."""
    walker = Walker()
    handler = SQSHandler(QUEUE, walker)
    answer = handler({"Records": [make_record("a"), make_record("b")]}, object())
    assert {"batchItemFailures": []} == answer
    assert ["a", "b"] == walker.handled
    assert [("a", 1), ("b", 1)] == [(each.message_id, each.attempt) for each in walker.contexts]


def test_a_plain_function_is_called() -> None:
    """What it raises is a failure too."""
    handled: list[str] = []

    def step(message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        if message.event.aggregate_id == "b":
            raise RuntimeError
        handled.append(message.event.aggregate_id)

    answer = SQSHandler(QUEUE, step)({"Records": [make_record(each) for each in "abc"]})
    assert (["b"], ["a", "c"]) == (get_failures(answer), handled)


async def test_a_failure_is_its_own_on_a_standard_queue(caplog: pytest.LogCaptureFixture) -> None:
    """The others are handled; the log says why."""
    walker = Walker("b")
    assert ["b"] == await handle(map(make_record, "abc"), walker)
    assert ["a", "c"] == walker.handled
    [record] = caplog.records
    assert ("castore_sqs", logging.ERROR) == (record.name, record.levelno)
    assert "message b of SQS was not handled" in caplog.text
    assert "cannot step to b" in caplog.text


async def test_groups_of_a_standard_queue_have_no_order() -> None:
    """They are for fairness: a failure is its message's own."""
    walker = Walker("a1")
    records = [make_record(each, group="a") for each in ("a1", "a2")]
    assert (["a1"], ["a2"]) == (await handle(records, walker), walker.handled)


async def test_the_rest_of_a_group_is_returned_on_a_fifo_queue() -> None:
    """It is not handled, and other groups are."""
    walker = Walker("a2")
    records = make_fifo_records("a1", "b1", "a2", "b2", "a3", "c1", "a4")
    assert ["a2", "a3", "a4"] == await handle(records, walker)
    assert ["a1", "b1", "b2", "c1"] == sorted(walker.handled)


async def test_a_group_is_taken_for_ordered_where_the_queue_is_not_known() -> None:
    """A test may leave out the ARN."""
    walker = Walker("a1")
    records = make_fifo_records("a1", "a2")
    for each in records:
        del each["eventSourceARN"]
    assert ["a1", "a2"] == await handle(records, walker)


async def test_what_is_no_message_is_returned(caplog: pytest.LogCaptureFixture) -> None:
    """It is never taken for handled, and does not stop the others."""
    walker = Walker()
    records = [make_record("a"), make_poison("b"), make_record("c")]
    assert (["b"], ["a", "c"]) == (await handle(records, walker), walker.handled)
    assert "InvalidMessageError" in caplog.text


async def test_a_reader_that_panics(caplog: pytest.LogCaptureFixture) -> None:
    """It fails its message alone, and not the invocation."""
    store = EventStore("WALKS", event_types=[Panicking], reduce=keep_last)
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    handled: list[str] = []

    def step(message: NotificationMessage[Panicking], _: SQSMessageContext) -> None:
        handled.append(message.event.aggregate_id)

    answer = await SQSHandler(queue, step).handle_records([make_record("a"), make_record("b")])
    assert (["a", "b"], []) == (get_failures(answer), handled)
    assert "message b of SQS was not handled" in caplog.text


async def test_what_is_no_message_holds_its_group() -> None:
    """The queue's redrive policy has to move it away."""
    walker = Walker()
    records = [make_poison("a1", arn=FIFO, group="a"), *make_fifo_records("a2", "b1")]
    assert (["a1", "a2"], ["b1"]) == (await handle(records, walker), walker.handled)


async def test_one_message_at_a_time() -> None:
    """Unless more were asked for."""
    walker = Walker()
    await handle(map(make_record, "abc"), walker)
    assert len(walker.most_under_way) == 1


async def test_bounded_concurrency() -> None:
    """Never more than were asked for, and every message is handled."""
    walker = Walker("c")
    assert ["c"] == await handle(map(make_record, "abcdefg"), walker, concurrency=3)
    assert len(walker.most_under_way) == 3
    assert list("abdefg") == sorted(walker.handled)


async def test_a_group_has_an_order_among_others() -> None:
    """At most one message of a group is under way."""
    walker = Walker("b2")
    names = ["a1", "b1", "a2", "b2", "a3", "b3", "c1"]
    assert ["b2", "b3"] == await handle(make_fifo_records(*names), walker, concurrency=10)
    assert ["a1", "a2", "a3"] == [each for each in walker.handled if each[0] == "a"]
    assert {"a", "b", "c"} == {each[0] for each in walker.most_under_way}
    assert len(walker.most_under_way) == 3


@pytest.mark.parametrize("concurrency", [0, -1])
def test_no_concurrency_is_refused(concurrency: int) -> None:
    """Nothing would ever be handled."""
    with pytest.raises(ValueError, match="concurrency is not 1 or more"):
        SQSHandler(QUEUE, Walker(), concurrency=concurrency)


async def test_a_message_that_comes_twice_in_a_batch() -> None:
    """Each copy is handled; SQS delivers at least once."""
    walker = Walker()
    assert [] == await handle([make_record("a"), make_record("a")], walker)
    assert ["a", "a"] == walker.handled


async def test_a_handler_that_is_cancelled_by_itself_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It awaited something that was cancelled: its message was not handled, and the log says so."""

    async def step(message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        if message.event.aggregate_id == "b":
            raise asyncio.CancelledError

    handler = SQSHandler(QUEUE, step)
    answer = await handler.handle_records([make_record(each) for each in "abc"])
    assert ["b"] == get_failures(answer)
    assert "message b of SQS was not handled" in caplog.text


async def test_cancelling_it_cancels_the_handlers() -> None:
    """None goes on in the background, and nothing is returned as handled."""
    cancelled: list[str] = []

    async def step(message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(message.event.aggregate_id)
            raise

    handler = SQSHandler(QUEUE, step, concurrency=2)
    task = asyncio.create_task(handler.handle_records([make_record(each) for each in "abc"]))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["a", "b"] == sorted(cancelled)


def test_an_exit_is_no_failure_of_a_message() -> None:
    """The invocation fails, and the whole batch comes again."""

    def step(_: NotificationMessage[Stepped], __: SQSMessageContext) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        SQSHandler(QUEUE, step)({"Records": [make_record("a")]})


def test_another_event_is_refused() -> None:
    """The function was given to another event source: nothing is taken for handled."""
    with pytest.raises(KeyError):
        SQSHandler(QUEUE, Walker())({"detail-type": "STEPPED"})
