"""A connected event store publishes what it pushed."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from castore_core import (
    AggregateCommands,
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    AggregateExistsMessageQueue,
    ConnectedEventStore,
    DataclassCodec,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventPublishError,
    EventStore,
    ForeignEventError,
    MessageChannelEventStoreNotFoundError,
    MessageRecord,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageBus,
    StateCarryingMessageQueue,
    TransactionNotPublishableError,
    UndefinedMessageChannelAdapterError,
    command,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Counted(Event, type="COUNTED"):
    """Some more."""

    payload: int = 1


class Forgotten(Event, type="FORGOTTEN"):
    """An event of no store."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int
    total: int = 0


def count(counter: Counter | None, event: Counted) -> Counter:
    """Compute the state."""
    total = counter.total if counter else 0
    return Counter(event.aggregate_id, event.version, total + event.payload)


CounterStore = EventStore[Counted, Counter]


class RecordingAdapter:
    """Takes messages, unless it has an error to raise, and remembers them."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]
        self.taken: list[MessageRecord] = []

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one, or raise."""
        assert not replay
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(message)

    async def publish_messages(self, *_: Any, **__: Any) -> None:
        """Fail: nobody publishes several."""
        raise AssertionError


class Transaction(InMemoryEventStorageAdapter):
    """A transaction of the user's, and the adapter that joins it: a commit is left out."""

    joins_transaction = True


class RememberingHook:
    """Remembers what was pushed, unless it has an error to raise."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = [*errors]
        self.seen: list[PushedEvent[Counted, Counter]] = []

    async def __call__(self, pushed_event: PushedEvent[Counted, Counter]) -> None:
        """Remember, and raise."""
        self.seen.append(pushed_event)
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def counters() -> CounterStore:
    """Return an empty store."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(Counter),
    )


@pytest.fixture
def adapter() -> RecordingAdapter:
    """Return a channel adapter that takes every message."""
    return RecordingAdapter()


def counted(version: int = 1, payload: int = 1, aggregate_id: str = "c") -> Counted:
    """Return an event."""
    return Counted(aggregate_id=aggregate_id, version=version, timestamp=NOW, payload=payload)


def connect(
    counters: CounterStore, adapter: Any, new_channel: Any = NotificationMessageQueue
) -> tuple[ConnectedEventStore[Counted, Counter], Any]:
    """Return the store, connected, and the channel."""
    channel = new_channel(
        "CHANNEL", source_event_stores=(counters,), message_channel_adapter=adapter
    )
    return ConnectedEventStore(counters, channel), channel


async def versions(store: CounterStore, aggregate_id: str = "c") -> list[int]:
    """Return the versions that are stored."""
    return [each.version for each in await store.get_events(aggregate_id)]


# Publishing


@pytest.mark.parametrize("new_channel", [NotificationMessageBus, NotificationMessageQueue])
async def test_notifications_are_published(
    counters: CounterStore, adapter: RecordingAdapter, new_channel: Any
) -> None:
    """Each event is published after it was written."""
    connected, channel = connect(counters, adapter, new_channel)
    await connected.push_event(counted())
    await connected.push_event(counted(2))

    messages = [NotificationMessage("COUNTERS", each) for each in (counted(), counted(2))]
    assert [channel.message_to_record(each) for each in messages] == adapter.taken
    assert [1, 2] == await versions(counters)


@pytest.mark.parametrize("new_channel", [AggregateExistsMessageBus, AggregateExistsMessageQueue])
async def test_existence_is_published_once(
    counters: CounterStore, adapter: RecordingAdapter, new_channel: Any
) -> None:
    """That an aggregate exists is published with its first event only."""
    connected, channel = connect(counters, adapter, new_channel)
    await connected.push_event(counted())
    await connected.push_event(counted(2))

    message = AggregateExistsMessage("COUNTERS", "c", NOW)
    assert [channel.message_to_record(message)] == adapter.taken


