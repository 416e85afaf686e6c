"""A hook of the store sees each event before it is encoded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from castore_core import (
    ConnectedEventStore,
    Event,
    EventStore,
    ForeignEventError,
    InvalidEventError,
    JSONValue,
    NotificationMessageQueue,
    event_metadata,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemoryMessageQueueAdapter
from castore_test_tools import mock_event_store, mute_event_store


class Counted(Event, type="COUNTED"):
    """Some more."""

    payload: int = 1
    metadata: dict[str, JSONValue] | None = None


class Reset(Event, type="RESET"):
    """Back to nothing."""


@dataclass(frozen=True)
class Counter:
    """An aggregate."""

    aggregate_id: str
    version: int
    total: int = 0


AnyCounted = Counted | Reset


def count(counter: Counter | None, event: AnyCounted) -> Counter:
    """Add what is counted."""
    total = counter.total if counter else 0
    more = event.payload if isinstance(event, Counted) else -total
    return Counter(event.aggregate_id, event.version, total + more)


def make_store(
    prepare_event: Callable[[Any], Any] | None = None,
) -> EventStore[AnyCounted, Counter]:
    """Return a store of its own memory."""
    return EventStore(
        "COUNTERS",
        event_types=[Counted, Reset],
        reduce=count,
        storage_adapter=InMemoryEventStorageAdapter(),
        prepare_event=prepare_event,
    )


def double(event: AnyCounted) -> AnyCounted:
    """Count twice."""
    return replace(event, payload=2 * event.payload) if isinstance(event, Counted) else event


async def test_what_it_returns_is_pushed() -> None:
    """The event of the hook is stored, reduced and returned."""
    store = make_store(double)

    pushed = await store.push_event(Counted("a", 1, payload=3))

    assert [pushed.event] == await store.get_events("a")
    assert Counter("a", 1, 6) == pushed.next_aggregate


async def test_it_may_return_what_it_was_given() -> None:
    """A hook that only looks changes nothing."""
    seen: list[AnyCounted] = []
    store = make_store(lambda event: seen.append(event) or event)
    event = Counted("a", 1)

    pushed = await store.push_event(event)

    assert [event] == seen
    assert event is pushed.event


async def test_it_sees_the_metadata_of_the_context() -> None:
    """It is called after the values of the context were added."""
    store = make_store(lambda event: replace(event, metadata={**event.metadata, "more": 1}))

    with event_metadata(actor="misty"):
        pushed: Any = await store.push_event(Counted("a", 1))

    assert {"actor": "misty", "more": 1} == pushed.event.metadata


async def test_groups() -> None:
    """Each event of a group goes through the hook of its own store."""
    doubling, plain = make_store(double), make_store()
    plain.storage_adapter = doubling.storage_adapter

    pushed = await EventStore.push_event_group(
        doubling.group_event(Counted("a", 1)), plain.group_event(Counted("b", 1))
    )

    assert [Counter("a", 1, 2), Counter("b", 1, 1)] == [each.next_aggregate for each in pushed]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"aggregate_id": "b"}, "aggregate_id"), ({"version": 2}, "version")],
    ids=["id", "version"],
)
async def test_the_place_stays(change: dict[str, Any], field: str) -> None:
    """An event that was moved to another place is refused, and nothing is written."""
    store = make_store(lambda event: replace(event, **change))

    with pytest.raises(InvalidEventError, match=f"{field} .*changed by prepare_event"):
        await store.push_event(Counted("a", 1))

    assert [] == await store.get_events("a")


@pytest.mark.parametrize(
    ("prepared", "found"), [(None, "NoneType"), (Reset("a", 1), "Reset"), ("text", "str")]
)
async def test_the_type_stays(prepared: object, found: str) -> None:
    """Anything but an event of the type is refused."""
    store = make_store(lambda _: prepared)

    with pytest.raises(TypeError, match=f"returned {found}, and not the Counted"):
        await store.push_event(Counted("a", 1))

    assert [] == await store.get_events("a")


async def test_it_is_no_coroutine_function() -> None:
    """A coroutine is refused, without a warning that nobody awaits it."""

    async def prepare(event: AnyCounted) -> AnyCounted:
        return event

    with pytest.raises(TypeError, match="no plain function"):
        await make_store(prepare).push_event(Counted("a", 1))


async def test_an_error_of_it() -> None:
    """An error goes to the caller, and none of a group is written."""

    def refuse(event: AnyCounted) -> AnyCounted:
        if event.aggregate_id == "b":
            raise LookupError("no b")
        return event

    store = make_store(refuse)

    with pytest.raises(LookupError, match="no b"):
        await EventStore.push_event_group(
            store.group_event(Counted("a", 1)), store.group_event(Counted("b", 1))
        )

    assert [] == await store.get_events("a")


async def test_foreign_events_are_not_shown() -> None:
    """It sees events of the store only."""

    class Foreign(Event, type="FOREIGN"):
        """An event of no store."""

    store: Any = make_store(double)

    with pytest.raises(ForeignEventError):
        await store.push_event(Foreign("a", 1))


async def test_who_has_it() -> None:
    """Stores on another adapter, mocks, muted and connected stores have the hook."""
    store = make_store(double)
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    async with InMemoryMessageQueueAdapter.attach_to(queue):
        connected = ConnectedEventStore(store, queue)
        others = [store.using(InMemoryEventStorageAdapter()), mock_event_store(store), connected]
        totals = [(await each.push_event(Counted("a", 1))).next_aggregate for each in others]
        with mute_event_store(store):
            muted = (await store.push_event(Counted("a", 1))).next_aggregate

    assert [Counter("a", 1, 2)] * 4 == [*totals, muted]


async def test_connected_stores_share_it() -> None:
    """It is that of the original, and setting it at one of them sets it at both."""
    store = make_store()
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(store,))
    connected = ConnectedEventStore(store, queue)

    connected.prepare_event = double

    assert [double, double] == [store.prepare_event, connected.prepare_event]
