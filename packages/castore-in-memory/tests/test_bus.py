"""The in-memory bus: its listeners, what they are told, and how they fail apart."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    DataclassCodec,
    Event,
    EventStore,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    MessagePublishError,
    MessageRecord,
    NotificationMessage,
    NotificationMessageBus,
    StateCarryingMessage,
    StateCarryingMessageBus,
)
from castore_in_memory import DeadLetter, InMemoryMessageBusAdapter, MessageContext, PendingMessage

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class ParcelEvent(Event):
    """Something that happened to a parcel."""


class Ordered(ParcelEvent, type="ORDERED"):
    """Somebody ordered a parcel."""


class Delivered(ParcelEvent, type="DELIVERED"):
    """The parcel is there."""


class LetterDelivered(Event, type="DELIVERED"):
    """A letter is there: the type has the name of another store's."""


class Lost(Event, type="LOST"):
    """An event that no store has."""


@dataclass(frozen=True)
class Item:
    """Something on its way."""

    aggregate_id: str
    version: int


def reduce_item(_: Item | None, event: Event) -> Item:
    """Compute an item."""
    return Item(event.aggregate_id, event.version)


parcels = EventStore[Ordered | Delivered, Item](
    "PARCELS",
    event_types=[Ordered, Delivered],
    reduce=reduce_item,
    aggregate_codec=DataclassCodec(Item),
)
letters = EventStore[LetterDelivered, Item](
    "LETTERS",
    event_types=[LetterDelivered],
    reduce=reduce_item,
    aggregate_codec=DataclassCodec(Item),
)
unknown = EventStore[Ordered, Item]("UNKNOWN", event_types=[Ordered], reduce=reduce_item)

PostEvent: TypeAlias = Ordered | Delivered | LetterDelivered
Message: TypeAlias = NotificationMessage[PostEvent]
Bus: TypeAlias = NotificationMessageBus[PostEvent]
Adapter: TypeAlias = InMemoryMessageBusAdapter[Message]

ordered = NotificationMessage("PARCELS", Ordered(aggregate_id="p", version=1, timestamp=NEW_YEAR))
delivered = NotificationMessage(
    "PARCELS", Delivered(aggregate_id="p", version=2, timestamp=NEW_YEAR)
)
letter = NotificationMessage(
    "LETTERS", LetterDelivered(aggregate_id="p", version=1, timestamp=NEW_YEAR)
)
ALL: list[Message] = [ordered, delivered, letter]


@dataclass
class Listener:
    """Notes what it is told, and fails in its first attempts."""

    failures: int = 0
    messages: list[Any] = field(default_factory=list[Any])
    contexts: list[MessageContext] = field(default_factory=list[MessageContext])

    async def __call__(self, message: Any, context: MessageContext) -> None:
        """Listen."""
        await asyncio.sleep(0)
        self.contexts.append(context)
        if context.attempt <= self.failures:
            raise ConnectionError("listener")
        self.messages.append(message)


async def no_wait(_: float) -> None:
    """Sleep for no time at all."""


async def for_ever(_: float) -> None:
    """Sleep until cancelled."""
    await asyncio.Event().wait()


@pytest.fixture
def bus() -> Bus:
    """Return a bus without an adapter."""
    return NotificationMessageBus("POST_BUS", source_event_stores=(parcels, letters))


@pytest.fixture
def adapter(bus: Bus) -> Adapter:
    """Return the adapter of the bus, that does not wait before it retries."""
    return InMemoryMessageBusAdapter.attach_to(bus, sleep=no_wait)


# Who is told what


def test_an_attached_adapter_is_the_one_of_the_bus(bus: Bus) -> None:
    """attach_to sets the adapter of the bus, and needs no event loop."""
    adapter = InMemoryMessageBusAdapter.attach_to(bus)
    assert adapter is bus.get_message_channel_adapter()


def test_a_constructed_adapter_is_not_set(bus: Bus) -> None:
    """The constructor leaves the bus as it is."""
    InMemoryMessageBusAdapter(bus)
    assert bus.message_channel_adapter is None


async def test_each_listener_is_told_each_message(bus: Bus, adapter: Adapter) -> None:
    """Without filters, every listener has every message, in the order of publishing."""
    listeners = [Listener(), Listener()]
    for each in listeners:
        adapter.on(each)
    await bus.publish_messages(ALL)
    await adapter.join()
    assert [ALL, ALL] == [each.messages for each in listeners]


