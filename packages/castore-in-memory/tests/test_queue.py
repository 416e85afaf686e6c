"""The in-memory queue: its worker, retries, dead letters, and its ends and beginnings."""

import asyncio
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias, Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    Event,
    EventStore,
    InvalidMessageError,
    MessagePublishError,
    MessageRecord,
    NotificationMessage,
    NotificationMessageQueue,
)
from castore_in_memory import (
    DeadLetter,
    DeliveryOptions,
    Handler,
    InMemoryMessageQueueAdapter,
    MessageContext,
    PendingMessage,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: list[str]


@dataclass(frozen=True)
class Parcel:
    """A parcel on its way."""

    aggregate_id: str
    version: int


def reduce_parcel(_: Parcel | None, event: Ordered) -> Parcel:
    """Compute a parcel."""
    return Parcel(event.aggregate_id, event.version)


Message: TypeAlias = NotificationMessage[Ordered]
Queue: TypeAlias = NotificationMessageQueue[Ordered]
Adapter: TypeAlias = InMemoryMessageQueueAdapter[Message]

parcels = EventStore("PARCELS", event_types=[Ordered], reduce=reduce_parcel)


def ordered(aggregate_id: str, version: int = 1, payload: Sequence[str] = ()) -> Message:
    """Make a message."""
    event = Ordered(
        aggregate_id=aggregate_id, version=version, timestamp=NEW_YEAR, payload=[*payload]
    )
    return NotificationMessage("PARCELS", event)


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
UNREADABLE = MessageRecord("PARCELS", "a", 1, "ORDERED", {"eventStoreId": "PARCELS"})


@dataclass
class Clock:
    """Sleeps without waiting, and remembers for how long."""

    delays: list[float] = field(default_factory=list[float])

    async def __call__(self, seconds: float) -> None:
        """Sleep."""
        self.delays.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Worker:
    """Notes what it is told, after failing as often as it was asked to."""

    failures: dict[str, int] = field(default_factory=dict[str, int])
    seen: list[str] = field(default_factory=list[str])
    contexts: list[MessageContext] = field(default_factory=list[MessageContext])

    async def __call__(self, message: Message, context: MessageContext) -> None:
        """Handle a message."""
        await asyncio.sleep(0)
        self.contexts.append(context)
        name = f"{message.event.aggregate_id}{message.event.version}"
        if context.attempt <= self.failures.get(name, 0):
            self.seen.append(f"{name} failed")
            raise ConnectionError(name)
        self.seen.append(name)


class Gate:
    """A worker that waits until it is opened."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.arrived = asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, message: Message, _: MessageContext) -> None:
        """Handle a message."""
        self.arrived.set()
        await self.is_open.wait()
        self.seen.append(message.event.aggregate_id)


@pytest.fixture
def queue() -> Queue:
    """Return a queue without an adapter."""
    return NotificationMessageQueue("PARCEL_QUEUE", source_event_stores=(parcels,))


def attach(
    queue: Queue, worker: Handler[Message] | None = None, **options: Unpack[DeliveryOptions]
) -> Adapter:
    """Attach an adapter that does not wait before it retries, unless it is told to."""
    options.setdefault("sleep", Clock())
    return InMemoryMessageQueueAdapter.attach_to(queue, worker=worker, **options)


async def until(is_so: Callable[[], bool]) -> None:
    """Let others work until something is so."""
    while not is_so():  # noqa: ASYNC110 the fakes stay simple without an event each
        await asyncio.sleep(0)


async def nap(_: float) -> None:
    """Sleep long enough for others to go on."""
    await asyncio.sleep(0.01)


# The worker


def test_an_attached_adapter_is_the_one_of_the_queue(queue: Queue) -> None:
    """attach_to sets the adapter of the queue, and needs no event loop."""
    adapter = InMemoryMessageQueueAdapter.attach_to(queue)
    assert adapter is queue.get_message_channel_adapter()


def test_a_constructed_adapter_is_not_set(queue: Queue) -> None:
    """The constructor leaves the queue as it is."""
    InMemoryMessageQueueAdapter(queue)
    assert queue.message_channel_adapter is None


async def test_a_coroutine_function_works(queue: Queue) -> None:
    """A worker may be a coroutine function."""
    seen: list[Message] = []

    async def work(message: Message, _: MessageContext) -> None:
        await asyncio.sleep(0)
        seen.append(message)

    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=work)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [ordered("a")] == seen


async def test_a_function_works(queue: Queue) -> None:
    """A worker may be a plain function."""
    seen: list[Message] = []

    def work(message: Message, _: MessageContext) -> None:
        seen.append(message)

    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=work)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [ordered("a")] == seen


async def test_messages_are_handled_in_the_order_of_publishing(queue: Queue) -> None:
    """A worker sees all messages in order, whatever their aggregates."""
    worker = Worker()
    adapter = attach(queue, worker)
    await queue.publish_messages([ordered("a"), ordered("a", 2), ordered("b")])
    await queue.publish_message(ordered("a", 3))
    await adapter.join()
    assert ["a1", "a2", "b1", "a3"] == worker.seen


async def test_a_worker_has_one_message_at_a_time(queue: Queue) -> None:
    """The next message waits until the worker is done with the one before."""
    gate = Gate()
    adapter = attach(queue, gate)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await gate.arrived.wait()
    await asyncio.sleep(0.001)
    assert [] == gate.seen
    gate.is_open.set()
    await adapter.join()
    assert ["a", "b"] == gate.seen


async def test_publishing_does_not_wait_for_the_worker(queue: Queue) -> None:
    """A publish returns while the worker has not begun."""
    worker = Worker()
    adapter = attach(queue, worker)
    await queue.publish_message(ordered("a"))
    assert [] == worker.seen
    await adapter.join()


async def test_the_context_tells_of_the_first_attempt(queue: Queue) -> None:
    """A worker is told its attempt, the retries left, and that the message is no replay."""
    worker = Worker()
    adapter = attach(queue, worker, retry_attempts=3)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [MessageContext(attempt=1, retries_left=3, replay=False)] == worker.contexts


async def test_a_worker_shares_nothing_with_the_publisher(queue: Queue) -> None:
    """What the publisher does to its payload afterwards does not reach the worker."""
    message = ordered("a", payload=["book"])
    seen: list[list[str]] = []
    adapter = attach(queue, lambda message, _: seen.append(message.event.payload))
    await queue.publish_message(message)
    message.event.payload.append("pen")
    await adapter.join()
    assert [["book"]] == seen


async def test_each_attempt_has_a_copy_of_its_own(queue: Queue) -> None:
    """What a worker does to a payload before it fails is not seen by its next attempt."""
    seen: list[list[str]] = []

    def spoil(message: Message, context: MessageContext) -> None:
        seen.append(list(message.event.payload))
        message.event.payload.clear()
        if context.retries_left:
            raise ConnectionError

    adapter = attach(queue, spoil)
    await queue.publish_message(ordered("a", payload=["book"]))
    await adapter.join()
    assert [["book"]] * 3 == seen


async def test_messages_wait_for_a_worker(queue: Queue) -> None:
    """What is published without a worker is pending, and handled once there is one."""
    worker = Worker()
    adapter = attach(queue)
    await queue.publish_message(ordered("a"))
    await queue.publish_message(ordered("b"), replay=True)
    expected = [
        PendingMessage(queue.message_to_record(ordered("a")), replay=False),
        PendingMessage(queue.message_to_record(ordered("b")), replay=True),
    ]
    assert expected == adapter.pending
    adapter.worker = worker
    await adapter.join()
    assert ["a1", "b1"] == worker.seen


async def test_setting_a_worker_is_enough(queue: Queue) -> None:
    """A worker that is set while an event loop runs begins by itself."""
    gate = Gate()
    adapter = attach(queue)
    await queue.publish_message(ordered("a"))
    adapter.worker = gate
    await asyncio.wait_for(gate.arrived.wait(), timeout=5)
    gate.is_open.set()
    await adapter.join()


async def test_a_worker_may_be_taken_away(queue: Queue) -> None:
    """Without its worker, the adapter keeps what it has."""
    adapter = attach(queue)

    def resign(_: Message, __: MessageContext) -> None:
        adapter.worker = None

    adapter.worker = resign
    await queue.publish_messages([ordered("a"), ordered("b")])
    with pytest.raises(RuntimeError, match="1 message"):
        await adapter.join()
    assert ["b"] == [each.message.aggregate_id for each in adapter.pending]


async def test_a_worker_may_publish(queue: Queue) -> None:
    """A worker publishes to its own queue, and join waits for that too."""
    seen: list[int] = []

    async def count(message: Message, _: MessageContext) -> None:
        version = message.event.version
        seen.append(version)
        if version < 3:
            await queue.publish_message(ordered("a", version + 1))

    adapter = attach(queue, count)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [1, 2, 3] == seen


# Retries


async def test_a_failed_message_is_tried_again(queue: Queue) -> None:
    """A worker that raises has the message again, and is told which attempt it is."""
    worker = Worker(failures={"a1": 2})
    adapter = attach(queue, worker)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert ["a1 failed", "a1 failed", "a1"] == worker.seen
    assert [(1, 2), (2, 1), (3, 0)] == [
        (each.attempt, each.retries_left) for each in worker.contexts
    ]


async def test_a_plain_function_may_raise(queue: Queue) -> None:
    """An error of a plain function is retried like that of a coroutine."""
    attempts: list[int] = []

    def work(_: Message, context: MessageContext) -> None:
        attempts.append(context.attempt)
        raise ConnectionError

    adapter = attach(queue, work)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [1, 2, 3] == attempts


async def test_the_delays_are_short(queue: Queue) -> None:
    """Retries come after a tenth of a second, and then after twice as long."""
    clock = Clock()
    adapter = attach(queue, Worker(failures={"a1": 9}), sleep=clock)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [0.1, 0.2] == clock.delays


async def test_delays_grow_by_the_backoff_rate(queue: Queue) -> None:
    """Each delay is longer than the one before it by the given factor."""
    clock = Clock()
    options = DeliveryOptions(retry_attempts=3, retry_delay=2, retry_backoff_rate=1.5, sleep=clock)
    adapter = attach(queue, Worker(failures={"a1": 9}), **options)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [2, 3, 4.5] == clock.delays


async def test_a_delay_is_waited_for(queue: Queue) -> None:
    """Without a sleep of the user's own, a retry comes after real seconds."""
    worker = Worker(failures={"a1": 1})
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=worker, retry_delay=0.02)
    start = asyncio.get_running_loop().time()
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert asyncio.get_running_loop().time() - start >= 0.019


