"""Cancellations, once or at each turn of the event loop, lose nothing and are waited out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Unpack

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import Event, EventStore, NotificationMessage, NotificationMessageQueue
from castore_in_memory import (
    DeadLetter,
    DeliveryOptions,
    Handler,
    InMemoryMessageQueueAdapter,
    MessageContext,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""


def reduce_parcel(_: str | None, event: Ordered) -> str:
    """Compute a parcel."""
    return event.aggregate_id


Message: TypeAlias = NotificationMessage[Ordered]
Queue: TypeAlias = NotificationMessageQueue[Ordered]
Adapter: TypeAlias = InMemoryMessageQueueAdapter[Message]
Canceller: TypeAlias = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]

parcels: EventStore[Ordered, Any] = EventStore(
    "PARCELS", event_types=[Ordered], reduce=reduce_parcel
)


def ordered(aggregate_id: str, version: int = 1) -> Message:
    """Make a message."""
    return NotificationMessage("PARCELS", Ordered(aggregate_id=aggregate_id, version=version))


def make_queue() -> Queue:
    """Make a queue without an adapter."""
    return NotificationMessageQueue("PARCEL_QUEUE", source_event_stores=(parcels,))


@pytest.fixture
def queue() -> Queue:
    """Return a queue without an adapter."""
    return make_queue()


async def turn(_: float = 0) -> None:
    """Let the others go on once."""
    await asyncio.sleep(0)


def attach(queue: Queue, worker: Handler[Message], **options: Unpack[DeliveryOptions]) -> Adapter:
    """Attach an adapter that does not wait before it retries."""
    options.setdefault("sleep", turn)
    return InMemoryMessageQueueAdapter.attach_to(queue, worker=worker, **options)


@dataclass
class Slow:
    """A worker that takes some turns for each message, and some more when it is cancelled."""

    events: list[str] = field(default_factory=list[str])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, message: Message, _: MessageContext) -> None:
        """Handle a message."""
        self.events.append(f"{message.event.aggregate_id} begins")
        self.arrived.set()
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
            self.events.append(f"{message.event.aggregate_id} cleans up")
            raise
        self.events.append(f"{message.event.aggregate_id} ends")


class Stubborn:
    """A worker that ignores its cancellation until it is let go."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.arrived = asyncio.Event()
        self.running = 0
        self.seen: list[str] = []

    async def __call__(self, message: Message, _: MessageContext) -> None:
        """Handle a message."""
        self.running += 1
        assert 1 == self.running
        self.arrived.set()
        while not self.may_end.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue
        self.running -= 1
        self.seen.append(message.event.aggregate_id)


