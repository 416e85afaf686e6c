"""The log and the reports: they tell what went wrong, and nothing that a payload holds."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from castore_core import (
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    NotificationMessageQueue,
)
from castore_sqs import (
    HandlerGivenUp,
    MessageFailed,
    MessageReturned,
    MessageTimedOut,
    MessageUnreadable,
    SQSHandler,
    WorkerReport,
)

Make = Callable[..., Any]

SECRET = "hunter2"  # noqa: S105 of nobody


class Registered(Event, type="REGISTERED"):
    """An event with a secret, whose reader shows it in errors, as validators do."""

    payload: dict[str, Any]
    metadata: dict[str, Any] | None = None

    @classmethod
    def from_record(cls, record: EventRecord) -> Self:
        """Read a record, unless its payload says otherwise."""
        if record.payload == {"password": SECRET, "broken": True}:
            raise_secret(record.payload)
        return super().from_record(record)


def keep_last(_: Registered | None, event: Registered) -> Registered:
    """Keep the last event."""
    return event


USERS = EventStore("USERS", event_types=[Registered], reduce=keep_last)
SECRETS = {"payload": {"password": SECRET}, "metadata": {"password": SECRET}}
BROKEN = {"payload": {"password": SECRET, "broken": True}}


def raise_secret(value: object) -> None:
    """Raise an error that shows a value, caused by others that do."""
    try:
        try:
            raise KeyError(value)  # noqa: TRY301 the chain is the example
        except KeyError as error:
            raise ExceptionGroup(f"{value}", [TypeError(value), error]) from error
    except ExceptionGroup as error:
        failure = ValueError(f"not valid: input_value={value!r}")
        failure.add_note(f"note: {value!r}")
        raise failure from error


def make_body(name: str, **data: object) -> str:
    """Return a body about an aggregate."""
    event = {
        "aggregateId": name,
        "version": 1,
        "type": "REGISTERED",
        "timestamp": "2024-05-01T10:00:00.000Z",
        **data,
    }
    return json.dumps({"eventStoreId": "USERS", "event": event})


BODIES: dict[str, str] = {
    "unreadable": make_body("unreadable", **BROKEN),
    "of a foreign store": make_body("a", **SECRETS).replace("USERS", "STRANGERS"),
    "of a foreign type": make_body("a", **SECRETS, type="LEFT"),
    "no event": json.dumps({"eventStoreId": "USERS", "event": SECRET}),
    "no object": json.dumps([SECRET]),
    "no JSON": SECRET,
    "elsewhere": json.dumps({"messageUrl": f"https://bucket.s3.amazonaws.com/{SECRET}"}),
    "raising": make_body("raising", **SECRETS),
    "slow": make_body("slow", **SECRETS),
    "stubborn": make_body("stubborn", **SECRETS),
}


class Handler:
    """A handler that fails in all ways, and shows the secret in its errors."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def __call__(self, message: Any, _: object) -> None:
        """Fail."""
        match message.event.aggregate_id:
            case "slow":
                try:
                    await self.may_end.wait()
                finally:
                    raise_secret(message.event.payload)
            case "stubborn":
                while not self.may_end.is_set():
                    try:
                        await self.may_end.wait()
                    except asyncio.CancelledError:
                        continue
            case _:
                raise_secret(message.event.payload)


class Hook:
    """A hook that keeps reports, and raises their errors, or what they show."""

    def __init__(self) -> None:
        self.reports: list[WorkerReport] = []

    def __call__(self, report: WorkerReport) -> None:
        """Take a report."""
        self.reports.append(report)
        if isinstance(report, (MessageFailed, MessageUnreadable)):
            raise LookupError(SECRET) from report.error

    def count(self, kind: type[Any]) -> int:
        """Return how many reports there are of a kind."""
        return sum(isinstance(each, kind) for each in self.reports)


def raise_delay(attempt: int) -> int:
    """Give no delay."""
    raise LookupError(SECRET, attempt)


