"""Values of a context are added to the metadata of the events that are pushed in it."""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from threading import Thread
from typing import Any, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    Event,
    EventDraft,
    EventRecord,
    EventStore,
    ForeignEventError,
    JSONValue,
    NotificationMessage,
    NotificationMessageQueue,
    NotJSONError,
    PushedEvent,
    command,
    event_metadata,
    get_event_metadata,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemoryMessageQueueAdapter
from castore_test_tools import mock_event_store


class Trace(TypedDict):
    """Metadata that declare their keys."""

    reason: NotRequired[str]
    correlation_id: NotRequired[str]


class Counted(Event, type="COUNTED"):
    """Some more, with room for any metadata."""

    metadata: dict[str, JSONValue] | None = None


class Traced(Event, type="TRACED"):
    """Some more, with room for two keys."""

    metadata: Trace | None = None


class Bare(Event, type="BARE"):
    """Some more, without metadata."""


class Foreign(Event, type="FOREIGN"):
    """An event of no store."""

    metadata: dict[str, JSONValue] | None = None


@dataclass(frozen=True)
class Counter:
    """An aggregate, which remembers the metadata of its events."""

    aggregate_id: str
    version: int
    seen: tuple[object, ...] = ()


AnyCounted = Counted | Traced | Bare


def count(counter: Counter | None, event: AnyCounted) -> Counter:
    """Remember what the reducer is given."""
    seen = counter.seen if counter else ()
    return Counter(event.aggregate_id, event.version, (*seen, getattr(event, "metadata", None)))


Counters = EventStore[AnyCounted, Counter]


def make_store(
    on_event_pushed: Any = None, prepare_event: Callable[[AnyCounted], AnyCounted] | None = None
) -> Counters:
    """Return a store of its own memory."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted, Traced, Bare],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
        on_event_pushed=on_event_pushed,
        prepare_event=prepare_event,
    )


async def read_metadata(store: Counters, aggregate_id: str = "a") -> list[object]:
    """Return the metadata of an aggregate's events, as they are stored."""
    records = await store.get_storage_adapter().get_events(store.event_store_id, aggregate_id)
    return [each.metadata for each in records]


async def test_values_are_stored() -> None:
    """An event that is pushed within the context has its values; one pushed after it has none."""
    store = make_store()

    with event_metadata(correlation_id="c", actor="misty"):
        await store.push_event(Counted("a", 1))
    await store.push_event(Counted("a", 2))

    (event, later) = await store.get_events("a")
    assert Counted("a", 1, timestamp=event.timestamp, metadata=get_c_and_misty()) == event
    assert Counted("a", 2, timestamp=later.timestamp) == later


def get_c_and_misty() -> dict[str, JSONValue]:
    """Return the values that most tests give."""
    return {"correlation_id": "c", "actor": "misty"}


async def test_undeclared_keys_are_left_out() -> None:
    """A ``TypedDict`` gets the keys that it declares, and an event without metadata nothing."""
    store = make_store()

    with event_metadata(get_c_and_misty()):
        await store.push_event(Traced("a", 1))
        await store.push_event(Traced("a", 2, metadata={"reason": "r"}))
        await store.push_event(Bare("b", 1))

    assert [{"correlation_id": "c"}, {"reason": "r", "correlation_id": "c"}] == await read_metadata(
        store
    )
    (bare,) = await store.get_events("b")
    assert isinstance(bare, Bare)


async def test_the_event_is_left_alone() -> None:
    """The event that was pushed stays as it is, and so does its dictionary."""
    store, metadata = make_store(), {"reason": "r"}
    event = Counted("a", 1, metadata={**metadata})

    with event_metadata(actor="misty"):
        pushed = await store.push_event(event)

    assert metadata == event.metadata
    assert isinstance(pushed.event, Counted)
    assert {"reason": "r", "actor": "misty"} == pushed.event.metadata
    assert event.timestamp == pushed.event.timestamp


async def test_everybody_sees_the_event_as_it_is_stored() -> None:
    """The result, the hook and the reducer are given the event with its metadata."""
    hooked: list[PushedEvent[AnyCounted, Counter]] = []

    async def remember(pushed: PushedEvent[AnyCounted, Counter]) -> None:
        hooked.append(pushed)

    store = make_store(remember)

    with event_metadata(actor="misty"):
        pushed = await store.push_event(Counted("a", 1))

    assert [pushed] == hooked
    assert [pushed.event] == await store.get_events("a")
    assert pushed.next_aggregate is not None
    assert ({"actor": "misty"},) == pushed.next_aggregate.seen


async def test_without_a_context_it_is_the_same_event() -> None:
    """A push without values makes no copy."""
    event = Counted("a", 1)

    assert event is (await make_store().push_event(event)).event


async def test_without_room_it_is_the_same_event() -> None:
    """A push makes no copy of an event that has no room for values, or has them all."""
    store = make_store()
    events = [Bare("a", 1), Traced("b", 1), Counted("c", 1, metadata={"actor": "brock"})]

    with event_metadata(actor="misty"):
        pushed = [(await store.push_event(each)).event for each in events]

    assert [id(each) for each in events] == [id(each) for each in pushed]