async def test_a_retry_holds_back_its_aggregate_alone(queue: Queue) -> None:
    """Later messages of the aggregate wait for the retry; those of others do not."""
    worker = Worker(failures={"a1": 1})
    adapter = attach(queue, worker, sleep=nap)
    messages = [ordered("a"), ordered("a", 2), ordered("b"), ordered("a", 3)]
    await queue.publish_messages(messages)
    await adapter.join()
    assert ["a1 failed", "b1", "a1", "a2", "a3"] == worker.seen


async def test_what_comes_during_a_retry_keeps_its_order(queue: Queue) -> None:
    """A message that is published while an earlier one waits stays behind it."""
    slept = asyncio.Event()

    async def sleep(_: float) -> None:
        await slept.wait()

    worker = Worker(failures={"a1": 1})
    adapter = attach(queue, worker, sleep=sleep)
    await queue.publish_message(ordered("a"))
    await until(lambda: bool(worker.seen))
    await queue.publish_messages([ordered("a", 2), ordered("b")])
    await until(lambda: "b1" in worker.seen)
    slept.set()
    await adapter.join()
    assert ["a1 failed", "b1", "a1", "a2"] == worker.seen


@given(
    messages=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12),
    closed_after=st.integers(0, 40),
)
async def test_order_and_completeness_survive_failures(
    messages: list[tuple[str, int]], closed_after: int
) -> None:
    """Whatever fails, and whenever the adapter closes, all is told once, in each one's order."""
    queue = NotificationMessageQueue("PARCEL_QUEUE", source_event_stores=(parcels,))
    published = [ordered(each, version) for version, (each, _) in enumerate(messages, 1)]
    failures = {f"{name}{version}": n for version, (name, n) in enumerate(messages, 1)}
    adapter = attach(queue, worker := Worker(failures))
    await queue.publish_messages(published)
    for _ in range(closed_after):
        await asyncio.sleep(0)
    await adapter.aclose()
    async with adapter:
        await adapter.join()
    dead = [f"{each.message.aggregate_id}{each.message.version}" for each in adapter.dead_letters]
    handled = [each for each in worker.seen if "failed" not in each]
    assert sorted(failures) == sorted(handled + dead)
    assert sorted(dead) == sorted(each for each, count in failures.items() if count > 2)
    for name in "abc":
        versions = [int(each[1:]) for each in handled if each[0] == name]
        assert sorted(versions) == versions