async def test_a_decorated_function_listens(bus: Bus, adapter: Adapter) -> None:
    """A function may be decorated, with or without parentheses, and stays what it is."""
    seen: list[str] = []

    @adapter.on
    def first(message: Message, _: MessageContext) -> None:
        seen.append(f"first {message.event.type}")

    @adapter.on()
    async def second(message: Message, _: MessageContext) -> None:
        seen.append(f"second {message.event.type}")

    await bus.publish_message(ordered)
    await adapter.join()
    assert ["first ORDERED", "second ORDERED"] == sorted(seen)
    assert ["first", "second"] == [getattr(each, "__name__", "") for each in (first, second)]


async def test_a_message_without_listeners_is_gone(bus: Bus, adapter: Adapter) -> None:
    """A message is told to those who listen when it is published, and then to nobody."""
    await bus.publish_message(ordered)
    await adapter.join()
    adapter.on(late := Listener())
    await bus.publish_message(delivered)
    await adapter.join()
    assert [delivered] == late.messages
    assert [] == adapter.pending


async def test_publishing_does_not_wait_for_listeners(bus: Bus, adapter: Adapter) -> None:
    """A publish returns before any listener has begun."""
    adapter.on(listener := Listener())
    await bus.publish_message(ordered)
    assert [] == listener.contexts
    await adapter.join()


async def test_listeners_share_nothing(bus: Bus, adapter: Adapter) -> None:
    """Each listener has an object of its own."""
    first, second = Listener(), Listener()
    adapter.on(first)
    adapter.on(second)
    await bus.publish_message(ordered)
    await adapter.join()
    assert first.messages == second.messages
    assert first.messages[0].event is not second.messages[0].event


async def test_a_listener_may_publish(bus: Bus, adapter: Adapter) -> None:
    """A listener publishes to its own bus, and join waits for that too."""
    adapter.on(log := Listener())

    async def deliver(_: NotificationMessage[Ordered], __: MessageContext) -> None:
        await bus.publish_message(delivered)

    adapter.on(event_type=Ordered)(deliver)
    await bus.publish_message(ordered)
    await adapter.join()
    assert [ordered, delivered] == log.messages


# Filters


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"event_store": parcels}, [ordered, delivered]),
        ({"event_store": letters}, [letter]),
        ({"event_type": Delivered}, [delivered]),
        ({"event_type": LetterDelivered}, [letter]),
        ({"event_type": ParcelEvent}, [ordered, delivered]),
        ({"event_type": Event}, ALL),
        ({"event_store": parcels, "event_type": Ordered}, [ordered]),
        ({"event_store": letters, "event_type": Event}, [letter]),
    ],
)
async def test_a_filter_lets_pass(
    bus: Bus, adapter: Any, filters: dict[str, Any], expected: list[Message]
) -> None:
    """A listener is told the messages of a store, of an event class, or of both."""
    adapter.on(**filters)(listener := Listener())
    await bus.publish_messages(ALL)
    await adapter.join()
    assert expected == listener.messages


async def test_a_state_carrying_bus_has_filters() -> None:
    """Messages with aggregates are filtered by store and event type."""
    bus = StateCarryingMessageBus("STATES", source_event_stores=(parcels, letters))
    adapter = InMemoryMessageBusAdapter.attach_to(bus)
    adapter.on(event_store=parcels, event_type=Delivered)(listener := Listener())
    messages = [StateCarryingMessage(each.event_store_id, each.event, Item("p", 1)) for each in ALL]
    await bus.publish_messages(messages)
    await adapter.join()
    assert [messages[1]] == listener.messages


async def test_an_aggregate_exists_bus_has_a_filter() -> None:
    """Messages about aggregates are filtered by store."""
    bus = AggregateExistsMessageBus("IDS", source_event_stores=(parcels, letters))
    adapter = InMemoryMessageBusAdapter.attach_to(bus)
    adapter.on(event_store=letters)(listener := Listener())
    messages = [AggregateExistsMessage(each, "a", NEW_YEAR) for each in ("PARCELS", "LETTERS")]
    await bus.publish_messages(messages)
    await adapter.join()
    assert [messages[1]] == listener.messages


def test_a_filter_by_another_store_is_refused(adapter: Adapter) -> None:
    """A store that is no source of the bus cannot be listened for."""
    with pytest.raises(MessageChannelEventStoreNotFoundError, match="UNKNOWN"):
        adapter.on(event_store=unknown)


def test_a_filter_by_another_event_type_is_refused(adapter: Adapter) -> None:
    """An event type that no source has cannot be listened for."""
    with pytest.raises(ValueError, match=r"POST_BUS.* no messages with a Lost"):
        adapter.on(event_type=Lost)


def test_a_filter_by_the_event_type_of_another_store_is_refused(adapter: Adapter) -> None:
    """An event type that the given store does not have cannot be listened for."""
    with pytest.raises(ValueError, match="no messages with a LetterDelivered"):
        adapter.on(event_store=parcels, event_type=LetterDelivered)


