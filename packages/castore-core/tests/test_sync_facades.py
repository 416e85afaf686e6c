"""Façades have the methods of the asynchronous objects, and run them in an event loop."""

import asyncio
import inspect
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from castore_core import (
    AggregateCommand,
    AggregateCommands,
    AggregateNotFoundError,
    Command,
    ConnectedEventStore,
    DataclassCodec,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventStore,
    GroupCommand,
    InvalidEventGroupError,
    MessageChannel,
    NotificationMessage,
    NotificationMessageQueue,
    PushedEvent,
    StateCarryingMessage,
    StateCarryingMessageQueue,
    VersionAssertionError,
    command,
    group_command,
    one,
    several,
)
from castore_core.sync import (
    EventLoopThread,
    SyncAggregateCommand,
    SyncAggregateCommands,
    SyncCommand,
    SyncEventStore,
    SyncExistingAggregateCommand,
    SyncGroupCommand,
    SyncMessageChannel,
    SyncStateCarryingMessageChannel,
)
from castore_in_memory import InMemoryEventStorageAdapter
from recording_channel import RecordingChannelAdapter


class Opened(Event, type="OPENED"):
    """An account was opened."""


class Closed(Event, type="CLOSED"):
    """An account was closed."""


@dataclass(frozen=True)
class Account:
    """An aggregate."""

    aggregate_id: str
    version: int


def reduce_account(_account: Account | None, event: Opened | Closed) -> Account:
    """Count the events."""
    return Account(event.aggregate_id, event.version)


Accounts = EventStore[Opened | Closed, Account]