async def test_aggregates_of_two_stores_are_not_one(queue: Queue) -> None:
    """An aggregate of another store with the same id does not wait for the retry."""
    worker = Worker(failures={"a1": 1})
    letters = EventStore("LETTERS", event_types=[Ordered], reduce=reduce_parcel)
    queue = NotificationMessageQueue("BOTH", source_event_stores=(parcels, letters))
    adapter = attach(queue, worker, sleep=nap)
    other = NotificationMessage("LETTERS", ordered("a", 2).event)
    await queue.publish_messages([ordered("a"), other])
    await adapter.join()
    assert ["a1 failed", "a2", "a1"] == worker.seen


async def test_replay_survives_the_retries(queue: Queue) -> None:
    """The replay flag is the same in each attempt."""
    worker = Worker(failures={"a1": 1})
    adapter = attach(queue, worker)
    await queue.publish_message(ordered("a"), replay=True)
    await adapter.join()
    assert [True, True] == [each.replay for each in worker.contexts]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("retry_attempts", -1),
        ("retry_attempts", 1.5),
        ("retry_attempts", True),
        ("retry_delay", -0.1),
        ("retry_delay", float("nan")),
        ("retry_delay", float("inf")),
        ("retry_backoff_rate", 0.5),
        ("retry_backoff_rate", float("inf")),
    ],
)
def test_options_have_bounds(queue: Queue, option: str, value: Any) -> None:
    """An option out of its bounds is refused, and named."""
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=option):
        InMemoryMessageQueueAdapter(queue, **options)


