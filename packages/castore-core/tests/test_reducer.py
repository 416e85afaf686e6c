"""A reducer computes states, and nothing that it does to an event is stored."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    AggregateCommands,
    Command,
    ConnectedEventStore,
    DataclassCodec,
    Event,
    EventDecodeError,
    EventDraft,
    EventRecord,
    EventStore,
    NotificationMessageQueue,
    ReducerError,
    StateCarryingMessageQueue,
)
from castore_in_memory import InMemoryEventStorageAdapter
from recording_channel import RecordingChannelAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Opened(Event, type="OPENED"):
    """A cart was opened."""

    payload: dict[str, Any]


class Added(Event, type="ADDED"):
    """Something was put into it."""

    payload: dict[str, Any]


@dataclass
class Cart:
    """A state that its reducer changes in place, as no reducer should."""

    aggregate_id: str
    version: int
    items: list[str] = field(default_factory=list[str])


def reduce_cart(cart: Cart | None, event: Opened | Added) -> Cart:
    """Take the list of the first event, and change it, and the payload."""
    match event:
        case Opened(payload=payload):
            payload["seen"] = True
            return Cart(event.aggregate_id, event.version, payload["items"])
        case Added(payload=payload):
            assert cart is not None
            cart.items.append(payload.pop("sku"))
            return Cart(event.aggregate_id, event.version, cart.items)


def reduce_anything(_: Cart | None, event: Event) -> Cart:
    """Compute a state from whatever happened."""
    return Cart(event.aggregate_id, event.version)


CartStore = EventStore[Opened | Added, Cart]


@pytest.fixture
def carts() -> CartStore:
    """Return an empty store."""
    return EventStore(
        "CARTS",
        event_types=[Opened, Added],
        reduce=reduce_cart,
        storage_adapter=InMemoryEventStorageAdapter(),
    )


def opened() -> Opened:
    """Return a first event."""
    return Opened("a", 1, timestamp=NOW, payload={"items": []})


def added(version: int) -> Added:
    """Return a later event."""
    return Added("a", version, timestamp=NOW, payload={"sku": f"sku{version}"})


async def load_payloads(carts: CartStore) -> list[Any]:
    """Return what is stored."""
    records = await carts.get_storage_adapter().get_events("CARTS", "a")
    return [each.payload for each in records]


# What a reducer does to an event


async def test_push_stores_what_it_was_given(carts: CartStore) -> None:
    """Neither the stored event nor the caller's has what the reducer did to it."""
    event = opened()
    pushed = await carts.push_event(event)
    await carts.push_event(added(2), prev_aggregate=pushed.next_aggregate)

    assert [{"items": []}, {"sku": "sku2"}] == await load_payloads(carts)
    assert opened() == event


async def test_drafts_are_stored_as_they_were(carts: CartStore) -> None:
    """A command returns what a reload gives, and stores its drafts."""
    commands = AggregateCommands(carts)

    @commands.handler
    def open_cart(_: Cart | None) -> list[EventDraft[Opened] | EventDraft[Added]]:
        return [
            Opened.draft(payload={"items": []}),
            Added.draft(payload={"sku": "x"}),
            Added.draft(payload={"sku": "y"}),
        ]

    returned = await open_cart("a")
    stored: list[Any] = [{"items": []}, {"sku": "x"}, {"sku": "y"}]

    assert stored == await load_payloads(carts)
    assert Cart("a", 3, ["x", "y"]) == returned == (await carts.get_aggregate("a")).aggregate


async def test_group_stores_what_it_was_given(carts: CartStore) -> None:
    """The events of a group are stored as they were grouped."""
    await EventStore.push_event_group(carts.group_event(opened()), carts.group_event(added(2)))

    assert [{"items": []}, {"sku": "sku2"}] == await load_payloads(carts)


