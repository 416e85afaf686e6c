"""What type checkers know of the helpers for applications, and what they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, assert_type

from castore_core import (
    AggregateCommands,
    AggregateExistsMessage,
    ConnectedEventStore,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    LoadedAggregate,
    MessageChannelAdapter,
    NotificationMessage,
    NotificationMessageQueue,
    StateCarryingMessage,
    command,
    draft,
    group_command,
    one,
    several_existing,
    use_clock,
)
from castore_test_tools import (
    FrozenClock,
    Given,
    IdGenerator,
    MockConnectedEventStore,
    MockEventStore,
    MutedConnectedEventStore,
    MutedEventStore,
    RecordedMessage,
    RecordedMessageChannelAdapter,
    Scenario,
    given,
    mock_event_store,
    mute_event_store,
    race,
)


class Ordered(Event, type="ORDERED"):
    """Somebody ordered a parcel."""

    payload: str


class Delivered(Event, type="DELIVERED"):
    """The parcel is there."""


class Written(Event, type="WRITTEN"):
    """Somebody wrote a letter."""


ParcelEvent: TypeAlias = Ordered | Delivered


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


def reduce_letter(_: Letter | None, event: Written) -> Letter:
    """Compute a letter."""
    return Letter(event.aggregate_id, event.version)


parcels = EventStore("PARCELS", event_types=[Ordered, Delivered], reduce=reduce_parcel)
letters = EventStore("LETTERS", event_types=[Written], reduce=reduce_letter)
queue = NotificationMessageQueue("QUEUE", source_event_stores=(parcels,))
connected = ConnectedEventStore(parcels, queue)

ordered = Ordered(aggregate_id="p1", version=1, payload="books")
delivered = Delivered(aggregate_id="p1", version=2)
written = Written(aggregate_id="l1", version=1)

ParcelStore: TypeAlias = EventStore[ParcelEvent, Parcel]
LetterStore: TypeAlias = EventStore[Written, Letter]


# Mocks are typed as the stores that they stand in for.

mock = mock_event_store(parcels, [ordered, delivered])
assert_type(mock, MockEventStore[ParcelEvent, Parcel])
assert_type(mock.initial_events, tuple[ParcelEvent, ...])
store: ParcelStore = mock

connected_mock = mock_event_store(connected, [ordered])
assert_type(connected_mock, MockConnectedEventStore[ParcelEvent, Parcel])
assert_type(
    connected_mock.published,
    list[
        AggregateExistsMessage
        | NotificationMessage[ParcelEvent]
        | StateCarryingMessage[ParcelEvent, Parcel]
    ],
)
assert_type(connected_mock.channel_adapter, RecordedMessageChannelAdapter)
assert_type(connected_mock.channel_adapter.messages, list[RecordedMessage])
connected_store: ConnectedEventStore[ParcelEvent, Parcel] = connected_mock
any_mock: MockEventStore[ParcelEvent, Parcel] = connected_mock

mock_event_store(parcels, (ordered, delivered))
mock_event_store(parcels, iter(mock.initial_events))
mock_event_store(parcels, [ordered, written])  # type: ignore[list-item]
mock_event_store(connected, [written])  # type: ignore[list-item]
mock.published  # type: ignore[attr-defined]  # noqa: B018


class ParcelBook(EventStore[ParcelEvent, Parcel]):
    """A store with a method of its own."""

    def count(self) -> int:
        """Return a number."""
        return len(self.event_types)


def take_book(book: ParcelBook) -> None:
    """Know the methods of a subclass, once it was asked for."""
    book_mock = mock_event_store(book, [ordered])
    assert_type(book_mock, MockEventStore[ParcelEvent, Parcel])
    book_mock.count()  # type: ignore[attr-defined]
    if isinstance(book_mock, ParcelBook):
        assert_type(book_mock.count(), int)
        assert_type(book_mock.initial_events, tuple[ParcelEvent, ...])


def take_any_mock(mock: MockEventStore) -> None:
    """Take whatever comes."""


take_any_mock(mock)
take_any_mock(connected_mock)

# So are muted stores.

assert_type(mute_event_store(parcels), MutedEventStore[ParcelEvent, Parcel])
assert_type(mute_event_store(connected), MutedConnectedEventStore[ParcelEvent, Parcel])

with mute_event_store(parcels, [ordered]) as muted:
    assert_type(muted, MutedEventStore[ParcelEvent, Parcel])
    assert_type(muted.event_store, EventStore[ParcelEvent, Parcel])
with mute_event_store(connected) as muted_connected:
    assert_type(muted_connected, MutedConnectedEventStore[ParcelEvent, Parcel])
    assert_type(muted_connected.channel_adapter, RecordedMessageChannelAdapter)

mute_event_store(parcels, [written])  # type: ignore[list-item]

# Scenarios


@command("DELIVER", required_event_stores=(parcels, letters))
async def deliver(
    input: str,
    event_stores: tuple[ParcelStore, LetterStore],
    hour: int,
    *,
    generate_id: Callable[[], str],
) -> bool:
    """Handle a command."""
    return input == generate_id() * hour * len(event_stores)


parcel_commands = AggregateCommands(parcels)


@parcel_commands.handler
def order(parcel: Parcel | None, content: str, *, times: int) -> list[EventDraft[Ordered]]:
    """Handle an aggregate command."""
    return [Ordered.draft(payload=content)] * times if parcel is None else []


@parcel_commands.existing_handler
def repeat(_: Parcel, content: str, *, times: int) -> list[EventDraft[Ordered]]:
    """Handle an aggregate command of an aggregate that exists."""
    return [draft(Ordered, payload=content)] * times


@group_command(one(letters), several_existing(parcels))
def bundle(
    _: Letter | None, found: Mapping[str, Parcel], content: str
) -> tuple[EventDraft[Written], dict[str, EventDraft[Ordered]]]:
    """Handle a group command."""
    return Written.draft(), {each: draft(Ordered, payload=content) for each in found}


async def play(new_id: IdGenerator) -> None:
    """Know the events of a store, and the arguments of a command."""
    start = given(parcels, [ordered]).given(letters)
    assert_type(start, Given)

    delivery = start.when(deliver, "p1", 12, generate_id=new_id)
    assert_type(delivery, Scenario[bool])
    assert_type(delivery.then([delivered]), Scenario[bool])
    assert_type(delivery.then_returns(True), Scenario[bool])
    await delivery.then([delivered, Delivered.draft(), written], ignore=("version", "timestamp"))
    await delivery.then([delivered], event_store=parcels).then_aggregate(Parcel("p1", 2))
    await delivery.then_raises((LookupError, ValueError), match="no such")
    await delivery.then_published([NotificationMessage("PARCELS", delivered)])
    assert_type(await delivery, None)

    assert_type(start.when(order, "p2", "books", times=2), Scenario[Parcel | None])
    repetition = start.when(repeat, "p1", "books", times=2)
    assert_type(repetition, Scenario[Parcel])
    await repetition.then([draft(Ordered, payload="books"), Ordered.draft(payload="books")])
    await repetition.then_returns(Parcel("p1", 3))
    bundling = start.when(bundle, "l1", ["p1"], "books")
    assert_type(bundling, Scenario[tuple[Letter | None, Mapping[str, Parcel]]])
    await bundling.then_returns((Letter("l1", 1), {"p1": Parcel("p1", 2)}))
    assert_type(start.when(delivered, written), Scenario[None])
    await start.then_aggregate(Letter("l1", 1), event_store=letters)

    given(parcels, [written])  # type: ignore[list-item]
    start.given(letters, [ordered])  # type: ignore[list-item]
    start.when(deliver, 1, 12, generate_id=new_id)  # type: ignore[misc]
    start.when(deliver, "p1", "12", generate_id=new_id)  # type: ignore[arg-type]
    start.when(deliver, "p1", 12)  # type: ignore[call-overload]
    start.when(order, "p1", "books", times="2")  # type: ignore[arg-type]
    start.when(order, 1, "books", times=2)  # type: ignore[call-overload]
    start.when(repeat, "p1", "books", times="2")  # type: ignore[arg-type]
    start.when(repeat, 1, "books", times=2)  # type: ignore[call-overload]
    repetition.then_returns(None)  # type: ignore[arg-type]
    repetition.then([draft(Ordered, payload=1)])  # type: ignore[arg-type]
    repetition.then([draft(Ordered)])  # type: ignore[call-arg]
    start.when(bundle, "l1", ["p1"], 1)  # type: ignore[call-overload]
    start.when(bundle, "l1", "p1", "books")  # type: ignore[call-overload]
    bundling.then_returns(Letter("l1", 1))  # type: ignore[arg-type]
    start.when("order")  # type: ignore[call-overload]
    delivery.then([Parcel("p1", 2)])  # type: ignore[list-item]
    delivery.then([delivered], ignore=("payload",))  # type: ignore[arg-type]
    delivery.then_returns("yes")  # type: ignore[arg-type]
    delivery.then_raises(1)  # type: ignore[arg-type]
    delivery.then_aggregate("p1")  # type: ignore[arg-type]
    delivery.then_published([delivered])  # type: ignore[list-item]
    delivery.when(delivered)  # type: ignore[attr-defined]


# Fixtures, and races


def take_fixtures(clock: FrozenClock, new_id: IdGenerator) -> None:
    """Know the moments and the ids."""
    with use_clock(clock):
        assert_type(clock(), datetime)
    with clock as entered:
        assert_type(entered, FrozenClock)
    assert_type(clock.tick(timedelta(hours=1)), datetime)
    assert_type(clock.tick(seconds=0.5), datetime)
    assert_type(clock.set(datetime.now(UTC)), datetime)
    assert_type(new_id(), str)
    generate_id: Callable[[], str] = new_id
    assert_type(generate_id(), str)

    clock.tick(1)  # type: ignore[arg-type]
    clock.set("2022-01-01")  # type: ignore[arg-type]


def take_channel(recorded: RecordedMessageChannelAdapter) -> None:
    """Know the messages."""
    adapter: MessageChannelAdapter = recorded
    queue.message_channel_adapter = adapter
    assert_type(recorded.parse(queue), list[NotificationMessage[ParcelEvent]])


async def run_race() -> None:
    """Know the conflicts, and the store as before."""
    async with race(parcels, 2, timeout=1) as raced:
        assert_type(raced.conflicts, list[EventAlreadyExistsError])
    assert_type(await mock.get_aggregate("p1"), LoadedAggregate[ParcelEvent, Parcel])

    race(parcels)  # type: ignore[call-arg]
    race(queue, 2)  # type: ignore[arg-type]