def test_delays_are_numbers(queue: Queue) -> None:
    """A backoff that leads beyond all numbers is refused before anything is published."""
    with pytest.raises(ValueError, match="retry_backoff_rate is too great"):
        InMemoryMessageQueueAdapter(queue, retry_attempts=10_000)
    InMemoryMessageQueueAdapter(queue, retry_attempts=10_000, retry_backoff_rate=1)


# Dead letters


async def test_the_last_failure_makes_a_dead_letter(queue: Queue) -> None:
    """A message whose retries all failed is a dead letter, with its last error."""
    worker = Worker(failures={"a1": 9})
    adapter = attach(queue, worker)
    await queue.publish_message(ordered("a"), replay=True)
    await adapter.join()
    [dead] = adapter.dead_letters
    assert queue.message_to_record(ordered("a")) == dead.message
    assert "a1" == str(dead.error)
    assert (3, True, worker) == (dead.attempts, dead.replay, dead.handler)


async def test_without_retries_the_first_failure_is_the_last(queue: Queue) -> None:
    """With retry_attempts=0 each message is tried once."""
    adapter = attach(queue, Worker(failures={"a1": 9}), retry_attempts=0)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [1] == [each.attempts for each in adapter.dead_letters]


async def test_a_dead_letter_lets_its_aggregate_go_on(queue: Queue) -> None:
    """What waited behind a dead letter is handled."""
    worker = Worker(failures={"a1": 9})
    adapter = attach(queue, worker, retry_attempts=1)
    await queue.publish_messages([ordered("a"), ordered("a", 2)])
    await adapter.join()
    assert ["a1 failed", "a1 failed", "a2"] == worker.seen


async def test_a_message_that_cannot_be_parsed_is_a_dead_letter(queue: Queue) -> None:
    """A body that is no message of the queue is never handed out, and not retried."""
    worker = Worker()
    adapter = attach(queue, worker)
    await adapter.publish_message(UNREADABLE)
    await adapter.join()
    [dead] = adapter.dead_letters
    assert (UNREADABLE, 0) == (dead.message, dead.attempts)
    assert isinstance(dead.error, InvalidMessageError)
    assert [] == worker.seen


async def test_the_hook_is_called_with_each_dead_letter(queue: Queue) -> None:
    """on_dead_letter may be a function."""
    told: list[DeadLetter] = []
    adapter = attach(queue, Worker({"a1": 9}), on_dead_letter=told.append)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert told == adapter.dead_letters
    assert 1 == len(told)


async def test_the_hook_is_awaited(queue: Queue) -> None:
    """on_dead_letter may be a coroutine function, and join waits for it."""
    told: list[int] = []

    async def tell(dead_letter: DeadLetter) -> None:
        await asyncio.sleep(0.001)
        told.append(dead_letter.attempts)

    adapter = attach(queue, Worker({"a1": 9}), on_dead_letter=tell)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [3] == told