def reduce_in_place(cart: Cart | None, event: Opened | Added) -> Cart:
    """Return the state itself, changed."""
    if cart is None:
        return Cart(event.aggregate_id, event.version)
    cart.version = event.version
    cart.items.append(event.payload["sku"])
    return cart


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_state_that_a_later_event_has_changed_is_told_to_nobody(key: str | None) -> None:
    """It would be published, too: a connected store loads the state after its event instead."""
    carts = EventStore(
        "CARTS",
        event_types=[Opened, Added],
        reduce=reduce_in_place,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(Cart),
    )
    adapter = RecordingChannelAdapter()
    queue = StateCarryingMessageQueue(
        "QUEUE", source_event_stores=[carts], message_channel_adapter=adapter
    )

    async def fill(_: None, event_stores: tuple[EventStore]) -> None:
        (store,) = event_stores
        await AggregateCommands(store).handler(open_cart)("a")

    def open_cart(_: Cart | None) -> list[EventDraft[Opened] | EventDraft[Added]]:
        return [Opened.draft(payload={}), Added.draft(payload={"sku": "x"})]

    connected = ConnectedEventStore(carts, queue)
    command = Command("FILL", required_event_stores=(connected,), handler=fill)
    await (command.with_idempotency_key(key) if key else command)(None, (connected,))

    messages = [queue.parse_message(each.body) for each, _ in adapter.taken]
    assert [Cart("a", 1), Cart("a", 2, ["x"])] == [each.aggregate for each in messages]


async def test_each_event_is_reduced_once() -> None:
    """A command reduces what it pushes once, a group too."""
    reduced: list[int] = []

    def count(_: Cart | None, event: Opened | Added) -> Cart:
        reduced.append(event.version)
        return Cart(event.aggregate_id, event.version)

    carts = EventStore(
        "CARTS",
        event_types=[Opened, Added],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
    )
    commands = AggregateCommands(carts)

    @commands.handler
    def open_cart(_: Cart | None) -> list[EventDraft[Opened] | EventDraft[Added]]:
        return [Opened.draft(payload={}), Added.draft(payload={})]

    await open_cart("a")
    assert [1, 2] == reduced


async def test_event_that_would_not_be_read_back_is_refused() -> None:
    """A codec that cannot read what it wrote is found out before the write."""

    class Forgetful(Event, type="FORGETFUL"):
        payload: int

        @classmethod
        def decode_field(cls, name: str, value: Any) -> Any:
            raise ValueError(f"{name} is forgotten: {value!r}")

    store = EventStore(
        "STORE",
        event_types=[Forgetful],
        reduce=reduce_anything,
        storage_adapter=InMemoryEventStorageAdapter(),
    )

    with pytest.raises(EventDecodeError, match="payload is forgotten"):
        await store.push_event(Forgetful("a", 1, payload=1))
    assert [] == (await store.list_aggregate_ids()).aggregate_ids


# What a reducer returns

WRONG_STATES = [
    (None, "returned None"),
    (Cart("b", 1), "returned aggregate_id='b'"),
    (Cart("a", 7), "returned version=7"),
    ({"aggregate_id": "a"}, "returned dict, which is no state of an aggregate,"),
]


def store_that_reduces_to(state: Any, *records: EventRecord) -> CartStore:
    """Return a store whose reducer always returns one state."""

    def reduce(_: Cart | None, __: Opened | Added) -> Cart:
        wrong: Cart = state
        return wrong

    adapter = InMemoryEventStorageAdapter(("CARTS", each) for each in records)
    return EventStore("CARTS", event_types=[Opened, Added], reduce=reduce, storage_adapter=adapter)


@pytest.mark.parametrize(("state", "reason"), WRONG_STATES, ids=repr)
async def test_wrong_state_is_refused_before_the_write(state: Any, reason: str) -> None:
    """A reducer that forgets the version, say, is named with store, event and aggregate."""
    store = store_that_reduces_to(state)

    with pytest.raises(ReducerError) as error:
        await store.push_event(opened())

    assert f"the reducer of event store 'CARTS' {reason} after event 1 of aggregate 'a'" == str(
        error.value
    )
    assert [] == await store.get_events("a")


@pytest.mark.parametrize(("state", "reason"), WRONG_STATES, ids=repr)
async def test_wrong_state_is_refused_after_a_load(state: Any, reason: str) -> None:
    """A command would else push a version that is taken, again and again."""
    store = store_that_reduces_to(state, opened().to_record())

    with pytest.raises(ReducerError, match=reason):
        await store.get_aggregate("a")
    with pytest.raises(ReducerError, match=reason):
        await store.get_existing_aggregate("a")


