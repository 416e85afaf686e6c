"""Lambda is told of every message that was not handled, and of no other one."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import anyio
import pytest

from castore_core import (
    Event,
    EventRecord,
    EventStore,
    NotificationMessage,
    NotificationMessageQueue,
    parse_timestamp,
)
from castore_sqs import (
    HandlerGivenUp,
    MessageReturned,
    MessageTimedOut,
    SQSHandler,
    SQSMessageContext,
    WorkerReport,
)


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
    assert (
        "message b was not handled (attempt 1): event 1 (STEPPED) of aggregate 'b'" in caplog.text
    )
    assert "RuntimeError" in caplog.text
    assert "cannot step to b" not in caplog.text


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


@pytest.mark.parametrize("attributes", [None, "x", {"ApproximateReceiveCount": "x"}], ids=repr)
async def test_a_record_with_broken_attributes(attributes: object) -> None:
    """It is returned alone."""
    walker = Walker()
    records = [make_record("a"), {**make_record("b"), "attributes": attributes}]
    assert (["b"], ["a"]) == (await handle(records, walker), walker.handled)


async def test_a_reader_that_panics(caplog: pytest.LogCaptureFixture) -> None:
    """It fails its message alone, and not the invocation."""
    store = EventStore("WALKS", event_types=[Panicking], reduce=keep_last)
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    handled: list[str] = []

    def step(message: NotificationMessage[Panicking], _: SQSMessageContext) -> None:
        handled.append(message.event.aggregate_id)

    answer = await SQSHandler(queue, step).handle_records([make_record("a"), make_record("b")])
    assert (["a", "b"], []) == (get_failures(answer), handled)
    assert "message b was not read (attempt 1)" in caplog.text


async def test_what_is_no_message_holds_its_group() -> None:
    """The queue's redrive policy has to move it away."""
    walker = Walker()
    records = [make_poison("a1", arn=FIFO, group="a"), *make_fifo_records("a2", "b1")]
    assert (["a1", "a2"], ["b1"]) == (await handle(records, walker), walker.handled)


async def test_a_type_that_the_channel_skips() -> None:
    """Its record counts as handled, and does not hold its group."""
    walker = Walker()
    records = make_fifo_records("a1", "a2")
    records[0]["body"] = records[0]["body"].replace("STEPPED", "FLEW")
    lenient = NotificationMessageQueue(
        "QUEUE", source_event_stores=(WALKS,), skip_unknown_types=True
    )

    answer = await SQSHandler(lenient, walker).handle_records(records)

    assert [] == get_failures(answer)
    assert ["a2"] == walker.handled


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
    assert "message b was not handled" in caplog.text


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


HANG = """
import json, threading
from castore_core import Event, EventStore, NotificationMessageQueue
from castore_sqs import SQSHandler

class Stepped(Event, type="STEPPED"):
    pass

store = EventStore("WALKS", event_types=[Stepped], reduce=lambda _, event: event)
queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
event = {"aggregateId": "a", "version": 1, "type": "STEPPED",
         "timestamp": "2021-01-01T00:00:00.000Z"}
record = {"messageId": "a", "body": json.dumps({"eventStoreId": "WALKS", "event": event})}
handler = SQSHandler(queue, lambda *_: threading.Event().wait(), handler_timeout=0.05)
print(handler({"Records": [record]}))
"""


class LambdaContext:
    """What Lambda tells of an invocation, as far as it matters."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left."""
        return int(1000 * (self.ends_at - time.monotonic()))


