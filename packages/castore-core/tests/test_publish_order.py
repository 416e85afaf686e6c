"""Publishes of one aggregate are kept in order, within one process."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from castore_core import (
    ConnectedEventStore,
    Event,
    EventPublishError,
    EventStore,
    MessageRecord,
    NotificationMessageQueue,
)
from castore_core._publish_order import get_publish_order
from castore_in_memory import InMemoryEventStorageAdapter


class Counted(Event, type="COUNTED"):
    """Some more."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    return Counter(event.aggregate_id, event.version)


CounterStore = EventStore[Counted, Counter]
Place = tuple[str, int]


class SlowAdapter:
    """Takes some messages only when they are let through."""

    def __init__(self, *slow: Place) -> None:
        self.gates = {each: asyncio.Event() for each in slow}
        self.errors: dict[Place, BaseException] = {}
        self.begun: list[Place] = []
        self.taken: list[Place] = []
        self.on_taken: Callable[[Place], Awaitable[object]] | None = None

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take a message, once it may go."""
        assert not replay
        place = message.aggregate_id, message.version or 0
        self.begun.append(place)
        if place in self.gates:
            await self.gates[place].wait()
        if place in self.errors:
            raise self.errors[place]
        self.taken.append(place)
        if self.on_taken is not None:
            await self.on_taken(place)

    async def publish_messages(self, *_: Any, **__: Any) -> None:
        """Fail: nobody publishes several."""
        raise AssertionError


def make_counters() -> CounterStore:
    """Return an empty store."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


def connect(
    adapter: SlowAdapter, counters: CounterStore | None = None
) -> ConnectedEventStore[Counted, Counter]:
    """Return a store that publishes to an adapter."""
    counters = counters or make_counters()
    channel = NotificationMessageQueue(
        "QUEUE", source_event_stores=(counters,), message_channel_adapter=adapter
    )
    return ConnectedEventStore(counters, channel)


async def push(store: CounterStore, aggregate_id: str, version: int) -> asyncio.Task[Any]:
    """Begin to push an event, and return when it is written."""
    task = asyncio.create_task(store.push_event(Counted(aggregate_id, version)))
    await settle()
    return task


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_slow_publish_is_not_overtaken() -> None:
    """The later event waits for the earlier one, and that of another aggregate does not."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    tasks = [await push(store, *each) for each in (("c", 1), ("c", 2), ("d", 1), ("c", 3))]
    assert [("d", 1)] == adapter.taken
    adapter.gates["c", 1].set()
    await asyncio.gather(*tasks)

    assert [("d", 1), ("c", 1), ("c", 2), ("c", 3)] == adapter.taken


async def test_a_publish_waits_for_a_write_whose_answer_is_late() -> None:
    """Another push may be written and answered before the earlier one hears of its own."""

    class LateStorage(InMemoryEventStorageAdapter):
        async def push_event(
            self, event_store_id: str, record: Any, *, force: bool = False
        ) -> None:
            await super().push_event(event_store_id, record, force=force)
            if record.version == 1:
                await answer.wait()

    answer = asyncio.Event()
    adapter = SlowAdapter()
    store = connect(adapter)
    store.storage_adapter = LateStorage()
    tasks = [await push(store, "c", version) for version in (1, 2)]
    assert [] == adapter.taken
    answer.set()
    await asyncio.gather(*tasks)

    assert [("c", 1), ("c", 2)] == adapter.taken


async def test_a_failed_publish_lets_the_next_one_go() -> None:
    """Its error is its own caller's."""
    adapter = SlowAdapter(("c", 1))
    adapter.errors["c", 1] = OSError("no network")
    store = connect(adapter)
    first, second = [await push(store, "c", version) for version in (1, 2)]
    adapter.gates["c", 1].set()

    with pytest.raises(EventPublishError):
        await first
    await second
    assert [("c", 2)] == adapter.taken


async def test_a_cancelled_publish_lets_the_next_one_go() -> None:
    """It is cancelled at once."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    first, second = [await push(store, "c", version) for version in (1, 2)]
    first.cancel()
    await second

    assert first.cancelled()
    assert [("c", 2)] == adapter.taken


async def test_a_cancelled_turn_reorders_nothing() -> None:
    """A caller that gives up while it waits leaves the others where they are."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    first, second, third = [await push(store, "c", version) for version in (1, 2, 3)]
    second.cancel()
    await settle()
    assert second.cancelled()
    assert [("c", 1)] == adapter.begun
    adapter.gates["c", 1].set()
    await asyncio.gather(first, third)

    assert [("c", 1), ("c", 3)] == adapter.taken


async def test_a_failed_push_holds_up_nobody() -> None:
    """A conflict ends its turn."""
    adapter = SlowAdapter()
    store = connect(adapter)
    results = await asyncio.gather(
        *(store.push_event(Counted("c", 1)) for _ in range(5)), return_exceptions=True
    )
    await store.push_event(Counted("c", 2))

    assert 4 == sum(isinstance(each, Exception) for each in results)
    assert [("c", 1), ("c", 2)] == adapter.taken