async def test_error_of_a_reducer_names_the_event(carts: CartStore) -> None:
    """The error itself goes to the caller, with a note on where it came up."""
    await carts.push_event(opened(), force=True)
    await carts.push_event(Added("a", 2, payload={}), force=True)

    with pytest.raises(KeyError) as error:
        await carts.get_aggregate("a")

    assert [
        "in the reducer of event store 'CARTS', at event 2 (ADDED) of aggregate 'a'"
    ] == error.value.__notes__


# Upcasters


@pytest.mark.parametrize("answer", [None, "record", {}], ids=repr)
async def test_upcaster_returns_a_record(answer: Any) -> None:
    """An upcaster that forgets to return is named with store, event and aggregate."""
    store = store_that_reduces_to(Cart("a", 1), opened().to_record())
    store = EventStore(
        "CARTS",
        event_types=[Opened, Added],
        reduce=reduce_cart,
        storage_adapter=store.storage_adapter,
        upcasters=[lambda _: answer],
    )

    with pytest.raises(EventDecodeError, match="event 1 of aggregate 'a' in event store 'CARTS'"):
        await store.get_events("a")


async def test_upcaster_that_raises_names_the_event() -> None:
    """The error of the upcaster is the cause."""

    def fail(record: EventRecord) -> EventRecord:
        raise LookupError(str(record.payload))

    store = EventStore(
        "CARTS",
        event_types=[Opened, Added],
        reduce=reduce_cart,
        storage_adapter=InMemoryEventStorageAdapter([("CARTS", opened().to_record())]),
        upcasters=[fail],
    )

    with pytest.raises(EventDecodeError, match="LookupError was raised") as error:
        await store.get_events("a")
    assert isinstance(error.value.__cause__, LookupError)


# Things in the wrong place


async def test_draft_is_not_pushed(carts: CartStore) -> None:
    """The error says what to do with a draft."""
    draft: Any = Opened.draft(payload={})

    with pytest.raises(TypeError, match="a draft has no aggregate and no version"):
        await carts.push_event(draft)
    with pytest.raises(TypeError, match="a draft has no aggregate and no version"):
        await EventStore.push_event_group(carts.group_event(draft))


@pytest.mark.parametrize(
    "event", [None, {}, Opened, "event"], ids=["nothing", "dict", "class", "text"]
)
async def test_something_else_is_not_pushed(carts: CartStore, event: Any) -> None:
    """Only events are pushed."""
    with pytest.raises(TypeError, match="not an event: "):
        await carts.push_event(event)


async def test_class_is_no_adapter(carts: CartStore) -> None:
    """An adapter is made before it is given to a store."""
    adapter: Any = InMemoryEventStorageAdapter

    with pytest.raises(TypeError, match=r"make one, InMemoryEventStorageAdapter\(\.\.\.\)"):
        carts.storage_adapter = adapter
    with pytest.raises(TypeError, match=r"make one, InMemoryEventStorageAdapter\(\.\.\.\)"):
        carts.using(adapter)
    with pytest.raises(TypeError, match=r"make one, InMemoryEventStorageAdapter\(\.\.\.\)"):
        EventStore("CARTS", event_types=[Opened], reduce=reduce_cart, storage_adapter=adapter)


@pytest.mark.parametrize(
    "channel",
    [InMemoryEventStorageAdapter(), NotificationMessageQueue, None],
    ids=["adapter", "class", "nothing"],
)
def test_connected_store_needs_a_channel(carts: CartStore, channel: Any) -> None:
    """An adapter, or a class, in its place is refused with a word on what belongs there."""
    with pytest.raises(TypeError, match="message_channel is a queue or a bus"):
        ConnectedEventStore(carts, channel)


async def test_hook_is_async(carts: CartStore) -> None:
    """A hook that forgot its `async` is named. The event is stored."""
    hook: Any = print
    carts.on_event_pushed = hook

    with pytest.raises(TypeError, match=r"on_event_pushed of EventStore\('CARTS'\) is not async"):
        await carts.push_event(opened())
    assert [opened()] == await carts.get_events("a")