def test_messages_about_aggregates_have_no_event_type() -> None:
    """A bus whose messages have no event cannot be filtered by its type."""
    bus = AggregateExistsMessageBus("IDS", source_event_stores=(parcels,))
    adapter: Any = InMemoryMessageBusAdapter(bus)
    with pytest.raises(ValueError, match="no messages with a Ordered"):
        adapter.on(event_type=Ordered)


# Failures


async def test_each_listener_is_retried_alone(bus: Bus, adapter: Adapter) -> None:
    """A listener that fails has the message again; the others have it once."""
    adapter.on(failing := Listener(failures=2))
    adapter.on(working := Listener())
    await bus.publish_message(ordered)
    await adapter.join()
    assert [ordered] == failing.messages == working.messages
    assert ([1, 2, 3], [1]) == tuple(
        [context.attempt for context in each.contexts] for each in (failing, working)
    )


async def test_a_failing_listener_stops_no_other(bus: Bus) -> None:
    """While one listener waits for its retry, the others have all messages."""
    adapter = InMemoryMessageBusAdapter.attach_to(bus, sleep=for_ever)
    adapter.on(Listener(failures=1))
    adapter.on(working := Listener())
    await bus.publish_messages(ALL)
    async with asyncio.timeout(10):
        while len(working.messages) < len(ALL):  # noqa: ASYNC110 join() waits for the retries too
            await asyncio.sleep(0)
    await adapter.aclose()
    assert ALL == working.messages


async def test_replay_survives_the_retries(bus: Bus, adapter: Adapter) -> None:
    """The replay flag is the same for all listeners and all of their attempts."""
    adapter.on(failing := Listener(failures=1))
    adapter.on(working := Listener())
    await bus.publish_message(ordered, replay=True)
    await adapter.join()
    contexts = [*failing.contexts, *working.contexts]
    assert [True, True, True] == [each.replay for each in contexts]


async def test_a_dead_letter_names_its_listener(bus: Bus) -> None:
    """After the last retry the message is a dead letter for the listener that failed."""
    told: list[DeadLetter] = []
    adapter = InMemoryMessageBusAdapter.attach_to(bus, on_dead_letter=told.append, sleep=no_wait)
    adapter.on(failing := Listener(failures=9))
    adapter.on(working := Listener())
    await bus.publish_message(ordered, replay=True)
    await adapter.join()
    [dead] = adapter.dead_letters
    assert bus.message_to_record(ordered) == dead.message
    assert (failing, 3, True) == (dead.handler, dead.attempts, dead.replay)
    assert "listener" == str(dead.error)
    assert [dead] == told
    assert [ordered] == working.messages


async def test_a_message_that_cannot_be_parsed_is_a_dead_letter(adapter: Adapter) -> None:
    """A body that is no message of the bus is a dead letter for each who listens for it."""
    adapter.on(event_store=parcels)(Listener())
    adapter.on(event_store=letters)(Listener())
    unreadable = MessageRecord("PARCELS", "p", 1, "ORDERED", {"eventStoreId": "PARCELS"})
    await adapter.publish_message(unreadable)
    await adapter.join()
    [dead] = adapter.dead_letters
    assert (unreadable, 0) == (dead.message, dead.attempts)
    assert isinstance(dead.error, InvalidMessageError)


# Closing, and event loops


async def test_a_closed_bus_keeps_what_is_not_handled(bus: Bus) -> None:
    """A message that one listener has not handled is pending, once, and the next one too."""
    adapter = InMemoryMessageBusAdapter.attach_to(bus, sleep=for_ever)
    adapter.on(Listener())
    for _ in range(2):
        adapter.on(event_type=Ordered)(Listener(failures=1))
    await bus.publish_message(letter)
    await bus.publish_message(ordered, replay=True)
    await asyncio.sleep(0.01)
    await adapter.aclose()
    expected = [PendingMessage(bus.message_to_record(ordered), replay=True)]
    assert expected == adapter.pending
    with pytest.raises(MessagePublishError, match="closed"):
        await bus.publish_message(letter)


def test_a_bus_works_in_one_loop_after_the_other(bus: Bus, adapter: Adapter) -> None:
    """A bus that was used in one event loop can be used in the next one."""
    adapter.on(listener := Listener(failures=1))

    async def run(publish: Awaitable[None]) -> None:
        await publish
        await adapter.join()

    asyncio.run(run(bus.publish_message(ordered)))
    asyncio.run(run(bus.publish_message(letter)))
    assert [ordered, letter] == listener.messages