async def test_a_dead_letter_can_be_published_again(queue: Queue) -> None:
    """The message of a dead letter is what the adapter takes."""
    worker = Worker({"a1": 9})
    adapter = attach(queue, worker, retry_attempts=0)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    worker.failures.clear()
    dead = adapter.dead_letters.pop()
    await adapter.publish_message(dead.message, replay=dead.replay)
    await adapter.join()
    assert ["a1 failed", "a1"] == worker.seen


async def test_what_is_not_json_is_not_taken(queue: Queue) -> None:
    """A batch names the message that was not taken, and takes all others."""
    worker = Worker()
    adapter = attach(queue, worker)
    good = queue.message_to_record(ordered("a"))
    body: Any = {"eventStoreId": {1, 2}}
    bad = MessageRecord("PARCELS", "b", 1, "ORDERED", body)
    with pytest.raises(MessagePublishError, match=r"body\.eventStoreId is not JSON") as caught:
        await adapter.publish_messages([good, bad])
    await adapter.join()
    assert [bad] == [message for message, _ in caught.value.failures]
    assert ["a1"] == worker.seen


# Cancellation, and other things that are no ordinary error


async def test_a_cancelled_error_of_the_worker_is_a_failure(queue: Queue) -> None:
    """A CancelledError that nobody asked for is retried like any error."""
    attempts: list[int] = []

    async def work(_: Message, context: MessageContext) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            raise asyncio.CancelledError

    adapter = attach(queue, work)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await adapter.join()
    assert [1, 1, 2, 2] == sorted(attempts)


async def test_an_error_that_is_no_exception_is_a_failure(queue: Queue) -> None:
    """A BaseException of the worker (a failed assertion of a test library) is a dead letter."""

    def work(_: Message, __: MessageContext) -> None:
        pytest.fail("no")

    adapter = attach(queue, work)
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert ["no"] == [str(each.error) for each in adapter.dead_letters]


async def test_a_worker_that_cancels_itself_has_failed(queue: Queue) -> None:
    """A worker that cancels its own task is retried, and stops no other message."""
    seen: list[str] = []

    async def work(message: Message, context: MessageContext) -> None:
        seen.append(message.event.aggregate_id)
        task = asyncio.current_task()
        if context.attempt == 1 and message.event.aggregate_id == "a" and task is not None:
            task.cancel()
            await asyncio.sleep(0)

    adapter = attach(queue, work)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await adapter.join()
    assert ["a", "a", "b"] == sorted(seen)


