"""Failures are seen: in the log, in what join raises, and in bounded dead letters."""

import asyncio
import gc
import logging
import traceback
import weakref
from collections.abc import Generator
from functools import partial
from typing import Any, TypeAlias, Unpack

import pytest
from pydantic import BaseModel

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageQueue,
    Event,
    EventStore,
    MessageRecord,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
)
from castore_in_memory import (
    DeadLetter,
    DeliveryOptions,
    Handler,
    InMemoryMessageBusAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)

PASSWORD = "hunter2"  # noqa: S105 it is looked for in the log
LOGGER = "castore_in_memory"


class SignedUp(Event, type="SIGNED_UP"):
    """Somebody chose a password."""

    payload: str
    metadata: str


class Account(BaseModel):
    """A model that no password fits."""

    password: int


class Large:
    """A local that should not be kept."""


def reduce_account(_: str | None, event: SignedUp) -> str:
    """Compute an account."""
    return event.aggregate_id


Message: TypeAlias = NotificationMessage[SignedUp]
Queue: TypeAlias = NotificationMessageQueue[SignedUp]
Adapter: TypeAlias = InMemoryMessageQueueAdapter[Message]

accounts: EventStore[SignedUp, Any] = EventStore(
    "ACCOUNTS", event_types=[SignedUp], reduce=reduce_account
)
UNREADABLE = MessageRecord("ACCOUNTS", "ada", 1, "SIGNED_UP", {"eventStoreId": PASSWORD})


def signed_up(aggregate_id: str = "ada", version: int = 1) -> Message:
    """Make a message."""
    event = SignedUp(
        aggregate_id=aggregate_id, version=version, payload=PASSWORD, metadata=PASSWORD
    )
    return NotificationMessage("ACCOUNTS", event)


def validate(message: Message, _: MessageContext) -> None:
    """Fail with an error that shows the payload, because of one that does so, too."""
    try:
        Account.model_validate({"password": message.event.payload})
    except ValueError as error:
        raise LookupError(message.event.payload) from error


async def no_wait(_: float) -> None:
    """Sleep for no time at all."""


async def for_ever(_: float) -> None:
    """Sleep until cancelled."""
    await asyncio.Event().wait()


@pytest.fixture
def queue() -> Queue:
    """Return a queue without an adapter."""
    return NotificationMessageQueue("SIGN_UPS", source_event_stores=(accounts,))


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Generator[pytest.LogCaptureFixture]:
    """Give the log, and let no value of an event be in it."""
    yield caplog
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr([vars(each) for each in caplog.records])


def attach(
    queue: Queue, worker: Handler[Message] | None = None, **options: Unpack[DeliveryOptions]
) -> Adapter:
    """Attach an adapter that does not wait before it retries, unless it is told to."""
    options.setdefault("sleep", no_wait)
    return InMemoryMessageQueueAdapter.attach_to(queue, worker=worker, **options)


# The log