@pytest.fixture(autouse=True)
async def everything_is_logged(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Log all that there is, and each step of the event loop too."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    with caplog.at_level(logging.DEBUG):
        yield
    loop.set_debug(False)


def check(caplog: pytest.LogCaptureFixture, hook: Hook) -> None:
    """Check that nothing shows the secret."""
    assert SECRET not in caplog.text
    assert SECRET not in repr(hook.reports)
    steps = [each for each in caplog.records if each.name == "asyncio"]
    assert all(each.getMessage().startswith("Executing <") for each in steps)


async def test_a_worker_shows_no_payload(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, and whoever raises: types, ids and lines of code are enough."""
    queue = make_fake_queue()
    for each in BODIES.values():
        queue.put_body(each)
    hook, handler = Hook(), Handler()
    bench = make_bench(
        queue,
        plain_handler=handler,
        stores=[USERS],
        on_report=hook,
        handler_timeout=0.1,
        grace_period=0,
        retry_delay=raise_delay,
    )
    await bench.worker.__aenter__()
    await bench.until(lambda: hook.count(HandlerGivenUp))
    asyncio.get_running_loop().set_debug(False)  # it shows what `run` raises
    queue.script["receive"] = [RuntimeError(SECRET)]
    await bench.until(lambda: "ended, and handles nothing any more" in caplog.text)
    with pytest.raises(RuntimeError, match=SECRET):
        await bench.worker.__aexit__(None, None, None)
    handler.may_end.set()
    await asyncio.sleep(0.01)

    check(caplog, hook)
    assert (7, 1, 2) == (
        hook.count(MessageUnreadable),
        hook.count(MessageFailed),
        hook.count(MessageTimedOut),
    )
    for text in (
        f"'unreadable' in event store 'USERS': {EventDecodeError.__module__}.EventDecodeError\n",
        "\nValueError\n",
        "\nExceptionGroup\n",
        "KeyError\n",
        "raise failure from error\n",
        "event 1 (REGISTERED) of aggregate 'raising' in event store 'USERS': ValueError\n",
        "'STRANGERS' is not a source of message channel 'QUEUE'",
        "not a message of channel 'QUEUE': its body lies in S3: give the consumer a claim_check",
        "the hook for reports raised on a MessageFailed: LookupError\n",
        "retry_delay raised for attempt 1: LookupError\n",
    ):
        assert text in caplog.text


async def test_a_plain_function_shows_no_payload(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Its errors come from another thread."""
    queue = make_fake_queue()
    queue.put_body(make_body("raising", **SECRETS))
    hook = Hook()

    def handle(message: Any, _: object) -> None:
        raise_secret(message.event.payload)

    bench = make_bench(queue, plain_handler=handle, stores=[USERS], on_report=hook)
    async with bench.worker:
        await bench.until(lambda: hook.count(MessageFailed))

    check(caplog, hook)
    assert "of aggregate 'raising' in event store 'USERS': ValueError\n" in caplog.text


async def test_the_fields_of_a_record(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Structured logs find the ids without parsing a text."""
    queue = make_fake_queue()
    queue.put_body(make_body("raising", **SECRETS))
    bench = make_bench(queue, plain_handler=Handler(), stores=[USERS], on_report=None)
    async with bench.worker:
        await bench.until(lambda: "was not handled" in caplog.text)

    [record] = [each for each in caplog.records if each.name == "castore_sqs"]
    assert {
        "message_id": queue.messages[0].id,
        "attempt": 1,
        "event_store_id": "USERS",
        "aggregate_id": "raising",
        "version": 1,
        "event_type": "REGISTERED",
        "error_type": "ValueError",
    }.items() <= vars(record).items()


async def test_lambda_shows_no_payload(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does a handler of Lambda, for what is no record too."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(USERS,))
    records: list[dict[str, Any]] = [
        {"messageId": name, "body": body} for name, body in BODIES.items()
    ]
    records.append({"messageId": "no text", "body": {"password": SECRET}})
    hook, handler = Hook(), Handler()
    of_lambda = SQSHandler(queue, handler, concurrency=20, on_report=hook)
    answer = await of_lambda.handle_records(records, time_limit=0.5)
    handler.may_end.set()
    await asyncio.sleep(0.01)

    check(caplog, hook)
    assert [*BODIES, "no text"] == [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert (8, 1, 2, 1, 0) == (
        hook.count(MessageUnreadable),
        hook.count(MessageFailed),
        hook.count(MessageTimedOut),
        hook.count(HandlerGivenUp),
        hook.count(MessageReturned),
    )
    assert "message raising was not handled (attempt 1): event 1 (REGISTERED)" in caplog.text


async def test_texts_of_errors_are_logged_on_demand(
    make_fake_queue: Make, make_bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the log may hold what messages carry, the traceback is a whole one."""
    queue = make_fake_queue()
    queue.put_body(make_body("raising", **SECRETS))
    hook = Hook()
    bench = make_bench(
        queue, plain_handler=Handler(), stores=[USERS], on_report=hook, log_error_texts=True
    )
    async with bench.worker:
        await bench.until(lambda: hook.count(MessageFailed))

    assert f"ValueError: not valid: input_value={{'password': '{SECRET}'}}" in caplog.text
    assert "The above exception was the direct cause of the following exception" in caplog.text


async def test_the_hook_gets_the_error(make_fake_queue: Make, make_bench: Make) -> None:
    """As it was raised, for tools that may see it."""
    queue = make_fake_queue()
    queue.put_body(make_body("raising", **SECRETS))
    hook = Hook()
    bench = make_bench(queue, plain_handler=Handler(), stores=[USERS], on_report=hook)
    async with bench.worker:
        await bench.until(lambda: hook.count(MessageFailed))

    [failed] = [each for each in hook.reports if isinstance(each, MessageFailed)]
    assert SECRET in str(failed.error)