async def test_a_cancellation_that_was_not_taken_back_stops_nothing(queue: Queue) -> None:
    """A worker may cancel its task and swallow that, as old libraries for timeouts do."""
    seen: list[str] = []

    async def work(message: Message, context: MessageContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(f"{message.event.aggregate_id}{context.attempt}")
            if context.attempt == 1:
                raise TimeoutError from None

    adapter = attach(queue, work)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await adapter.join()
    assert ["a1", "a2", "b1", "b2"] == sorted(seen)


def test_system_exit_goes_through(queue: Queue) -> None:
    """A worker that exits ends the event loop, and its message stays."""

    def leave(_: Message, __: MessageContext) -> None:
        raise SystemExit(3)

    adapter = attach(queue, leave)

    async def run() -> None:
        await queue.publish_message(ordered("a"))
        await adapter.join()

    with pytest.raises(SystemExit):
        asyncio.run(run())
    assert 1 == len(adapter.pending)


# Joining and closing


async def test_join_of_an_idle_adapter_returns(queue: Queue) -> None:
    """There is nothing to wait for when nothing was published, worker or not."""
    adapter = attach(queue)
    await adapter.join()
    adapter.worker = Worker()
    await adapter.join()


async def test_join_without_a_worker_does_not_wait_for_ever(queue: Queue) -> None:
    """Messages that nobody handles make join raise."""
    adapter = attach(queue)
    await queue.publish_message(ordered("a"))
    with pytest.raises(RuntimeError, match=r"PARCEL_QUEUE.* 1 message\(s\) that nobody handles"):
        await adapter.join()


@pytest.mark.parametrize("method", ["join", "aclose"])
async def test_a_worker_cannot_wait_for_itself(queue: Queue, method: str) -> None:
    """A worker that joins or closes its own adapter fails, rather than wait for ever."""
    adapter = attach(queue, retry_attempts=0)
    adapter.worker = lambda _, __: getattr(adapter, method)()
    await queue.publish_message(ordered("a"))
    await adapter.join()
    assert [RuntimeError] == [type(each.error) for each in adapter.dead_letters]


async def test_closing_cancels_the_worker(queue: Queue) -> None:
    """The message of a cancelled worker stays pending, and so do those behind it."""
    adapter = attach(queue, gate := Gate())
    await queue.publish_messages([ordered("a"), ordered("b")])
    await gate.arrived.wait()
    await adapter.aclose()
    assert ["a", "b"] == [each.message.aggregate_id for each in adapter.pending]
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_closing_cancels_the_retries(queue: Queue) -> None:
    """A message that waits for its retry, and those behind it, stay pending."""
    worker = Worker(failures={"a1": 1})
    adapter = attach(queue, worker, sleep=asyncio.sleep)
    await queue.publish_messages([ordered("a"), ordered("a", 2), ordered("b")])
    await until(lambda: "b1" in worker.seen)
    await adapter.aclose()
    assert [1, 2] == [each.message.version for each in adapter.pending]
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_closing_waits_until_the_worker_has_cleaned_up(queue: Queue) -> None:
    """A worker may finish its message when it is cancelled; no other one is begun."""
    seen: list[str] = []
    arrived = asyncio.Event()

    async def stubborn(message: Message, _: MessageContext) -> None:
        arrived.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            seen.append(message.event.aggregate_id)

    adapter = attach(queue, stubborn)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await arrived.wait()
    await adapter.aclose()
    assert ["a"] == seen
    assert ["b"] == [each.message.aggregate_id for each in adapter.pending]


@pytest.mark.parametrize(("retries", "left"), [(0, 0), (1, 1)])
async def test_an_error_of_the_clean_up_is_a_failure(queue: Queue, retries: int, left: int) -> None:
    """A worker that raises when it is cancelled has failed: nothing is lost of that."""
    arrived = asyncio.Event()

    async def work(_: Message, __: MessageContext) -> None:
        arrived.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionError("clean-up")

    adapter = attach(queue, work, retry_attempts=retries)
    await queue.publish_message(ordered("a"))
    await arrived.wait()
    await adapter.aclose()
    assert (left, 1 - left) == (len(adapter.pending), len(adapter.dead_letters))
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_a_closed_adapter_takes_no_messages(queue: Queue) -> None:
    """A publish to a closed adapter raises, and names every message."""
    adapter = attach(queue, Worker())
    await adapter.aclose()
    with pytest.raises(MessagePublishError, match=r"PARCEL_QUEUE.* is closed") as caught:
        await queue.publish_messages([ordered("a"), ordered("b")])
    assert ["a", "b"] == [message.aggregate_id for message, _ in caught.value.failures]
    assert [] == adapter.pending


async def test_the_context_manager_closes(queue: Queue) -> None:
    """Leaving the adapter closes it."""
    async with attach(queue) as adapter:
        await queue.publish_message(ordered("a"))
    with pytest.raises(MessagePublishError):
        await queue.publish_message(ordered("b"))
    assert 1 == len(adapter.pending)


async def test_an_adapter_opens_again(queue: Queue) -> None:
    """Entering a closed adapter goes on with what is pending, at the attempt it had come to."""
    worker = Worker(failures={"a1": 1})
    adapter = attach(queue, worker, sleep=asyncio.sleep)
    await queue.publish_messages([ordered("a"), ordered("a", 2)])
    await until(lambda: bool(worker.seen))
    await adapter.aclose()
    async with adapter:
        await adapter.join()
    assert ["a1 failed", "a1", "a2"] == worker.seen
    assert [1, 2, 1] == [each.attempt for each in worker.contexts]


async def test_opening_is_enough(queue: Queue) -> None:
    """An adapter that is opened again begins by itself."""
    adapter = attach(queue, gate := Gate())
    await queue.publish_message(ordered("a"))
    await adapter.aclose()
    async with adapter:
        await asyncio.wait_for(gate.arrived.wait(), timeout=5)


async def test_a_closed_adapter_begins_nothing(queue: Queue) -> None:
    """A worker that is set when the adapter is closed has nothing to do."""
    adapter = attach(queue)
    await queue.publish_message(ordered("a"))
    await adapter.aclose()
    adapter.worker = worker = Worker()
    with pytest.raises(RuntimeError, match="1 message"):
        await adapter.join()
    assert [] == worker.seen


async def test_closing_twice_is_closing(queue: Queue) -> None:
    """A closed adapter may be closed again."""
    adapter = attach(queue, Worker())
    await adapter.aclose()
    await adapter.aclose()


# Event loops


def test_an_adapter_works_in_one_loop_after_the_other(queue: Queue) -> None:
    """An adapter that was used in one event loop can be used in the next one."""
    adapter = attach(queue, worker := Worker(failures={"a1": 1, "b1": 1}))

    async def run(aggregate_id: str) -> None:
        await queue.publish_message(ordered(aggregate_id))
        await adapter.join()

    asyncio.run(run("a"))
    asyncio.run(run("b"))
    assert ["a1 failed", "a1", "b1 failed", "b1"] == worker.seen


def test_what_a_loop_left_is_handled_in_the_next(queue: Queue) -> None:
    """What is being handled, waits for a retry or is behind it survives the end of its loop."""
    begun: list[str] = []

    async def work(message: Message, context: MessageContext) -> None:
        begun.append(f"{message.event.aggregate_id}{message.event.version}")
        if context.attempt == 1 and message.event.version == 1:
            await asyncio.sleep(60 if begun == ["a1", "b1"] else 0)
            raise ConnectionError

    async def sleep(_: float) -> None:
        await asyncio.sleep(0 if "b1" in begun else 60)

    adapter = attach(queue, work, sleep=sleep)

    async def leave_early() -> None:
        await queue.publish_messages([ordered("a"), ordered("a", 2), ordered("b")])
        await until(lambda: "b1" in begun)

    asyncio.run(leave_early())
    assert ["a1", "b1"] == begun
    assert 3 == len(adapter.pending)
    asyncio.run(adapter.join())
    assert ["a1", "b1", "a1", "a2", "b1", "b1"] == begun
    assert [] == adapter.pending


def ignore(_: object, __: object) -> None:
    """Pass over what a loop complains of."""


@pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning")
def test_a_loop_that_was_dropped_loses_nothing(queue: Queue) -> None:
    """Also an event loop that is closed without cancelling its tasks leaves the messages."""
    worker = Worker()
    adapter = attach(queue, worker)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ignore)
    loop.run_until_complete(queue.publish_message(ordered("a")))
    loop.close()
    asyncio.run(adapter.join())
    gc.collect()
    assert ["a1"] == worker.seen