async def test_each_failure_is_logged_once(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """Failures that a retry follows are warnings, and the last one is an error."""
    adapter = attach(queue, validate)
    await queue.publish_message(signed_up())
    await adapter.join()
    assert [
        (LOGGER, logging.WARNING, 1, 2),
        (LOGGER, logging.WARNING, 2, 1),
        (LOGGER, logging.ERROR, 3, 0),
    ] == [
        (each.name, each.levelno, each.__dict__["attempt"], each.__dict__["retries_left"])
        for each in log.records
    ]


async def test_a_record_has_the_ids(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A record has the ids of its message and the type of the error, also as attributes."""
    adapter = attach(queue, validate, retry_attempts=1)
    await queue.publish_message(signed_up(version=7))
    await adapter.join()
    for record in log.records:
        expected = {
            "event_store_id": "ACCOUNTS",
            "aggregate_id": "ada",
            "version": 7,
            "event_type": "SIGNED_UP",
            "error_type": "LookupError",
        }
        assert expected.items() <= vars(record).items()
    place = "SIGNED_UP, version 7 of aggregate 'ada' in event store 'ACCOUNTS'"
    name = f"InMemoryMessageQueueAdapter('SIGN_UPS'): {{}}{__name__}.validate"
    assert [
        f"{name.format('')} failed at attempt 1 (1 retries left): {place}",
        f"{name.format('dead letter: ')} failed at attempt 2, the last: {place}",
    ] == [each.splitlines()[0] for each in log.messages]


async def test_a_record_has_the_frames(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A record shows the frames and the types of all errors, and none of their texts."""
    adapter = attach(queue, validate, retry_attempts=0)
    await queue.publish_message(signed_up())
    await adapter.join()
    [text] = log.messages
    assert ", in validate\n    raise LookupError(message.event.payload) from error\n" in text
    assert "\npydantic_core._pydantic_core.ValidationError\n" in text
    assert text.endswith("\nLookupError")


async def test_each_listener_is_logged(log: pytest.LogCaptureFixture) -> None:
    """The records of a bus name the listener that failed."""
    bus = NotificationMessageBus("SIGN_UPS", source_event_stores=(accounts,))
    adapter = InMemoryMessageBusAdapter.attach_to(bus, retry_attempts=0)
    adapter.on(validate)
    adapter.on(partial(validate))
    adapter.on(lambda _, __: None)
    await bus.publish_message(signed_up())
    await adapter.join()
    assert 2 == len([each for each in log.messages if f"{__name__}.validate failed" in each])
    assert 2 == len(log.messages)


async def test_an_unreadable_message_is_logged(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A message that the queue cannot parse is an error."""
    adapter = attach(queue, validate)
    await adapter.publish_message(UNREADABLE)
    await adapter.join()
    [record] = log.records
    assert (logging.ERROR, 0) == (record.levelno, record.__dict__["attempt"])
    assert f"could not be parsed for {__name__}.validate: SIGNED_UP" in record.message


@pytest.mark.parametrize("skip", [True, False])
async def test_unknown_types_can_be_skipped(log: pytest.LogCaptureFixture, skip: bool) -> None:
    """An event of an unknown type is passed over where the queue says so, and else an error."""
    queue = NotificationMessageQueue(
        "SIGN_UPS", source_event_stores=(accounts,), skip_unknown_types=skip
    )
    seen: list[str] = []
    adapter = attach(queue, lambda message, _: seen.append(message.event.aggregate_id))
    record = queue.message_to_record(signed_up())
    event: Any = record.body["event"]
    body = record.body | {"event": event | {"type": "SIGNED_OUT"}}
    await adapter.publish_messages([record._replace(type="SIGNED_OUT", body=body), record])
    await adapter.join()
    assert ["ada"] == seen
    failures = [] if skip else ["castore_core.errors.UnknownEventTypeError"]
    assert failures == [each.__dict__["error_type"] for each in log.records]
    assert len(failures) == len(adapter.dead_letters)


class BrokenQueue(NotificationMessageQueue[SignedUp]):
    """A queue whose codec fails with an error that is no Exception."""

    error: BaseException

    def parse_message(self, body: Any) -> Message:  # noqa: ARG002 it fails with any
        """Fail."""
        raise self.error


async def test_a_codec_that_panics_holds_up_nothing(log: pytest.LogCaptureFixture) -> None:
    """A codec may fail like one that is written in Rust: its message is a dead letter."""
    queue = BrokenQueue("SIGN_UPS", source_event_stores=(accounts,))
    queue.error = pytest.fail.Exception(PASSWORD)
    adapter = attach(queue, validate)
    await queue.publish_messages([signed_up("ada"), signed_up("bob")])
    await adapter.join()
    assert ["ada", "bob"] == [each.message.aggregate_id for each in adapter.dead_letters]
    assert 2 == len(log.records)


def test_a_codec_that_exits_keeps_its_message() -> None:
    """A codec that ends the process is no failure of its message."""
    queue = BrokenQueue("SIGN_UPS", source_event_stores=(accounts,))
    queue.error = SystemExit(3)
    adapter = attach(queue, validate)

    async def run() -> None:
        await queue.publish_message(signed_up())
        await adapter.join()

    with pytest.raises(SystemExit):
        asyncio.run(run())
    assert (1, []) == (len(adapter.pending), adapter.dead_letters)


async def test_a_message_without_a_version_is_logged(log: pytest.LogCaptureFixture) -> None:
    """A message about an aggregate is named by the aggregate alone."""
    queue = AggregateExistsMessageQueue("IDS", source_event_stores=(accounts,))

    def fail(_: AggregateExistsMessage, __: MessageContext) -> None:
        raise ConnectionError(PASSWORD)

    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=fail, retry_attempts=0)
    event = signed_up().event
    await queue.publish_message(AggregateExistsMessage("ACCOUNTS", "ada", event.timestamp))
    await adapter.join()
    place = "__AGGREGATE_EXISTS__, aggregate 'ada' in event store 'ACCOUNTS'"
    assert log.messages[0].splitlines()[0].endswith(place)


async def test_a_cancelled_error_of_the_worker_is_logged(
    queue: Queue, log: pytest.LogCaptureFixture
) -> None:
    """A worker that awaits something cancelled has failed, and that is seen."""

    async def work(_: Message, context: MessageContext) -> None:
        if context.retries_left:
            raise asyncio.CancelledError

    adapter = attach(queue, work, retry_attempts=1)
    await queue.publish_message(signed_up())
    await adapter.join()
    assert ["asyncio.exceptions.CancelledError"] == [
        each.__dict__["error_type"] for each in log.records
    ]


async def test_success_is_not_logged(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A message that is handled leaves no record, and neither does a closed adapter."""
    adapter = attach(queue, lambda _, __: None)
    await queue.publish_message(signed_up())
    await adapter.join()
    await queue.publish_message(signed_up())
    await adapter.aclose()
    assert [] == log.records


async def test_an_error_of_the_hook_is_logged(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """The hook may fail in any way: that is logged, and the queue goes on."""

    def fail(_: DeadLetter) -> None:
        pytest.fail(PASSWORD)  # not even an Exception

    seen: list[str] = []

    def work(message: Message, _: MessageContext) -> None:
        seen.append(message.event.aggregate_id)
        raise ConnectionError

    adapter = attach(queue, work, retry_attempts=0, on_dead_letter=fail)
    await queue.publish_messages([signed_up("ada"), signed_up("bob")])
    await adapter.join()
    texts = [each.splitlines()[0] for each in log.messages if "on_dead_letter failed" in each]
    assert (["ada", "bob"], 2) == (seen, len(texts))


async def test_an_error_of_sleep_is_logged(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A sleep that fails loses no retry: it comes at once."""
    attempts: list[int] = []

    def work(_: Message, context: MessageContext) -> None:
        attempts.append(context.attempt)
        raise ConnectionError

    def sleep(_: float) -> Any:  # no coroutine function, as time.sleep is none
        return None

    adapter = attach(queue, work, retry_attempts=1, sleep=sleep)
    await queue.publish_message(signed_up())
    await adapter.join()
    assert [1, 2] == attempts
    assert ["ConnectionError", "TypeError", "ConnectionError"] == [
        each.__dict__["error_type"] for each in log.records
    ]


def test_errors_stay_out_of_the_log_of_asyncio(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """A worker that fails when its event loop ends is not logged with the text of its error."""
    arrived = asyncio.Event()

    async def work(message: Message, _: MessageContext) -> None:
        arrived.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionError(message.event.payload)

    attach(queue, work)

    async def leave_early() -> None:
        await queue.publish_message(signed_up())
        await arrived.wait()

    asyncio.run(leave_early())
    gc.collect()
    assert [LOGGER] == [each.name for each in log.records]


# Joining


async def test_failing_messages_are_joined_soon(queue: Queue) -> None:
    """With the options as they are, a worker that always fails does not hold up a test."""
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=validate)
    await queue.publish_message(signed_up())
    async with asyncio.timeout(5):
        await adapter.join()
    assert 1 == len(adapter.dead_letters)


async def test_join_tells_what_is_left(queue: Queue) -> None:
    """A join that takes too long names each message, and tells where it is."""
    arrived = asyncio.Event()

    async def work(message: Message, _: MessageContext) -> None:
        if message.event.aggregate_id == "ada":
            raise ConnectionError
        arrived.set()
        await asyncio.Event().wait()

    adapter = attach(queue, work, sleep=for_ever)
    names = [("ada", 1), ("ada", 2), ("bob", 1), ("eve", 1)]
    await queue.publish_messages([signed_up(*each) for each in names])
    await arrived.wait()
    with pytest.raises(TimeoutError) as caught:
        await adapter.join(timeout=0.01)
    intro, _, rest = str(caught.value).partition(": ")
    assert "after 0.01 s, InMemoryMessageQueueAdapter('SIGN_UPS') has 4 message(s) left" == intro
    name = f"{work.__module__}.{work.__qualname__}"
    assert [
        f"aggregate 'ada' in event store 'ACCOUNTS' waits for retry 1 of 2 by {name}",
        f"aggregate 'ada' in event store 'ACCOUNTS' waits for {name}",
        f"aggregate 'bob' in event store 'ACCOUNTS' is handled by {name}, attempt 1",
        f"aggregate 'eve' in event store 'ACCOUNTS' waits for {name}",
    ] == [each.partition(" of ")[2] for each in rest.split("; ")]
    assert 4 == len(adapter.pending)
    await adapter.aclose()


async def test_join_names_ten_messages(queue: Queue) -> None:
    """The messages after the tenth are counted."""
    adapter = attach(queue, validate, sleep=for_ever)
    await queue.publish_messages([signed_up(version=each) for each in range(1, 14)])
    with pytest.raises(TimeoutError, match=r"13 message\(s\) left: .*; and 3 more$"):
        await adapter.join(timeout=0)
    await adapter.aclose()


async def test_join_tells_of_the_hook(queue: Queue) -> None:
    """A join that waits for the hook says so."""

    async def tell(_: DeadLetter) -> None:
        await asyncio.Event().wait()

    adapter = attach(queue, validate, retry_attempts=0, on_dead_letter=tell)
    await queue.publish_message(signed_up())
    with pytest.raises(TimeoutError, match=r"0 message\(s\) left: on_dead_letter is running$"):
        await adapter.join(timeout=0.01)
    await adapter.aclose(grace_period=0.01)


async def test_join_tells_that_a_worker_is_missing(queue: Queue) -> None:
    """A worker that was taken away is not what the messages behind it wait for."""
    arrived, is_open = asyncio.Event(), asyncio.Event()

    async def work(_: Message, __: MessageContext) -> None:
        arrived.set()
        await is_open.wait()

    adapter = attach(queue, work)
    await queue.publish_messages([signed_up("ada"), signed_up("bob")])
    await arrived.wait()
    adapter.worker = None
    with pytest.raises(TimeoutError, match=r"'ada'.* is handled by .*work, attempt 1; .* worker$"):
        await adapter.join(timeout=0)
    is_open.set()
    with pytest.raises(RuntimeError, match=r"1 message.* it has no worker"):
        await adapter.join()


async def test_join_goes_on_after_a_timeout(queue: Queue) -> None:
    """A timeout ends the waiting, and nothing else."""
    is_open = asyncio.Event()
    seen: list[str] = []

    async def work(message: Message, _: MessageContext) -> None:
        await is_open.wait()
        seen.append(message.event.aggregate_id)

    adapter = attach(queue, work)
    await queue.publish_message(signed_up())
    with pytest.raises(TimeoutError):
        await adapter.join(timeout=0.01)
    is_open.set()
    await adapter.join(timeout=5)
    assert ["ada"] == seen


async def test_join_ends_where_messages_do_not(queue: Queue) -> None:
    """The timeout holds as well where each message leads to the next one."""

    async def work(message: Message, _: MessageContext) -> None:
        await queue.publish_message(message)

    adapter = attach(queue, work)
    await queue.publish_message(signed_up())
    with pytest.raises(TimeoutError):
        await adapter.join(timeout=0.01)
    await adapter.aclose()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_seconds_have_bounds(queue: Queue, seconds: float) -> None:
    """A timeout or a grace period that is no number of seconds is refused."""
    adapter = attach(queue)
    with pytest.raises(ValueError, match="timeout is not 0 or more"):
        await adapter.join(timeout=seconds)
    with pytest.raises(ValueError, match="grace_period is not 0 or more"):
        await adapter.aclose(grace_period=seconds)


async def test_join_tells_why_nobody_handles(queue: Queue) -> None:
    """A closed adapter and a missing worker are told apart."""
    adapter = attach(queue)
    await queue.publish_message(signed_up())
    with pytest.raises(RuntimeError, match="nobody handles: it has no worker"):
        await adapter.join()
    await adapter.aclose()
    with pytest.raises(RuntimeError, match="nobody handles: it is closed"):
        await adapter.join()


# Dead letters


async def test_dead_letters_have_a_bound(queue: Queue, log: pytest.LogCaptureFixture) -> None:
    """The oldest dead letters are dropped, which is logged and counted; the hook has them all."""
    told: list[DeadLetter] = []
    options = DeliveryOptions(max_dead_letters=2, retry_attempts=0, on_dead_letter=told.append)
    adapter = attach(queue, validate, **options)
    await queue.publish_messages([signed_up(each) for each in "abcd"])
    await adapter.join()
    assert ["c", "d"] == [each.message.aggregate_id for each in adapter.dead_letters]
    assert (2, 4) == (adapter.dropped_dead_letters, len(told))
    dropped = [each for each in log.records if "the oldest of more than 2" in each.message]
    assert ["a", "b"] == [each.__dict__["aggregate_id"] for each in dropped]
    assert {logging.ERROR} == {each.levelno for each in dropped}


async def test_no_dead_letter_may_be_kept(queue: Queue) -> None:
    """With a bound of 0 the hook has each dead letter, and none of them counts as dropped."""
    told: list[DeadLetter] = []
    options = DeliveryOptions(max_dead_letters=0, retry_attempts=0, on_dead_letter=told.append)
    adapter = attach(queue, validate, **options)
    await queue.publish_message(signed_up())
    await adapter.join()
    assert ([], 0, 1) == (adapter.dead_letters, adapter.dropped_dead_letters, len(told))


@pytest.mark.parametrize("most", [-1, 1.5, True, None])
def test_the_bound_is_a_count(queue: Queue, most: Any) -> None:
    """A bound that counts nothing is refused."""
    with pytest.raises(ValueError, match="max_dead_letters"):
        InMemoryMessageQueueAdapter(queue, max_dead_letters=most)


async def test_a_dead_letter_keeps_no_locals(queue: Queue) -> None:
    """The locals of a failed worker are freed, also those of errors behind its error."""
    kept: list[weakref.ref[Large]] = []

    def work(_: Message, __: MessageContext) -> None:
        large: Any = Large()
        kept.append(weakref.ref(large))
        try:
            large.missing()
        except AttributeError:
            raise ConnectionError("lost") from None

    adapter = attach(queue, work, retry_attempts=1)
    await queue.publish_message(signed_up())
    await adapter.join()
    gc.collect()
    [dead] = adapter.dead_letters
    assert ("lost", None) == (str(dead.error), dead.error.__traceback__)
    assert [None, None] == [each() for each in kept]


@pytest.mark.parametrize("hook_fails", [False, True])
async def test_the_hook_sees_the_traceback(queue: Queue, hook_fails: bool) -> None:
    """The error has its frames until the hook is through, and no longer."""
    frames: list[str] = []

    async def tell(dead_letter: DeadLetter) -> None:
        await asyncio.sleep(0)
        frames.extend(traceback.format_tb(dead_letter.error.__traceback__))
        if hook_fails:
            raise ConnectionError

    adapter = attach(queue, validate, retry_attempts=0, on_dead_letter=tell)
    await queue.publish_message(signed_up())
    await adapter.join()
    assert "in validate" in frames[-1]
    [dead] = adapter.dead_letters
    assert (None, None) == (
        dead.error.__traceback__,
        dead.error.__cause__ and dead.error.__cause__.__traceback__,
    )