@pytest.fixture
def store() -> Accounts:
    """Return an asynchronous store."""
    return EventStore(
        "ACCOUNTS",
        event_types=[Opened, Closed],
        reduce=reduce_account,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(Account),
    )


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Give an event loop of its own."""
    with EventLoopThread(name="own") as event_loop:
        yield event_loop


def test_a_store(store: Accounts) -> None:
    """A façade pushes events and reads them."""
    accounts = SyncEventStore(store)
    first = accounts.push_event(Opened("a", 1))
    second = accounts.push_event(Closed("a", 2), prev_aggregate=first.next_aggregate)

    assert Account("a", 2) == second.next_aggregate
    assert [first.event, second.event] == accounts.get_events("a")
    assert [second.event] == accounts.get_events("a", reverse=True, limit=1)
    assert Account("a", 1) == accounts.get_existing_aggregate("a", max_version=1).aggregate
    assert accounts.get_aggregate("b").aggregate is None
    assert ["a"] == accounts.list_aggregate_ids(limit=1).aggregate_ids
    with pytest.raises(AggregateNotFoundError):
        accounts.get_existing_aggregate("b")
    with pytest.raises(EventAlreadyExistsError):
        accounts.push_event(Opened("a", 1))


def test_what_needs_no_event_loop(store: Accounts) -> None:
    """Methods that need no event loop are there, too."""
    accounts = SyncEventStore(store)
    events = [Opened("a", 1), Closed("a", 2)]

    assert "SyncEventStore(EventStore('ACCOUNTS'))" == repr(accounts)
    assert store is accounts.event_store
    assert "ACCOUNTS" == accounts.event_store_id
    assert (Opened, Closed) == accounts.event_types
    assert store.get_storage_adapter() is accounts.storage_adapter
    assert Account("a", 2) == accounts.build_aggregate(events)
    assert Account("a", 2) == accounts.simulate_aggregate(events)
    assert events[0] == accounts.event_from_record(accounts.event_to_record(events[0]))


def test_setting_what_a_store_has(store: Accounts) -> None:
    """Attributes that are set on a façade are set on the asynchronous store."""
    accounts = SyncEventStore(store)
    seen: list[PushedEvent[Any, Any]] = []

    async def note(pushed: PushedEvent[Opened | Closed, Account]) -> None:
        seen.append(pushed)

    adapter = InMemoryEventStorageAdapter()
    accounts.storage_adapter = adapter
    accounts.on_event_pushed = note
    pushed = accounts.push_event(Opened("a", 1))

    assert store.storage_adapter is adapter
    assert [pushed] == seen


def test_another_storage(store: Accounts, event_loop: EventLoopThread) -> None:
    """The same store on another adapter is a façade with the same options."""
    accounts = SyncEventStore(store, event_loop=event_loop).with_timeout(5)
    other = accounts.using(InMemoryEventStorageAdapter())
    other.push_event(Opened("a", 1))

    assert [] == accounts.get_events("a")
    assert 1 == len(other.get_events("a"))
    assert event_loop is other.event_loop


def test_ids_come_page_by_page(store: Accounts) -> None:
    """No page is read before it is needed."""
    accounts = SyncEventStore(store)
    for each in "abcde":
        accounts.push_event(Opened(each, 1))
    ids = accounts.iter_aggregate_ids(limit=2)
    first = [next(ids), next(ids)]
    accounts.push_event(Opened("f", 1))

    assert ["a", "b"] == first
    assert ["c", "d", "e", "f"] == list(ids)


def test_groups(store: Accounts) -> None:
    """Groups are pushed all or none, with assertions, through the class or a store."""
    accounts = SyncEventStore(store)
    one, two = SyncEventStore.push_event_group(
        accounts.group_event(Opened("a", 1)), accounts.group_event(Opened("b", 1))
    )
    (three,) = accounts.push_event_group(
        accounts.group_event(Closed("a", 2), prev_aggregate=one.next_aggregate),
        accounts.assert_version("b", 1),
    )
    with pytest.raises(VersionAssertionError):
        accounts.push_event_group(
            accounts.group_event(Opened("c", 1)), accounts.assert_version("b", 2)
        )

    assert Account("b", 1) == two.next_aggregate
    assert Account("a", 2) == three.next_aggregate
    assert [] == accounts.get_events("c")
    assert () == SyncEventStore.push_event_group()


def test_groups_run_where_their_store_does(store: Accounts, event_loop: EventLoopThread) -> None:
    """The event loop of a group is that of the façade which made it, and there is only one."""
    names: list[str] = []

    async def note(_: object) -> None:
        names.append(threading.current_thread().name)

    store.on_event_pushed = note
    own, shared = SyncEventStore(store, event_loop=event_loop), SyncEventStore(store)
    SyncEventStore.push_event_group(own.group_event(Opened("a", 1)))
    SyncEventStore.push_event_group(store.group_event(Opened("b", 1)))
    with pytest.raises(InvalidEventGroupError, match="different event loops"):
        SyncEventStore.push_event_group(
            own.group_event(Opened("c", 1)), shared.assert_version("a", 1)
        )

    assert ["own", "castore-sync"] == names


def test_a_timeout(store: Accounts) -> None:
    """A timeout is an option of the façade, and of one call."""

    async def wait(_: object) -> None:
        await asyncio.sleep(60)

    store.on_event_pushed = wait
    with pytest.raises(TimeoutError):
        SyncEventStore(store, timeout=0.05).push_event(Opened("a", 1))
    accounts = SyncEventStore(store)
    with pytest.raises(TimeoutError):
        accounts.with_timeout(0.05).push_event(Opened("b", 1))
    with pytest.raises(ValueError, match="above 0"):
        accounts.with_timeout(0)

    assert [1, 1] == [len(accounts.get_events(each)) for each in "ab"]


async def test_a_running_loop(store: Accounts) -> None:
    """Every call is refused inside an event loop, and nothing is written."""
    with pytest.raises(RuntimeError, match="an event loop runs in this thread"):
        SyncEventStore(store).push_event(Opened("a", 1))
    with pytest.raises(RuntimeError, match="an event loop runs in this thread"):
        list(SyncEventStore(store).iter_aggregate_ids())

    assert [] == await store.get_events("a")


def test_a_connected_store(store: Accounts) -> None:
    """A connected store publishes the events that its façade pushes."""
    adapter = RecordingChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
    )
    SyncEventStore(ConnectedEventStore(store, queue)).push_event(Opened("a", 1))

    assert [("a", 1)] == adapter.places


def test_a_command(store: Accounts) -> None:
    """The handler stays asynchronous, and is given the asynchronous stores."""

    @command("OPEN", required_event_stores=(store,))
    async def open_account(aggregate_id: str, stores: tuple[Accounts], *, close: bool) -> int:
        await stores[0].push_event(Opened(aggregate_id, 1))
        if close:
            await stores[0].push_event(Closed(aggregate_id, 2))
        return len(await stores[0].get_events(aggregate_id))

    run = SyncCommand(open_account)

    assert 2 == run("a", (store,), close=True)
    assert 1 == run.handler("b", (store,), close=False)
    assert ("OPEN", (store,), open_account) == (
        run.command_id,
        run.required_event_stores,
        run.command,
    )


def test_aggregate_commands(store: Accounts) -> None:
    """Handlers that were declared for asynchronous programs are used as they are."""
    commands = AggregateCommands(store)

    @commands.handler
    def open_account(account: Account | None) -> EventDraft[Opened] | None:
        return None if account else Opened.draft()

    @commands.existing_handler
    def close_account(_account: Account) -> EventDraft[Closed]:
        return Closed.draft()

    sync_commands = SyncAggregateCommands(commands)
    other = EventStore(
        "ACCOUNTS",
        event_types=[Opened, Closed],
        reduce=reduce_account,
        storage_adapter=InMemoryEventStorageAdapter(),
    )

    assert Account("a", 1) == SyncAggregateCommand(open_account)("a")
    assert Account("a", 2) == SyncExistingAggregateCommand(close_account)("a")
    assert Account("b", 1) == sync_commands.run("open_account", "b")
    assert ["open_account", "close_account"] == sync_commands.names
    with pytest.raises(AggregateNotFoundError):
        sync_commands.using(other).run("close_account", "b")
    with pytest.raises(AggregateNotFoundError):
        SyncExistingAggregateCommand(close_account).using(other)("b")


def test_channels(store: Accounts) -> None:
    """A façade of a channel publishes messages, and parses them."""
    adapter = RecordingChannelAdapter()
    queue = SyncMessageChannel(
        NotificationMessageQueue(
            "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
        )
    )
    message = NotificationMessage("ACCOUNTS", Opened("a", 1))
    queue.publish_message(message)
    queue.publish_messages([message, message], replay=True)

    assert [message] * 3 == [queue.parse_message(each) for each in adapter.bodies]
    assert "QUEUE" == queue.message_channel_id


def test_state_carrying_channels(store: Accounts) -> None:
    """A façade of a state-carrying channel loads the aggregate, and publishes it."""
    adapter = RecordingChannelAdapter()
    queue = SyncStateCarryingMessageChannel(
        StateCarryingMessageQueue(
            "QUEUE", source_event_stores=(store,), message_channel_adapter=adapter
        )
    )
    event = SyncEventStore(store).push_event(Opened("a", 1)).event
    queue.get_aggregate_and_publish_message(NotificationMessage("ACCOUNTS", event))

    assert [StateCarryingMessage("ACCOUNTS", event, Account("a", 1))] == [
        queue.parse_message(each) for each in adapter.bodies
    ]


def test_group_commands(store: Accounts) -> None:
    """A command over several aggregates is called with their ids, also with a key."""

    @group_command(one(store), several(store))
    def open_all(
        _: Account | None, others: Mapping[str, Account | None]
    ) -> tuple[EventDraft[Opened], dict[str, EventDraft[Opened]]]:
        return Opened.draft(), {each: Opened.draft() for each in others}

    sync_open_all = SyncGroupCommand(open_all).with_idempotency_key("request-1")
    expected = Account("a", 1), {"b": Account("b", 1)}

    assert expected == sync_open_all("a", ["b"])
    assert expected == sync_open_all("a", ["b"])
    assert ("open_all", (store, store)) == (sync_open_all.command_id, sync_open_all.event_stores)


LEFT_OUT = {
    "check_input",
    "check_output",
    "decode_output",
    "encode_input",
    "encode_output",
    "existing_handler",
    "handler",
}


@pytest.mark.parametrize(
    ("original", "facade"),
    [
        (EventStore, SyncEventStore),
        (Command, SyncCommand),
        (AggregateCommand, SyncAggregateCommand),
        (AggregateCommands, SyncAggregateCommands),
        (GroupCommand, SyncGroupCommand),
        (MessageChannel, SyncMessageChannel),
    ],
)
def test_nothing_is_missing(original: type, facade: type) -> None:
    """A façade has every public method, and none is a coroutine function."""
    names = {each for each in dir(original) if not each.startswith("_")} - LEFT_OUT - {"kind"}

    assert set() == names - set(dir(facade))
    for each in names:
        assert not inspect.iscoroutinefunction(getattr(facade, each))
        assert inspect.getdoc(getattr(facade, each)) == inspect.getdoc(getattr(original, each))