async def test_two_loops_at_once_are_refused(queue: Queue) -> None:
    """Another thread's event loop cannot publish while the first one runs."""
    adapter = attach(queue, Worker())
    await queue.publish_message(ordered("a"))
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, queue.publish_message(ordered("b")))
    await adapter.join()


def test_a_loop_that_ends_leaves_no_task(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that raises when its loop ends is not retried by a task that nobody runs."""
    arrived = asyncio.Event()

    async def work(_: Message, __: MessageContext) -> None:
        arrived.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ConnectionError("clean-up")

    adapter = attach(queue, work)

    async def leave_early() -> None:
        await queue.publish_message(ordered("a"))
        await arrived.wait()

    asyncio.run(leave_early())
    gc.collect()
    assert ["castore_in_memory"] == [each.name for each in caplog.records]
    assert 1 == len(adapter.pending)


@pytest.mark.may_skip("tasks begin eagerly from Python 3.12 on")
@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="needs Python 3.12")
async def test_eager_tasks_change_nothing(queue: Queue) -> None:
    """A worker that publishes has one message at a time, also where tasks begin at once."""
    seen: list[str] = []

    async def work(message: Message, context: MessageContext) -> None:
        version = message.event.version
        seen.append(f"{version} begins")
        if version < 2:
            await queue.publish_message(ordered("a", version + 1))
        await asyncio.sleep(0)
        seen.append(f"{version} ends")
        if context.attempt == 1:
            raise ConnectionError

    factory: Any = getattr(asyncio, "eager_task_factory", None)
    asyncio.get_running_loop().set_task_factory(factory)
    adapter = attach(queue, work)
    await queue.publish_message(ordered("a"))
    assert [] == seen
    await adapter.join()
    expected = [1, 1, 2, 2]
    assert [f"{each} {what}" for each in expected for what in ("begins", "ends")] == seen[:8]