async def cancel_in_anyio(function: Callable[[], Awaitable[object]]) -> None:
    """Call a function in a scope of anyio that is cancelled, and so cancels at each await."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await function()
    assert scope.cancelled_caught


async def cancel_at_each_turn(function: Callable[[], Awaitable[object]]) -> None:
    """Call a function in a task that is cancelled at each turn of the event loop."""
    task = asyncio.ensure_future(function())
    while not task.done():
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def cancel_once(function: Callable[[], Awaitable[object]]) -> None:
    """Call a function in a task that is cancelled once."""
    task = asyncio.ensure_future(function())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


EACH_CANCELLER = pytest.mark.parametrize(
    "cancel", [cancel_in_anyio, cancel_at_each_turn, cancel_once]
)


async def close(adapter: Adapter) -> None:
    """Close an adapter."""
    await adapter.aclose()


async def leave(adapter: Adapter) -> None:
    """Leave an adapter that was entered."""
    async with adapter:
        await asyncio.sleep(60)


# Closing


@EACH_CANCELLER
@pytest.mark.parametrize("end", [close, leave])
async def test_a_cancelled_close_waits_for_the_handlers(
    queue: Queue, cancel: Canceller, end: Callable[[Adapter], Awaitable[None]]
) -> None:
    """However often closing is cancelled, no handler runs after it, and no message is lost."""
    adapter = attach(queue, worker := Slow())
    await queue.publish_messages([ordered("a"), ordered("b"), ordered("a", 2)])
    await worker.arrived.wait()
    await cancel(lambda: end(adapter))
    assert ["a begins", "a cleans up"] == worker.events
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert ["a", "b", "a"] == [each.message.aggregate_id for each in adapter.pending]
    async with adapter:
        await adapter.join()
    assert ["a ends", "b ends", "a ends"] == [each for each in worker.events if "ends" in each]


async def test_a_task_group_of_anyio_closes(queue: Queue) -> None:
    """An adapter in a task group of anyio that is cancelled closes before the group ends."""
    worker = Slow()
    adapter = attach(queue, worker)
    async with anyio.create_task_group() as group, adapter:
        await queue.publish_messages([ordered("a"), ordered("b")])
        await worker.arrived.wait()
        group.cancel_scope.cancel()
        await anyio.sleep(60)
    assert ["a begins", "a cleans up"] == worker.events
    assert 2 == len(adapter.pending)


async def test_closing_is_not_held_up_for_ever(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that ignores its cancellation is left behind, which is logged as an error."""
    adapter = attach(queue, worker := Stubborn())
    await queue.publish_messages([ordered("a"), ordered("b")])
    await worker.arrived.wait()
    async with asyncio.timeout(5):
        await adapter.aclose(grace_period=0.01)
    [record] = caplog.records
    assert (logging.ERROR, "a") == (record.levelno, record.__dict__["aggregate_id"])
    assert f"{__name__}.Stubborn still runs 0.01 s after it was cancelled: OR" in record.message
    assert 2 == len(adapter.pending)
    worker.may_end.set()
    with pytest.raises(RuntimeError, match=r"1 message\(s\) that nobody handles: it is closed"):
        await adapter.join()
    assert ["a"] == worker.seen


@EACH_CANCELLER
async def test_a_cancelled_close_is_not_held_up_for_ever(queue: Queue, cancel: Canceller) -> None:
    """The grace period holds as well when closing is cancelled."""
    adapter = attach(queue, worker := Stubborn())
    await queue.publish_message(ordered("a"))
    await worker.arrived.wait()
    async with asyncio.timeout(5):
        await cancel(lambda: adapter.aclose(grace_period=0.01))
    worker.may_end.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert ([], ["a"]) == (adapter.pending, worker.seen)


async def test_no_grace_is_no_wait(queue: Queue) -> None:
    """With a grace period of 0, handlers are cancelled and not waited for."""
    adapter = attach(queue, worker := Stubborn())
    await queue.publish_message(ordered("a"))
    await worker.arrived.wait()
    await adapter.aclose(grace_period=0)
    worker.may_end.set()
    await adapter.join()
    assert ["a"] == worker.seen


async def test_an_adapter_opens_again_behind_a_handler(queue: Queue) -> None:
    """A handler that was left behind still has one message at a time when the adapter reopens."""
    adapter = attach(queue, worker := Stubborn())
    await queue.publish_messages([ordered("a"), ordered("b")])
    await worker.arrived.wait()
    await adapter.aclose(grace_period=0.01)
    async with adapter:
        worker.arrived.clear()
        await asyncio.sleep(0.01)
        assert not worker.arrived.is_set()
        worker.may_end.set()
        async with asyncio.timeout(5):
            await worker.arrived.wait()  # without another publish or join
        await adapter.join()
    assert ["a", "b"] == worker.seen


async def test_the_hook_may_finish(queue: Queue) -> None:
    """Closing does not cancel the hook for dead letters within the grace period."""
    told: list[int] = []
    arrived = asyncio.Event()

    def fail(_: Message, __: MessageContext) -> None:
        raise ConnectionError

    async def tell(dead_letter: DeadLetter) -> None:
        arrived.set()
        await asyncio.sleep(0.01)
        told.append(dead_letter.attempts)

    adapter = attach(queue, fail, retry_attempts=0, on_dead_letter=tell)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await arrived.wait()
    await adapter.aclose()
    assert ([1], ["b"]) == (told, [each.message.aggregate_id for each in adapter.pending])