@pytest.mark.parametrize("new_channel", [StateCarryingMessageBus, StateCarryingMessageQueue])
async def test_states_are_published(
    counters: CounterStore, adapter: RecordingAdapter, new_channel: Any
) -> None:
    """The state is the one after the event: computed where it can be, loaded where it cannot."""
    connected, channel = connect(counters, adapter, new_channel)
    first = await connected.push_event(counted(1, 10))
    second = await connected.push_event(counted(2, 20))
    third = await connected.push_event(counted(3, 30), prev_aggregate=Counter("c", 2, 300))

    states = [Counter("c", 1, 10), Counter("c", 2, 30), Counter("c", 3, 330)]
    assert states == [each.next_aggregate for each in (first, second, third)]
    messages = [
        StateCarryingMessage("COUNTERS", each.event, state)
        for each, state in zip((first, second, third), states, strict=True)
    ]
    assert [channel.message_to_record(each) for each in messages] == adapter.taken


async def test_state_after_a_replaced_event(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The state after an event does not include the later ones."""
    connected, _ = connect(counters, adapter, StateCarryingMessageQueue)
    for version in (1, 2, 3):
        await counters.push_event(counted(version))
    pushed = await connected.push_event(counted(2, 50), force=True)

    assert Counter("c", 2, 51) == pushed.next_aggregate


async def test_groups_are_published(counters: CounterStore, adapter: RecordingAdapter) -> None:
    """Each event of a group that came from a connected store is published, in order."""
    connected, channel = connect(counters, adapter)
    results = await EventStore.push_event_group(
        connected.group_event(counted(1)),
        counters.group_event(counted(1, aggregate_id="quiet")),
        connected.group_event(counted(2)),
    )

    messages = [NotificationMessage("COUNTERS", each) for each in (counted(1), counted(2))]
    assert [channel.message_to_record(each) for each in messages] == adapter.taken
    assert ["c", "quiet", "c"] == [each.event.aggregate_id for each in results]


async def test_states_of_groups_are_published(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """A later event of a group gets its state too."""
    connected, _ = connect(counters, adapter, StateCarryingMessageQueue)
    _, second = await EventStore.push_event_group(
        connected.group_event(counted(1, 10)), connected.group_event(counted(2, 20))
    )

    assert Counter("c", 2, 30) == second.next_aggregate
    totals: Any = [each.body["aggregate"] for each in adapter.taken]
    assert [10, 30] == [each["total"] for each in totals]


async def test_aggregate_commands_publish(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The commands of a connected store publish their events."""
    connected, _ = connect(counters, adapter)
    commands = AggregateCommands(connected)

    @commands.handler
    def count_twice(_: Counter | None) -> list[EventDraft[Counted]]:
        return [Counted.draft(), Counted.draft()]

    await count_twice("c")

    assert [1, 2] == [each.version for each in adapter.taken]


async def test_nothing_is_published_where_nothing_was_written(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """A push that was refused is not told."""
    connected, _ = connect(counters, adapter)
    await counters.push_event(counted())
    foreign: Any = Forgotten(aggregate_id="c", version=2)

    with pytest.raises(EventAlreadyExistsError):
        await connected.push_event(counted())
    with pytest.raises(EventAlreadyExistsError):
        await EventStore.push_event_group(
            connected.group_event(counted(2)), connected.group_event(counted(1))
        )
    with pytest.raises(ForeignEventError):
        await connected.push_event(foreign)
    assert [] == adapter.taken


async def test_connected_store_keeps_its_storage(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """On another storage, which may undo what was published, it is refused; the original is not."""
    connected, _ = connect(counters, adapter)
    elsewhere = InMemoryEventStorageAdapter()

    with pytest.raises(TypeError, match=r"let a relay publish"):
        connected.using(elsewhere)
    await connected.event_store.using(elsewhere).push_event(counted())

    assert [] == adapter.taken
    assert [] == await versions(counters)


async def test_reading_and_replaying_publish_nothing(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """A connected store reads as the original does, silently."""
    connected, _ = connect(counters, adapter)
    await counters.push_event(counted())

    assert await counters.get_aggregate("c") == await connected.get_aggregate("c")
    assert await counters.list_aggregate_ids() == await connected.list_aggregate_ids()
    assert [] == adapter.taken


# The original


def test_definition_is_the_originals(counters: CounterStore, adapter: RecordingAdapter) -> None:
    """A connected store is its original in all but its pushes."""
    connected, channel = connect(counters, adapter)

    assert isinstance(connected, EventStore)
    assert counters is connected.event_store
    assert channel is connected.message_channel
    assert counters.event_store_id == connected.event_store_id
    assert counters.event_types == connected.event_types
    assert counters.reduce is connected.reduce
    assert counters.aggregate_codec is connected.aggregate_codec
    assert "ConnectedEventStore('COUNTERS')" == repr(connected)


async def test_storage_adapter_is_the_originals(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """Setting the storage adapter on either sets it on both."""
    connected, _ = connect(counters, adapter)
    one, other = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()

    connected.storage_adapter = one
    assert one is counters.storage_adapter is connected.get_storage_adapter()
    counters.storage_adapter = other
    assert other is connected.storage_adapter is connected.get_storage_adapter()

    await connected.push_event(counted())
    assert [1] == [each.version for each in await other.get_events("COUNTERS", "c")]


async def test_on_event_pushed_is_the_originals(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """Setting the hook on either sets it on both, and it runs once a push."""
    connected, _ = connect(counters, adapter)
    one, other = RememberingHook(), RememberingHook()

    connected.on_event_pushed = one
    assert one is counters.on_event_pushed
    await connected.push_event(counted())
    counters.on_event_pushed = other
    assert other is connected.on_event_pushed
    await connected.push_event(counted(2))

    assert [counted()] == [each.event for each in one.seen]
    assert [counted(2)] == [each.event for each in other.seen]


async def test_hook_gets_the_carried_state(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The state that was loaded for the message is the hook's too."""
    connected, _ = connect(counters, adapter, StateCarryingMessageQueue)
    connected.on_event_pushed = hook = RememberingHook()
    await counters.push_event(counted())
    hook.seen.clear()
    await connected.push_event(counted(2))

    assert [Counter("c", 2, 2)] == [each.next_aggregate for each in hook.seen]


def test_store_has_to_be_a_source(counters: CounterStore) -> None:
    """A channel that does not have the store cannot publish for it."""
    others = EventStore("OTHERS", event_types=[Counted], reduce=count)
    channel = NotificationMessageQueue("CHANNEL", source_event_stores=(others,))

    with pytest.raises(MessageChannelEventStoreNotFoundError, match="'COUNTERS' is not a source"):
        ConnectedEventStore(counters, channel)


async def test_connections_can_be_nested(counters: CounterStore) -> None:
    """A store that is connected twice publishes to both channels, and runs its hook once."""
    inner_adapter, outer_adapter = RecordingAdapter(), RecordingAdapter()
    inner, _ = connect(counters, inner_adapter, StateCarryingMessageBus)
    outer, _ = connect(inner, outer_adapter)
    outer.on_event_pushed = hook = RememberingHook()
    await outer.push_event(counted())
    pushed = await outer.push_event(counted(2))

    assert hook is counters.on_event_pushed
    assert [1, 2] == [each.version for each in inner_adapter.taken]
    assert [1, 2] == [each.version for each in outer_adapter.taken]
    assert [1, 2] == [each.event.version for each in hook.seen]
    assert Counter("c", 2, 2) == pushed.next_aggregate


# Failures


async def push_alone(store: CounterStore) -> Any:
    """Push one event."""
    return await store.push_event(counted())


async def push_in_group(store: CounterStore) -> Any:
    """Push one event as a group."""
    return await EventStore.push_event_group(store.group_event(counted()))


each_push = pytest.mark.parametrize("push", [push_alone, push_in_group])


@each_push
async def test_nothing_is_written_without_a_channel_adapter(
    counters: CounterStore, push: Any
) -> None:
    """A channel that cannot publish is found out before the write, at each level."""
    connected, _ = connect(counters, None)
    nested, _ = connect(connected, RecordingAdapter())

    for store in (connected, nested):
        with pytest.raises(UndefinedMessageChannelAdapterError):
            await push(store)
    assert [] == await versions(counters)


@each_push
async def test_failed_publish_tells_that_the_event_is_stored(
    counters: CounterStore, push: Any
) -> None:
    """The error carries the pushed event, and the reason as its cause."""
    fault = OSError("no network")
    connected, _ = connect(counters, RecordingAdapter(fault))

    with pytest.raises(EventPublishError, match=r"is stored in .* but was not published") as error:
        await push(connected)

    assert ("COUNTERS", "CHANNEL") == (
        error.value.event_store_id,
        error.value.message_channel_id,
    )
    assert PushedEvent(counted(), Counter("c", 1, 1)) == error.value.pushed_event
    assert fault is error.value.__cause__
    assert [1] == await versions(counters)


async def test_failed_load_of_the_state_is_a_failed_publish(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """Where the state cannot be loaded, the event is stored all the same, and the error says so."""

    class Unreadable(InMemoryEventStorageAdapter):
        async def get_events(self, *_: Any, **__: Any) -> Any:
            raise OSError("no network")

    counters.storage_adapter = Unreadable(allow_gaps=True)
    connected, _ = connect(counters, adapter, StateCarryingMessageQueue)

    with pytest.raises(EventPublishError) as error:
        await connected.push_event(counted(2))

    assert PushedEvent(counted(2), None) == error.value.pushed_event
    assert isinstance(error.value.__cause__, OSError)
    assert [] == adapter.taken


@pytest.mark.parametrize(
    "fault", [OSError("no network"), EventAlreadyExistsError("COUNTERS", "c", 1)], ids=repr
)
async def test_command_does_not_retry_a_failed_publish(
    counters: CounterStore, fault: Exception
) -> None:
    """No event is pushed twice because of a publish, whatever it failed with."""
    connected, _ = connect(counters, RecordingAdapter(fault))
    runs: list[str] = []

    @command("COUNT", required_event_stores=(connected,))
    async def count_next(
        input: str, event_stores: tuple[ConnectedEventStore[Counted, Counter]]
    ) -> None:
        (store,) = event_stores
        runs.append(input)
        await store.push_event(counted(len(runs)))

    with pytest.raises(EventPublishError):
        await count_next("c", (connected,))

    assert ["c"] == runs
    assert [1] == await versions(counters)


async def test_failed_publish_does_not_stop_the_hook(counters: CounterStore) -> None:
    """The hook runs, and the publish error is raised as it is."""
    connected, _ = connect(counters, RecordingAdapter(OSError("no network")))
    connected.on_event_pushed = hook = RememberingHook()

    with pytest.raises(EventPublishError):
        await connected.push_event(counted())
    assert [PushedEvent(counted(), Counter("c", 1, 1))] == hook.seen


async def test_failed_hook_does_not_stop_the_publish(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The message goes, and the hook's error is raised as it is."""
    connected, _ = connect(counters, adapter)
    connected.on_event_pushed = RememberingHook(LookupError("no hook"))

    with pytest.raises(LookupError, match="no hook"):
        await connected.push_event(counted())
    assert [1] == [each.version for each in adapter.taken]


async def test_both_failures_are_told(counters: CounterStore) -> None:
    """Where publish and hook both fail, the caller gets both errors."""
    connected, _ = connect(counters, RecordingAdapter(OSError("no network")))
    fault = LookupError("no hook")
    connected.on_event_pushed = RememberingHook(fault)

    with pytest.raises(EventPublishError) as raised:
        await connected.push_event(counted())

    assert (fault,) == raised.value.others
    assert ["beside it: LookupError: LookupError was raised"] == raised.value.__notes__
    assert [1] == await versions(counters)


async def test_conflict_of_the_hook_is_not_retryable(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """A conflict after the write is marked here too."""
    connected, _ = connect(counters, adapter)
    connected.on_event_pushed = RememberingHook(EventAlreadyExistsError("POKEDEX", "kanto", 1))

    with pytest.raises(EventAlreadyExistsError) as error:
        await connected.push_event(counted())
    assert not error.value.retryable


async def test_failed_publish_does_not_stop_the_rest_of_a_group(counters: CounterStore) -> None:
    """Each other event of the group is published; the error names the one that was not."""
    adapter = RecordingAdapter(OSError("no network"))
    connected, _ = connect(counters, adapter)

    with pytest.raises(EventPublishError) as error:
        await EventStore.push_event_group(*(connected.group_event(counted(i)) for i in (1, 2, 3)))

    assert counted(1) == error.value.pushed_event.event
    assert [2, 3] == [each.version for each in adapter.taken]
    assert [1, 2, 3] == await versions(counters)


async def test_several_failed_publishes_are_all_told(counters: CounterStore) -> None:
    """Every event of a group that was not published is named by an error."""
    connected, _ = connect(counters, RecordingAdapter(OSError("one"), OSError("two")))

    with pytest.raises(EventPublishError) as raised:
        await EventStore.push_event_group(*(connected.group_event(counted(i)) for i in (1, 2, 3)))

    assert [1, 2] == [
        each.pushed_event.event.version
        for each in (raised.value, *raised.value.others)
        if isinstance(each, EventPublishError)
    ]


async def test_cancelled_group_tells_what_was_not_published(counters: CounterStore) -> None:
    """A publish that failed before the cancellation is not forgotten."""
    connected, _ = connect(counters, RecordingAdapter(OSError("one"), asyncio.CancelledError()))

    with pytest.raises(asyncio.CancelledError) as raised:
        await EventStore.push_event_group(*(connected.group_event(counted(i)) for i in (1, 2, 3)))

    (note,) = raised.value.__notes__
    assert note.startswith("beside it: EventPublishError: event 1 of aggregate 'c' is stored")
    assert [1, 2, 3] == await versions(counters)


async def test_cancelled_hook_tells_what_was_not_published(counters: CounterStore) -> None:
    """The failed publish of the very event is told beside the cancellation, too."""
    connected, _ = connect(counters, RecordingAdapter(OSError("no network")))
    connected.on_event_pushed = RememberingHook(asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError) as raised:
        await connected.push_event(counted())

    (note,) = raised.value.__notes__
    assert note.startswith("beside it: EventPublishError: event ")


async def test_cancelled_publish_leaves_the_event(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """What is cancelled between the write and the publish is written."""
    adapter.errors.append(asyncio.CancelledError())
    connected, _ = connect(counters, adapter)

    with pytest.raises(asyncio.CancelledError):
        await connected.push_event(counted())

    assert [1] == await versions(counters)
    assert [] == adapter.taken


# Transactions of the user's


async def push_in_mixed_group(store: CounterStore) -> Any:
    """Push an event of an unconnected store and one of the store as a group."""
    quiet = EventStore("QUIET", event_types=[Counted], reduce=count)
    quiet.storage_adapter = store.storage_adapter
    return await EventStore.push_event_group(
        quiet.group_event(counted()), store.group_event(counted())
    )


async def push_by_command(store: CounterStore) -> Any:
    """Push one event by a command."""

    @command("COUNT", required_event_stores=(store,))
    async def count_next(_: str, event_stores: tuple[CounterStore]) -> Any:
        (store,) = event_stores
        return await store.push_event(counted())

    return await count_next("c", (store,))


async def push_by_aggregate_command(store: CounterStore) -> Any:
    """Push one event by an aggregate command."""

    def count_next(_: Counter | None) -> EventDraft[Counted]:
        return Counted.draft()

    return await AggregateCommands(store).handler(count_next)("c")


@pytest.mark.parametrize(
    "push",
    [
        push_alone,
        push_in_group,
        push_in_mixed_group,
        push_by_command,
        push_by_aggregate_command,
    ],
)
async def test_nothing_is_pushed_within_a_transaction(
    counters: CounterStore, adapter: RecordingAdapter, push: Any
) -> None:
    """What may be rolled back is neither written nor published, at each level."""
    connected, _ = connect(counters, adapter)
    nested, _ = connect(connected, adapter)
    counters.on_event_pushed = hook = RememberingHook()
    counters.storage_adapter = transaction = Transaction()

    for store in (connected, nested):
        with pytest.raises(TransactionNotPublishableError, match="not published") as raised:
            await push(store)
        assert "COUNTERS" == raised.value.event_store_id
    assert ([], []) == (adapter.taken, hook.seen)
    for each in ("COUNTERS", "QUIET"):
        assert not (await transaction.list_aggregate_ids(each)).aggregates


@pytest.mark.parametrize("is_asserted", [False, True])
async def test_no_transaction_takes_an_event_of_a_connected_store(
    counters: CounterStore, adapter: RecordingAdapter, *, is_asserted: bool
) -> None:
    """A group is written at once: within the transaction, if one of its adapters joins one."""
    connected, _ = connect(counters, adapter)
    joined = counters.using(Transaction())
    other = (
        joined.assert_version("other", 0)
        if is_asserted
        else joined.group_event(counted(aggregate_id="other"))
    )

    with pytest.raises(TransactionNotPublishableError):
        await EventStore.push_event_group(other, connected.group_event(counted()))

    assert [] == adapter.taken
    assert [] == await versions(counters)
    assert [] == await versions(joined, "other")


async def test_reads_within_a_transaction(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """A connected store reads, lists and asserts there: that publishes nothing."""
    connected, _ = connect(counters, adapter)
    counters.storage_adapter = Transaction()
    await counters.push_event(counted())
    await EventStore.push_event_group(
        counters.group_event(counted(aggregate_id="b")), connected.assert_version("c", 1)
    )

    assert [1] == await versions(connected)
    assert Counter("c", 1, 1) == (await connected.get_aggregate("c")).aggregate
    assert ["b", "c"] == (await connected.list_aggregate_ids()).aggregate_ids
    assert [] == adapter.taken


async def test_store_within_a_transaction_can_be_connected(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """It reads there; its pushes are refused."""
    joined = counters.using(Transaction())
    await joined.push_event(counted())
    connected, _ = connect(joined, adapter)

    assert [1] == await versions(connected)
    with pytest.raises(TransactionNotPublishableError):
        await connected.push_event(counted(2))
    assert [1] == await versions(joined)


def test_connected_store_does_not_move_into_a_transaction(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The error says what to do instead."""
    connected, _ = connect(counters, adapter)

    with pytest.raises(TransactionNotPublishableError, match=r"publish with a relay"):
        connected.using(Transaction())


async def test_hook_runs_before_the_commit(counters: CounterStore) -> None:
    """A store within a transaction awaits its hook after the push, as always."""
    counters.on_event_pushed = hook = RememberingHook()
    await counters.using(Transaction()).push_event(counted())

    assert [counted()] == [each.event for each in hook.seen]
    assert [] == await versions(counters)


async def test_adapter_that_says_that_it_joins_no_transaction(
    counters: CounterStore, adapter: RecordingAdapter
) -> None:
    """The attribute may be there and false."""

    class Durable(InMemoryEventStorageAdapter):
        joins_transaction = False

    counters.storage_adapter = Durable()
    connected, _ = connect(counters, adapter)
    await connected.push_event(counted())

    assert [1] == [each.version for each in adapter.taken]