async def test_groups_keep_the_order_too() -> None:
    """Of each of their aggregates, with single pushes and with one another."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    first = asyncio.create_task(
        EventStore.push_event_group(
            store.group_event(Counted("c", 1)), store.group_event(Counted("d", 1))
        )
    )
    await settle()
    second = asyncio.create_task(
        EventStore.push_event_group(
            store.group_event(Counted("d", 2)), store.group_event(Counted("c", 2))
        )
    )
    await settle()
    third = await push(store, "c", 3)
    assert [("c", 1)] == adapter.begun
    adapter.gates["c", 1].set()
    await asyncio.gather(first, second, third)

    assert [("c", 1), ("d", 1), ("d", 2), ("c", 2), ("c", 3)] == adapter.taken


async def test_groups_do_not_wait_for_each_other() -> None:
    """Neither where each has an earlier event of an aggregate of the other."""
    adapter = SlowAdapter()
    store = connect(adapter)
    store.storage_adapter = InMemoryEventStorageAdapter(allow_gaps=True)

    async with asyncio.timeout(5):
        await asyncio.gather(
            EventStore.push_event_group(
                store.group_event(Counted("c", 2)), store.group_event(Counted("d", 1))
            ),
            EventStore.push_event_group(
                store.group_event(Counted("d", 2)), store.group_event(Counted("c", 1))
            ),
        )

    assert {("c", 1), ("c", 2), ("d", 1), ("d", 2)} == {*adapter.taken}


async def test_all_stores_of_a_channel_share_the_order() -> None:
    """A program may connect a store anew for each request."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    other = ConnectedEventStore(store.event_store, store.message_channel)
    tasks = [await push(store, "c", 1), await push(other, "c", 2)]
    assert [("c", 1)] == adapter.begun
    adapter.gates["c", 1].set()
    await asyncio.gather(*tasks)

    assert [("c", 1), ("c", 2)] == adapter.taken


async def test_nested_connections_keep_the_order() -> None:
    """On each channel."""
    inner_adapter, outer_adapter = SlowAdapter(("c", 1)), SlowAdapter(("c", 1))
    inner = connect(inner_adapter)
    outer = connect(outer_adapter, inner)
    tasks = [await push(outer, "c", version) for version in (1, 2)]
    outer_adapter.gates["c", 1].set()
    await settle()
    assert [("c", 1), ("c", 2)] == outer_adapter.taken
    assert [] == inner_adapter.taken
    inner_adapter.gates["c", 1].set()
    await asyncio.gather(*tasks)

    assert [("c", 1), ("c", 2)] == inner_adapter.taken


async def test_a_push_while_a_channel_publishes_does_not_wait() -> None:
    """The channel may await the handler that pushes."""
    adapter = SlowAdapter()
    store = connect(adapter)

    async def push_next(place: Place) -> None:
        if place == ("c", 1):
            await store.push_event(Counted("c", 2))

    adapter.on_taken = push_next
    async with asyncio.timeout(5):
        await store.push_event(Counted("c", 1))

    assert [("c", 1), ("c", 2)] == adapter.taken


async def test_tasks_that_a_publish_has_begun_wait_as_all_do() -> None:
    """Once it has ended."""
    adapter = SlowAdapter(("c", 2))
    store = connect(adapter)
    is_time = asyncio.Event()

    async def push_the_third() -> None:
        await is_time.wait()
        await store.push_event(Counted("c", 3))

    tasks: list[asyncio.Task[Any]] = []

    async def begin(place: Place) -> None:
        if place == ("c", 1):
            tasks.append(asyncio.create_task(push_the_third()))

    adapter.on_taken = begin
    await store.push_event(Counted("c", 1))
    tasks.append(await push(store, "c", 2))
    is_time.set()
    await settle()
    assert [("c", 1)] == adapter.taken
    adapter.gates["c", 2].set()
    await asyncio.gather(*tasks)

    assert [("c", 1), ("c", 2), ("c", 3)] == adapter.taken


async def test_event_loops_of_other_threads_keep_the_order() -> None:
    """The turn passes from one event loop to another."""
    adapter = SlowAdapter(("c", 1))
    store = connect(adapter)
    first = await push(store, "c", 1)
    thread = threading.Thread(target=asyncio.run, args=[store.push_event(Counted("c", 2))])
    thread.start()
    while not await store.get_events("c", min_version=2):  # noqa: ASYNC110 another thread pushes
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert [("c", 1)] == adapter.begun
    adapter.gates["c", 1].set()
    await first
    await asyncio.to_thread(thread.join)

    assert [("c", 1), ("c", 2)] == adapter.taken


async def test_nothing_is_kept_of_pushes_that_have_ended() -> None:
    """However they ended."""
    adapter = SlowAdapter(("c", 1))
    adapter.errors["d", 1] = OSError("no network")
    store = connect(adapter)
    tasks = [await push(store, *each) for each in (("c", 1), ("c", 2), ("d", 1), ("d", 1))]
    assert 1 == len(get_publish_order(store.message_channel))
    tasks[1].cancel()
    adapter.gates["c", 1].set()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert 0 == len(get_publish_order(store.message_channel))