async def test_the_hook_is_cancelled_in_the_end(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook that takes longer than the grace period is cancelled, and that is logged."""
    arrived = asyncio.Event()

    def fail(_: Message, __: MessageContext) -> None:
        raise ConnectionError

    async def tell(_: DeadLetter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    adapter = attach(queue, fail, retry_attempts=0, on_dead_letter=tell)
    await queue.publish_message(ordered("a"))
    await arrived.wait()
    await adapter.aclose(grace_period=0.01)
    await adapter.join()
    assert "on_dead_letter failed" in caplog.messages[-1].splitlines()[0]
    assert ([], 1) == (adapter.pending, len(adapter.dead_letters))


async def test_a_sleep_that_ignores_its_cancellation_begins_nothing(queue: Queue) -> None:
    """A retry whose waiting is not cancelled does not begin in a closed adapter."""
    seen: list[int] = []
    slept = asyncio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    def fail(_: Message, context: MessageContext) -> None:
        seen.append(context.attempt)
        raise ConnectionError

    adapter = attach(queue, fail, sleep=sleep)
    await queue.publish_message(ordered("a"))
    await slept.wait()
    await adapter.aclose()
    await asyncio.sleep(0.01)
    assert ([1], 1) == (seen, len(adapter.pending))


# Joining, publishing and handling


@EACH_CANCELLER
async def test_a_cancelled_join_changes_nothing(queue: Queue, cancel: Canceller) -> None:
    """A cancelled join ends, and the handlers go on."""
    adapter = attach(queue, worker := Slow())
    await queue.publish_messages([ordered("a"), ordered("b")])
    await worker.arrived.wait()
    await cancel(adapter.join)
    await adapter.join()
    assert ["a begins", "a ends", "b begins", "b ends"] == worker.events


async def test_a_cancelled_publish_is_whole(queue: Queue) -> None:
    """A publish in a cancelled scope takes all of its messages, because it waits for nothing."""
    adapter = attach(queue, worker := Slow())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await queue.publish_messages([ordered("a"), ordered("b")])
    await adapter.join()
    assert ["a ends", "b ends"] == [each for each in worker.events if "ends" in each]


async def test_a_worker_may_have_scopes(queue: Queue) -> None:
    """A scope of anyio that ends in a worker leaves the worker as it was."""
    seen: list[str] = []

    async def work(message: Message, context: MessageContext) -> None:
        with anyio.move_on_after(0.001):
            await anyio.sleep(60)
        if context.attempt == 1:
            with anyio.fail_after(0.001):
                await anyio.sleep(60)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 60)
            group.cancel_scope.cancel()
        seen.append(f"{message.event.aggregate_id}{context.attempt}")

    adapter = attach(queue, work)
    await queue.publish_messages([ordered("a"), ordered("b")])
    await adapter.join()
    assert ["a2", "b2"] == sorted(seen)


@given(
    messages=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=8),
    turns=st.lists(st.integers(0, 3), max_size=30),
)
async def test_cancelled_tasks_lose_nothing(
    messages: list[tuple[str, int]], turns: list[int]
) -> None:
    """Whatever tasks are cancelled, and how often, all is handled or a dead letter, in order."""
    queue = make_queue()
    failures = dict(enumerate((count for _, count in messages), 1))
    handled: list[int] = []

    async def work(message: Message, context: MessageContext) -> None:
        await asyncio.sleep(0)
        version = message.event.version
        if context.attempt <= failures[version]:
            raise ConnectionError
        handled.append(version)

    adapter = attach(queue, work)
    await queue.publish_messages(
        [ordered(name, version) for version, (name, _) in enumerate(messages, 1)]
    )
    for count in turns:
        for _ in range(count):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    await adapter.join()
    dead = [each.message.version for each in adapter.dead_letters]
    assert sorted(failures) == sorted({*handled, *filter(None, dead)})
    assert [] == adapter.pending
    for name in "abc":
        versions = [each for each in handled if messages[each - 1][0] == name]
        assert sorted(versions) == versions