async def test_groups() -> None:
    """Each event of a group gets the values, whenever it was grouped."""
    store, other = make_store(), make_store()
    other.storage_adapter = store.storage_adapter
    grouped = store.group_event(Counted("a", 1, metadata={"actor": "brock"}))

    with event_metadata(actor="misty"):
        pushed = await EventStore.push_event_group(grouped, other.group_event(Traced("b", 1)))
        (again,) = await EventStore.push_event_group(store.group_event(Counted("c", 1)))

    assert [{"actor": "brock"}] == await read_metadata(store)
    assert again.next_aggregate is not None
    assert ({"actor": "misty"},) == again.next_aggregate.seen
    assert [{"actor": "misty"}] == await read_metadata(store, "c")
    assert 2 == len(pushed)


async def test_forced_pushes() -> None:
    """An event that replaces another gets the values, too."""
    store = make_store()
    await store.push_event(Counted("a", 1))

    with event_metadata(actor="misty"):
        await store.push_event(Counted("a", 1), force=True)

    assert [{"actor": "misty"}] == await read_metadata(store)


async def test_aggregate_commands() -> None:
    """The drafts of a handler become events with the values."""
    store = make_store()
    commands = AggregateCommands(store)

    @commands.handler
    def count_twice(_: Counter | None) -> list[EventDraft[Counted]]:
        return [Counted.draft(), Counted.draft()]

    with event_metadata(actor="misty"):
        counter = await count_twice("a")

    assert counter is not None
    assert ({"actor": "misty"}, {"actor": "misty"}) == counter.seen
    assert [{"actor": "misty"}] * 2 == await read_metadata(store)


async def test_commands() -> None:
    """A handler may add values of its own, for the pushes that it makes."""
    store = make_store()

    @command("COUNT", required_event_stores=(store,))
    async def count_one(aggregate_id: str, event_stores: tuple[Counters]) -> None:
        with event_metadata(reason="command"):
            await event_stores[0].push_event(Counted(aggregate_id, 1))

    with event_metadata(actor="misty"):
        await count_one("a", (store,))

    assert [{"actor": "misty", "reason": "command"}] == await read_metadata(store)


async def test_connected_stores() -> None:
    """The message carries the metadata as they are stored."""
    store = make_store()
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    async with InMemoryMessageQueueAdapter.attach_to(queue) as adapter:
        with event_metadata(actor="misty"):
            pushed = await ConnectedEventStore(store, queue).push_event(Counted("a", 1))
        ((message, _),) = adapter.pending

    assert NotificationMessage("COUNTERS", pushed.event) == queue.parse_message(message.body)
    assert [{"actor": "misty"}] == await read_metadata(store)


async def test_mocks() -> None:
    """A mock adds the values, but not to the events that it begins with."""
    with event_metadata(actor="misty"):
        store = mock_event_store(make_store(), [Counted("a", 1)])
        await store.push_event(Counted("a", 2))

    assert [None, {"actor": "misty"}] == [
        each.metadata for each in await store.get_events("a") if isinstance(each, Counted)
    ]


async def test_records_are_left_alone() -> None:
    """A record that is not pushed through a store, as by a relay or a replay, gets no values."""
    store = make_store()

    with event_metadata(actor="misty"):
        await store.get_storage_adapter().push_event(
            "COUNTERS", EventRecord(*Counted("a", 1).to_record()[:4])
        )
        record = store.event_to_record(Counted("a", 1))

    (event,) = await store.get_events("a")
    assert isinstance(event, Counted)
    assert event.metadata is None
    assert Counted("a", 1, timestamp=record.timestamp).to_record() == record


async def test_foreign_events_are_refused_as_ever() -> None:
    """An event of another store, and a draft, have the errors that they have without values."""
    store: Any = make_store()

    with event_metadata(actor="misty"):
        with pytest.raises(ForeignEventError):
            await store.push_event(Foreign("a", 1))
        with pytest.raises(TypeError, match="a draft has no aggregate"):
            await store.push_event(Counted.draft())


# Contexts


def test_contexts_nest() -> None:
    """The inner values are added to the outer ones, and win."""
    with event_metadata(actor="misty", reason="outer"):
        with event_metadata(reason="inner"):
            inner = get_event_metadata()
        outer = get_event_metadata()

    assert {"actor": "misty", "reason": "inner"} == inner
    assert {"actor": "misty", "reason": "outer"} == outer
    assert {} == get_event_metadata()


def test_the_inner_value_wins_in_either_spelling() -> None:
    """A block that begins another chain does so for all events, however they spell its key."""
    with event_metadata(correlation_id="outer", actorName="misty"):
        with event_metadata(correlationId="inner", actor_name="ash"):
            inner = get_event_metadata()
        with event_metadata(correlation_id="inner", correlationId="too"):
            both = get_event_metadata()

    assert {"correlationId": "inner", "actor_name": "ash"} == inner
    assert {"correlation_id": "inner", "correlationId": "too", "actorName": "misty"} == both


