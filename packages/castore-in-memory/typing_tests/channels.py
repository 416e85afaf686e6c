"""What type checkers know of in-memory queues and buses, and what they refuse."""

from dataclasses import dataclass
from typing import TypeAlias, assert_type

from castore_core import (
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    ChannelKind,
    DataclassCodec,
    Event,
    EventStore,
    MessageChannelAdapter,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    StateCarryingMessage,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
)
from castore_in_memory import (
    InMemoryMessageBusAdapter,
    InMemoryMessageQueueAdapter,
    MessageContext,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: str


class Delivered(Event, type="DELIVERED"):
    """The parcel is there."""


class Written(Event, type="WRITTEN"):
    """Somebody wrote a letter."""


class Posted(Event, type="POSTED"):
    """The letter is on its way."""


ParcelEvent: TypeAlias = Ordered | Delivered
LetterEvent: TypeAlias = Written | Posted


@dataclass(frozen=True)
class Parcel:
    """The state of a parcel."""

    aggregate_id: str
    version: int


@dataclass(frozen=True)
class Letter:
    """The state of a letter."""

    aggregate_id: str
    version: int


def reduce_parcel(_: Parcel | None, event: ParcelEvent) -> Parcel:
    """Compute a parcel."""
    return Parcel(event.aggregate_id, event.version)


def reduce_letter(_: Letter | None, event: LetterEvent) -> Letter:
    """Compute a letter."""
    return Letter(event.aggregate_id, event.version)


parcels = EventStore(
    "PARCELS",
    event_types=[Ordered, Delivered],
    reduce=reduce_parcel,
    aggregate_codec=DataclassCodec(Parcel),
)
letters = EventStore(
    "LETTERS",
    event_types=[Written, Posted],
    reduce=reduce_letter,
    aggregate_codec=DataclassCodec(Letter),
)


def use(_: object) -> None:
    """Use a value."""


# A queue's adapter is inferred from the queue.

queue = NotificationMessageQueue("POST", source_event_stores=(parcels, letters))
ids_queue = AggregateExistsMessageQueue("IDS", source_event_stores=(parcels,))
states_queue = StateCarryingMessageQueue("STATES", source_event_stores=(parcels,))

queue_adapter = InMemoryMessageQueueAdapter.attach_to(queue)
assert_type(
    queue_adapter, InMemoryMessageQueueAdapter[NotificationMessage[ParcelEvent | LetterEvent]]
)
assert_type(
    InMemoryMessageQueueAdapter(queue, retry_attempts=0),
    InMemoryMessageQueueAdapter[NotificationMessage[ParcelEvent | LetterEvent]],
)
assert_type(
    InMemoryMessageQueueAdapter.attach_to(ids_queue, retry_delay=1),
    InMemoryMessageQueueAdapter[AggregateExistsMessage],
)
assert_type(
    InMemoryMessageQueueAdapter.attach_to(states_queue),
    InMemoryMessageQueueAdapter[StateCarryingMessage[ParcelEvent, Parcel]],
)
any_adapter: MessageChannelAdapter = queue_adapter
assert_type(queue_adapter.channel_kind, ChannelKind)
InMemoryMessageQueueAdapter(queue, max_dead_letters=0)
InMemoryMessageQueueAdapter(queue, max_dead_letters=None)  # type: ignore[arg-type]


# A worker is a function or a coroutine function of the queue's messages.


async def work(
    message: NotificationMessage[ParcelEvent | LetterEvent], context: MessageContext
) -> None:
    """Handle a message."""
    assert_type(message.event, ParcelEvent | LetterEvent)
    assert_type((context.attempt, context.retries_left, context.replay), tuple[int, int, bool])


def work_at_once(message: NotificationMessage[Event], _: MessageContext) -> None:
    """Handle a message of any queue."""
    assert_type(message.event, Event)


async def work_on_parcels(_: NotificationMessage[ParcelEvent], __: MessageContext) -> None:
    """Handle the messages of one store."""


InMemoryMessageQueueAdapter.attach_to(queue, worker=work)
InMemoryMessageQueueAdapter.attach_to(queue, worker=lambda message, _: use(message.event))
queue_adapter.worker = work_at_once
queue_adapter.worker = None

InMemoryMessageQueueAdapter(queue, worker=work_on_parcels)  # type: ignore[arg-type]
queue_adapter.worker = work_on_parcels  # type: ignore[assignment]
queue_adapter.worker = use  # type: ignore[assignment]
InMemoryMessageQueueAdapter.attach_to(queue, retries=3)  # type: ignore[call-arg]
InMemoryMessageQueueAdapter.attach_to(queue, retry_delay="1s")  # type: ignore[arg-type]


# A listener has the messages that pass its filters.

bus = NotificationMessageBus("POST", source_event_stores=(parcels, letters))
ids_bus = AggregateExistsMessageBus("IDS", source_event_stores=(parcels,))
states_bus = StateCarryingMessageBus[ParcelEvent | LetterEvent, Parcel | Letter](
    "STATES", source_event_stores=(parcels, letters)
)

adapter = InMemoryMessageBusAdapter.attach_to(bus)
ids_adapter = InMemoryMessageBusAdapter.attach_to(ids_bus)
states_adapter = InMemoryMessageBusAdapter.attach_to(states_bus, retry_backoff_rate=1)

assert_type(adapter, InMemoryMessageBusAdapter[NotificationMessage[ParcelEvent | LetterEvent]])
assert_type(ids_adapter, InMemoryMessageBusAdapter[AggregateExistsMessage])
assert_type(
    states_adapter,
    InMemoryMessageBusAdapter[StateCarryingMessage[ParcelEvent | LetterEvent, Parcel | Letter]],
)


@adapter.on
async def all_events(
    message: NotificationMessage[ParcelEvent | LetterEvent], _: MessageContext
) -> None:
    """Listen for all messages."""
    assert_type(message, NotificationMessage[ParcelEvent | LetterEvent])


@adapter.on()
def all_events_too(_: NotificationMessage[Event], __: MessageContext) -> None:
    """Listen for all messages, as a function."""


@adapter.on(event_store=parcels)
async def parcel_events(message: NotificationMessage[ParcelEvent], _: MessageContext) -> None:
    """Listen for the messages of a store."""
    assert_type(message, NotificationMessage[ParcelEvent])


@adapter.on(event_type=Ordered)
async def orders(message: NotificationMessage[Ordered], _: MessageContext) -> None:
    """Listen for the events of a class."""
    assert_type(message.event.payload, str)


@adapter.on(event_store=parcels, event_type=Ordered)
async def parcel_orders(message: NotificationMessage[Ordered], _: MessageContext) -> None:
    """Listen for the events of a class in a store."""
    assert_type(message, NotificationMessage[Ordered])


@ids_adapter.on(event_store=parcels)
def parcel_ids(message: AggregateExistsMessage, _: MessageContext) -> None:
    """Listen for aggregates."""
    assert_type(message, AggregateExistsMessage)


@states_adapter.on(event_store=parcels)
async def parcel_states(
    message: StateCarryingMessage[ParcelEvent, Parcel], _: MessageContext
) -> None:
    """Listen for the states of a store."""
    assert_type(message, StateCarryingMessage[ParcelEvent, Parcel])


@states_adapter.on(event_type=Ordered)
async def states_of_orders(
    message: StateCarryingMessage[Ordered, Parcel | Letter], _: MessageContext
) -> None:
    """Listen for states after the events of a class."""
    assert_type(message, StateCarryingMessage[Ordered, Parcel | Letter])


@states_adapter.on(event_store=parcels, event_type=Ordered)
async def parcel_states_of_orders(
    message: StateCarryingMessage[Ordered, Parcel], _: MessageContext
) -> None:
    """Listen for states after the events of a class in a store."""
    assert_type(message, StateCarryingMessage[Ordered, Parcel])


adapter.on(event_store=letters)(lambda message, _: use(assert_type(message.event, LetterEvent)))
adapter.on(event_type=Ordered)(lambda message, _: use(assert_type(message.event, Ordered)))
states_adapter.on(event_store=letters)(
    lambda message, _: use(assert_type(message.aggregate, Letter))
)

# A decorated function is still the function.

assert_type(
    all_events_too(
        NotificationMessage("", Delivered(aggregate_id="a", version=1)),
        MessageContext(1, 0, replay=False),
    ),
    None,
)

# What does not fit is refused.

adapter.on(work_on_parcels)  # type: ignore[arg-type]
adapter.on(event_store=letters)(work_on_parcels)  # type: ignore[arg-type]
adapter.on(event_type=Written)(work_on_parcels)  # type: ignore[arg-type]
states_adapter.on(event_store=parcels)(work_on_parcels)  # type: ignore[arg-type]
ids_adapter.on(event_type=Ordered)  # type: ignore[call-overload]
adapter.on(event_type="ORDERED")  # type: ignore[call-overload]
InMemoryMessageBusAdapter.attach_to(queue)  # type: ignore[arg-type]
InMemoryMessageQueueAdapter.attach_to(bus)  # type: ignore[arg-type]