class Hanging:
    """A handler that hangs at some messages; ``swallows`` tells whether it can be cancelled."""

    def __init__(self, *names: str, swallows: bool = False) -> None:
        self.names = names
        self.swallows = swallows
        self.handled: list[str] = []

    async def __call__(self, message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        """Handle a message, or hang."""
        name = message.event.aggregate_id
        while name in self.names:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if not self.swallows:
                    raise
        self.handled.append(name)


class Invocation(NamedTuple):
    """What came of an invocation."""

    failures: list[str]
    seconds: float
    reports: list[WorkerReport]

    def count(self, kind: type[Any]) -> int:
        """Return how many reports there are of a kind."""
        return sum(isinstance(each, kind) for each in self.reports)


def invoke(
    records: Iterable[dict[str, Any]], handler: Any, seconds: float, **options: Any
) -> Invocation:
    """Call a handler as Lambda does, with so much time."""
    reports: list[WorkerReport] = []
    of_lambda = SQSHandler(QUEUE, handler, on_report=reports.append, **options)
    context = LambdaContext(seconds)
    answer = of_lambda({"Records": list(records)}, context)
    left = context.get_remaining_time_in_millis() / 1000
    return Invocation(get_failures(answer), seconds - left, reports)


@pytest.mark.parametrize("swallows", [False, True])
def test_a_handler_that_hangs(*, swallows: bool) -> None:
    """It is returned with those that were not begun, in Lambda's time; the others were handled."""
    handler = Hanging("d", swallows=swallows)
    invocation = invoke(map(make_record, "abcdefghij"), handler, 2)

    assert list("defghij") == invocation.failures
    assert list("abc") == handler.handled
    assert invocation.seconds < 2
    assert (1, 6) == (invocation.count(MessageTimedOut), invocation.count(MessageReturned))
    assert swallows == invocation.count(HandlerGivenUp)


def test_others_go_on_beside_one_that_hangs() -> None:
    """With more concurrency, it is returned alone."""
    handler = Hanging("d")
    invocation = invoke(map(make_record, "abcdefghij"), handler, 2, concurrency=2)

    assert ["d"] == invocation.failures
    assert list("abcefghij") == sorted(handler.handled)


def test_a_time_limit_for_each_handler() -> None:
    """One that hangs leaves time for the others."""
    handler = Hanging("a", "d")
    invocation = invoke(map(make_record, "abcdef"), handler, 30, handler_timeout=0.05)

    assert ["a", "d"] == invocation.failures
    assert list("bcef") == handler.handled
    assert invocation.seconds < 10
    assert 2 == invocation.count(MessageTimedOut)


def test_a_group_after_one_that_hangs() -> None:
    """Its rest is returned, and other groups are handled."""
    handler = Hanging("a1")
    records = make_fifo_records("a1", "b1", "a2", "b2")
    invocation = invoke(records, handler, 30, handler_timeout=0.05)

    assert ["a1", "a2"] == invocation.failures
    assert ["b1", "b2"] == handler.handled


@pytest.mark.parametrize("limit", [{"seconds": 2}, {"seconds": 30, "handler_timeout": 0.05}])
def test_a_plain_function_that_hangs(limit: dict[str, Any]) -> None:
    """A thread cannot be cancelled: the invocation ends without it."""
    may_end = threading.Event()
    handled: list[str] = []

    def step(message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        if message.event.aggregate_id == "b":
            may_end.wait(30)
        handled.append(message.event.aggregate_id)

    invocation = invoke(map(make_record, "ab"), step, **limit)
    assert (["b"], ["a"]) == (invocation.failures, handled)
    may_end.set()

    assert 1 == invocation.count(HandlerGivenUp)
    assert invocation.seconds < 10


def test_a_thread_of_a_handler_that_hangs() -> None:
    """An invocation does not wait for what `asyncio.to_thread` began, as `asyncio.run` does."""
    may_end = threading.Event()

    async def step(_: NotificationMessage[Stepped], __: SQSMessageContext) -> None:
        await asyncio.to_thread(may_end.wait, 10)

    invocation = invoke([make_record("a")], step, 2)
    may_end.set()

    assert ["a"] == invocation.failures
    assert invocation.seconds < 2


def test_no_time_is_left() -> None:
    """Whatever can still be handled is."""
    handler = Hanging("b")
    invocation = invoke(map(make_record, "abc"), handler, 0.05)

    assert invocation.failures[-2:] == ["b", "c"]


def test_invocations_one_after_the_other() -> None:
    """Each has an event loop of its own, and plain functions the threads of the one before."""
    threads: set[int] = set()

    def step(_: NotificationMessage[Stepped], __: SQSMessageContext) -> None:
        threads.add(threading.get_ident())

    handler = SQSHandler(QUEUE, step)
    for _ in range(3):
        assert {"batchItemFailures": []} == handler({"Records": [make_record("a")]})
    assert 1 == len(threads)


def test_no_records() -> None:
    """Nothing fails."""
    assert [] == invoke([], Walker(), 1).failures


async def test_in_an_event_loop() -> None:
    """The error says what to do there."""
    with pytest.raises(RuntimeError, match="an event loop runs already"):
        SQSHandler(QUEUE, Walker())({"Records": [make_record("a")]})


def test_a_thread_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """The interpreter ends without it."""
    script = tmp_path / "hang.py"
    script.write_text(HANG)
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "{'batchItemFailures': [{'itemIdentifier': 'a'}]}\n" == result.stdout
    assert "destroyed" not in result.stderr


async def test_a_scope_of_anyio_that_is_cancelled() -> None:
    """Handlers end, although they are cancelled again and again, and no task is left."""
    ended: list[str] = []

    async def step(message: NotificationMessage[Stepped], _: SQSMessageContext) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(message.event.aggregate_id)

    handler = SQSHandler(QUEUE, step, concurrency=2)
    with anyio.move_on_after(0.05) as scope:
        await handler.handle_records([make_record(each) for each in "abc"])

    assert scope.cancelled_caught
    assert ["a", "b"] == sorted(ended)
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_cancelling_it_leaves_alone_what_swallows_that() -> None:
    """After half of the grace period."""
    handler = Hanging("a", swallows=True)
    reports: list[WorkerReport] = []
    of_lambda = SQSHandler(QUEUE, handler, grace_period=0.2, on_report=reports.append)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await of_lambda.handle_records([make_record("a")])
    handler.names = ()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.01)

    assert [HandlerGivenUp] == [type(each) for each in reports]


@pytest.mark.parametrize(
    "options",
    [
        {"grace_period": -1},
        {"handler_timeout": 0},
        {"handler_timeout": "1"},
        {"concurrency": "1"},
        {"concurrency": 1.5},
    ],
    ids=repr,
)
def test_options_out_of_their_bounds(options: dict[str, Any]) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SQSHandler(QUEUE, Walker(), **options)


def test_a_hook_that_cannot_be_called() -> None:
    """It is refused at once."""
    hook: Any = "print"
    with pytest.raises(TypeError, match="on_report cannot be called: 'print'"):
        SQSHandler(QUEUE, Walker(), on_report=hook)
