"""Mistakes with adapters and handlers are errors where they are made."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any
from unittest.mock import AsyncMock

import pytest

from castore_core import (
    Event,
    EventStore,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
)
from castore_in_memory import (
    InMemoryMessageBusAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""


def reduce_parcel(_: str | None, event: Ordered) -> str:
    """Compute a parcel."""
    return event.aggregate_id


parcels: EventStore[Ordered, Any] = EventStore(
    "PARCELS", event_types=[Ordered], reduce=reduce_parcel
)
ordered = NotificationMessage("PARCELS", Ordered(aggregate_id="a", version=1))


@pytest.fixture
def queue() -> Any:
    """Return a queue without an adapter, of which the type checker knows nothing."""
    return NotificationMessageQueue("PARCEL_QUEUE", source_event_stores=(parcels,))


@pytest.fixture
def bus() -> Any:
    """Return a bus without an adapter, of which the type checker knows nothing."""
    return NotificationMessageBus("PARCEL_BUS", source_event_stores=(parcels,))


# Adapters


async def test_a_second_adapter_of_a_queue_is_refused(queue: Any) -> None:
    """The first adapter keeps its messages, and the error says how to replace it."""
    seen: list[Any] = []
    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=lambda each, _: seen.append(each))
    expected = (
        r"^NotificationMessageQueue\('PARCEL_QUEUE'\) already has an adapter, "
        r"InMemoryMessageQueueAdapter\('PARCEL_QUEUE'\), which would get no more messages: "
        r"close it first, or set message_channel_adapter to replace it$"
    )
    with pytest.raises(RuntimeError, match=expected):
        InMemoryMessageQueueAdapter.attach_to(queue)
    await queue.publish_message(ordered)
    await adapter.join()
    assert [ordered] == seen


async def test_a_second_adapter_of_a_bus_is_refused(bus: Any) -> None:
    """The listeners of the first adapter keep listening."""
    seen: list[Any] = []
    adapter = InMemoryMessageBusAdapter.attach_to(bus)
    adapter.on(lambda message, _: seen.append(message))
    with pytest.raises(RuntimeError, match="already has an adapter"):
        InMemoryMessageBusAdapter.attach_to(bus)
    await bus.publish_message(ordered)
    await adapter.join()
    assert [ordered] == seen


def test_an_adapter_of_another_kind_is_not_replaced(queue: Any) -> None:
    """An adapter that is not in memory is not silenced either."""
    queue.message_channel_adapter = other = object()
    with pytest.raises(RuntimeError, match="already has an adapter"):
        InMemoryMessageQueueAdapter.attach_to(queue)
    assert other is queue.message_channel_adapter


async def test_a_closed_adapter_is_replaced(queue: Any) -> None:
    """An adapter that takes no more messages gives way."""
    first = InMemoryMessageQueueAdapter.attach_to(queue)
    await first.aclose()
    second = InMemoryMessageQueueAdapter.attach_to(queue)
    assert second is queue.message_channel_adapter


def test_an_adapter_is_replaced_by_hand(queue: Any) -> None:
    """An assignment replaces any adapter."""
    InMemoryMessageQueueAdapter.attach_to(queue)
    queue.message_channel_adapter = second = InMemoryMessageQueueAdapter(queue)
    assert second is queue.message_channel_adapter


@pytest.mark.parametrize("make", ["attach_to", "__call__"])
def test_a_queue_and_a_bus_are_not_confused(queue: Any, bus: Any, make: str) -> None:
    """An adapter for the other kind of channel is refused, and the channel stays as it is."""
    expected = r"InMemoryMessageQueueAdapter needs a MessageQueue, and got .*Bus\('PARCEL_BUS'\)$"
    with pytest.raises(TypeError, match=expected):
        _make(InMemoryMessageQueueAdapter, make)(bus)
    expected = r"InMemoryMessageBusAdapter needs a MessageBus, and got .*Queue\('PARCEL_QUEUE'\)$"
    with pytest.raises(TypeError, match=expected):
        _make(InMemoryMessageBusAdapter, make)(queue)
    assert queue.message_channel_adapter is bus.message_channel_adapter is None


def _make(adapter_class: Any, name: str) -> Callable[[Any], object]:
    return adapter_class if name == "__call__" else getattr(adapter_class, name)


def test_adapters_tell_their_kind() -> None:
    """A channel can tell an adapter for queues from one for buses."""
    assert ("queue", "bus") == (
        InMemoryMessageQueueAdapter.channel_kind,
        InMemoryMessageBusAdapter.channel_kind,
    )


# Workers and listeners


class Handles:
    """A class whose instances could be workers."""

    def __init__(self, *_: object) -> None: ...

    def __call__(self, message: Any, context: MessageContext) -> None:
        """Handle a message."""


def iterate(_: Any, __: MessageContext) -> Generator[int]:
    """Handle nothing, because nobody iterates."""
    yield 1


async def iterate_later(_: Any, __: MessageContext) -> AsyncGenerator[int]:
    """Handle nothing, because nobody iterates."""
    yield 1


def take_one(_: Any) -> None:
    """Take no context."""


def need_three(_: Any, __: MessageContext, number: int) -> None:
    """Take too much."""


MISTAKES = {
    "class": (Handles, f"is a class, not a function: {__name__}.Handles$"),
    "text": ("worker", "is not a function, but a str$"),
    "number": (3, "is not a function, but a int$"),
    "generator": (iterate, f"is a generator function: {__name__}.iterate$"),
    "async generator": (iterate_later, f"is a generator function: {__name__}.iterate_later$"),
    "partial of a generator": (partial(iterate), "is a generator function"),
    "one parameter": (take_one, rf"does not take \(message, context\): {__name__}.take_one$"),
    "three parameters": (need_three, r"does not take \(message, context\)"),
}


@pytest.mark.parametrize(("mistake", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_a_worker_is_a_function(queue: Any, mistake: Any, reason: str) -> None:
    """A worker that would handle nothing is refused, and no adapter is attached."""
    with pytest.raises(TypeError, match=f"worker {reason}"):
        InMemoryMessageQueueAdapter.attach_to(queue, worker=mistake)
    assert queue.message_channel_adapter is None
    adapter = InMemoryMessageQueueAdapter(queue)
    with pytest.raises(TypeError, match=f"worker {reason}"):
        adapter.worker = mistake
    assert adapter.worker is None


@pytest.mark.parametrize(("mistake", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_a_listener_is_a_function(bus: Any, mistake: Any, reason: str) -> None:
    """A listener that would handle nothing is refused, with and without filters."""
    adapter: Any = InMemoryMessageBusAdapter(bus)
    with pytest.raises(TypeError, match=f"listener {reason}"):
        adapter.on(mistake)
    with pytest.raises(TypeError, match=f"listener {reason}"):
        adapter.on(event_type=Ordered)(mistake)


def test_a_class_of_events_is_no_listener(bus: Any) -> None:
    """Who forgets the keyword is told of it."""
    adapter: Any = InMemoryMessageBusAdapter(bus)
    with pytest.raises(TypeError, match=r"write on\(event_type=.*Ordered"):
        adapter.on(Ordered)


def test_an_event_type_is_a_class(bus: Any) -> None:
    """The name of an event type is not its class."""
    adapter: Any = InMemoryMessageBusAdapter(bus)
    with pytest.raises(TypeError, match="event_type is not a class of events: 'ORDERED'"):
        adapter.on(event_type="ORDERED")


@pytest.mark.parametrize("option", ["on_dead_letter", "sleep"])
def test_hooks_are_functions(queue: Any, option: str) -> None:
    """The functions among the options are looked at, too."""
    for mistake in (Handles, "text", iterate, need_three):
        options: dict[str, Any] = {option: mistake}
        with pytest.raises(TypeError, match=f"^{option} "):
            InMemoryMessageQueueAdapter(queue, **options)


async def test_sound_workers_are_taken(queue: Any) -> None:
    """Objects, methods, partial functions, mocks and decorated functions are workers."""

    def inject(function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def injected(*arguments: Any) -> object:
            return function(*arguments, 3)

        return injected

    adapter: Any = InMemoryMessageQueueAdapter(queue)
    sound: list[Any] = [
        Handles(),
        Handles().__call__,
        partial(need_three, number=3),
        inject(need_three),
        AsyncMock(),
        print,
    ]
    for worker in sound:
        adapter.worker = worker
        assert worker is adapter.worker


async def test_a_generator_is_a_failure(queue: Any) -> None:
    """A function that returns a generator has handled nothing, and that is no success."""

    def work(message: Any, context: MessageContext) -> Any:
        return iterate_later(message, context)

    adapter = InMemoryMessageQueueAdapter(queue, worker=work, retry_attempts=0)
    await adapter.publish_message(queue.message_to_record(ordered))
    await adapter.join()
    assert [TypeError] == [type(each.error) for each in adapter.dead_letters]


# Contexts

tenant: ContextVar[str] = ContextVar("tenant")


async def test_a_worker_sees_the_context_of_its_publisher(queue: Any) -> None:
    """The context variables are those of the message's own publish, in each attempt."""
    seen: list[str] = []

    async def work(_: Any, context: MessageContext) -> None:
        seen.append(tenant.get())
        tenant.set("worker")
        if context.attempt == 1:
            raise ConnectionError

    async def publish(name: str) -> None:
        tenant.set(name)
        await queue.publish_message(ordered)

    adapter = InMemoryMessageQueueAdapter.attach_to(queue, worker=work, retry_delay=0)
    await asyncio.gather(publish("first"), publish("second"))
    await adapter.join()
    assert ["first", "first", "second", "second"] == sorted(seen)