def test_one_object_for_each_block() -> None:
    """An object serves one block after the other, and is refused where it is in use."""
    context = event_metadata(actor="misty")

    with context, pytest.raises(RuntimeError, match="in use"), context:
        pass
    with context:
        again = get_event_metadata()

    assert {"actor": "misty"} == again
    assert {} == get_event_metadata()


def test_a_block_ends_where_it_began() -> None:
    """A generator that ends in another context, where nobody saw the values, is told so."""

    def depend() -> Iterator[None]:
        with event_metadata(actor="misty"):
            yield

    dependency = depend()
    copy_context().run(next, dependency)

    with pytest.raises(RuntimeError, match="began in another context"):
        next(dependency)


def test_an_error_ends_the_context() -> None:
    """The values are gone when the block was left by an error."""
    with pytest.raises(LookupError), event_metadata(actor="misty"):
        raise LookupError

    assert {} == get_event_metadata()


def test_later_changes_have_no_effect() -> None:
    """The values are copies of those that were given, and so is the answer."""
    roles = ["trainer"]

    with event_metadata({"roles": [*roles]}):
        get_event_metadata()["roles"] = []
        seen: Any = get_event_metadata()["roles"]
        seen.append("champion")
        assert {"roles": roles} == get_event_metadata()


async def test_events_share_no_value() -> None:
    """A list of the context is copied for each event."""
    store = make_store()

    with event_metadata({"roles": ["trainer"]}):
        first: Any = (await store.push_event(Counted("a", 1))).event
        first.metadata["roles"].append("champion")
        second: Any = (await store.push_event(Counted("a", 2))).event

    assert {"roles": ["trainer"]} == second.metadata


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), ("a",)])
def test_values_are_json(value: Any) -> None:
    """A value that is no JSON value is refused where it is given."""
    with pytest.raises(NotJSONError, match=r"event_metadata\.actor"):
        event_metadata(actor=value)


def test_it_is_no_decorator() -> None:
    """A decorated coroutine function would run after the context had ended: that is refused."""
    context: Any = event_metadata(actor="misty")

    with pytest.raises(TypeError, match="not callable"):

        @context
        async def push() -> None: ...


async def test_tasks_keep_their_values() -> None:
    """Tasks have the values of the place that made them, and keep their own to themselves."""
    store = make_store()

    async def push(aggregate_id: str) -> None:
        with event_metadata(task=aggregate_id):
            await asyncio.sleep(0)
            await store.push_event(Counted(aggregate_id, 1))

    with event_metadata(actor="misty"):
        async with asyncio.TaskGroup() as tasks:
            for each in "abc":
                tasks.create_task(push(each))
            await asyncio.sleep(0)
            around = get_event_metadata()

    assert {"actor": "misty"} == around
    for each in "abc":
        assert [{"actor": "misty", "task": each}] == await read_metadata(store, each)


async def test_threads_of_asyncio_have_the_values() -> None:
    """Threads that asyncio makes for the context have its values."""
    with event_metadata(actor="misty"):
        seen = await asyncio.to_thread(get_event_metadata)

    assert {"actor": "misty"} == seen


def test_threads_of_yours_are_given_the_values() -> None:
    """A thread is given the context by running in a copy of it."""
    seen: list[object] = []

    with event_metadata(actor="misty"):
        thread = Thread(
            target=copy_context().run, args=(lambda: seen.append(get_event_metadata()),)
        )
        thread.start()
        thread.join()

    assert [{"actor": "misty"}] == seen


# Laws

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
metadata_values = st.dictionaries(
    st.sampled_from(["actor", "correlation_id", "correlationId", "x", ""]), json_values, max_size=4
)


@given(held=st.none() | metadata_values, values=metadata_values)
def test_what_the_event_has_wins(
    held: dict[str, JSONValue] | None, values: dict[str, JSONValue]
) -> None:
    """The event keeps each of its values, and gets those that it lacks, and no other."""
    present = held or {}
    event = Counted("a", 1, metadata=held)

    filled = event.with_metadata(values).metadata or {}

    assert present == {key: filled[key] for key in present}
    spellings = {"correlation_id", "correlationId"}
    assert filled.keys() - spellings == (present.keys() | values.keys()) - spellings
    added = filled.keys() - present.keys()
    assert {key: values[key] for key in added} == {key: filled[key] for key in added}
    assert not (spellings & present.keys() and spellings & added)


@given(values=metadata_values, inner=metadata_values)
def test_the_inner_context_wins(values: dict[str, JSONValue], inner: dict[str, JSONValue]) -> None:
    """Nested contexts are one context with the values of both, less those that are respelled."""
    other = {"correlation_id": "correlationId", "correlationId": "correlation_id"}
    kept = {name: each for name, each in values.items() if other.get(name) not in inner}
    with event_metadata(values), event_metadata(inner):
        assert {**kept, **inner} == get_event_metadata()
