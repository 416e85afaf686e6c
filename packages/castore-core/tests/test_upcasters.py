"""Upcasters turn old stored events into newer ones when they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from castore_core import (
    ABSENT,
    Event,
    EventDecodeError,
    EventRecord,
    EventStore,
    UnknownEventTypeError,
    Upcaster,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOW = datetime(2022, 1, 1, tzinfo=UTC)


class Named(Event, type="NAMED_V3"):
    """The newest of three forms."""

    payload: dict[str, str]


@dataclass(frozen=True)
class Name:
    """An aggregate."""

    aggregate_id: str
    version: int
    names: tuple[str, ...]


def reduce_name(name: Name | None, event: Named) -> Name:
    """Compute the state."""
    earlier = name.names if name else ()
    return Name(event.aggregate_id, event.version, (*earlier, *event.payload.values()))


def upcast_first(record: EventRecord) -> EventRecord:
    """Give the payload its name."""
    if record.type != "NAMED":
        return record
    return record._replace(type="NAMED_V2", payload={"name": record.payload or "nobody"})


def upcast_second(record: EventRecord) -> EventRecord:
    """Rename the name."""
    match record:
        case EventRecord(type="NAMED_V2", payload={"name": name}):
            return record._replace(type="NAMED_V3", payload={"full_name": name})
        case _:
            return record


async def store_of(*records: EventRecord, upcasters: Sequence[Upcaster]) -> EventStore[Named, Name]:
    """Return a store of some stored events."""
    adapter = InMemoryEventStorageAdapter(("NAMES", each) for each in records)
    return EventStore(
        "NAMES",
        event_types=[Named],
        reduce=reduce_name,
        storage_adapter=adapter,
        upcasters=upcasters,
    )


OLD = EventRecord("a", 1, "NAMED", NOW, "Ash")
NEWER = EventRecord("a", 2, "NAMED_V2", NOW, {"name": "Misty"})
NEWEST = EventRecord("a", 3, "NAMED_V3", NOW, {"full_name": "Brock"})


async def test_upcasters_are_chained() -> None:
    """Each upcaster sees what the one before it made."""
    store = await store_of(OLD, NEWER, NEWEST, upcasters=[upcast_first, upcast_second])
    loaded = await store.get_existing_aggregate("a")

    assert Name("a", 3, ("Ash", "Misty", "Brock")) == loaded.aggregate
    assert [1, 2, 3] == [each.version for each in loaded.events]


async def test_upcasters_run_in_their_order() -> None:
    """In the wrong order, an old event does not become a known one: the error says so."""
    store = await store_of(OLD, upcasters=[upcast_second, upcast_first])

    with pytest.raises(UnknownEventTypeError) as error:
        await store.get_events("a")
    assert ("a", 1, "NAMED_V2") == (
        error.value.aggregate_id,
        error.value.version,
        error.value.event_type,
    )


async def test_type_that_no_upcaster_knows() -> None:
    """A stored type that is neither known nor upcast is an error."""
    fled = EventRecord("a", 1, "FLED", NOW)
    store = await store_of(fled, upcasters=[upcast_first, upcast_second])

    with pytest.raises(UnknownEventTypeError, match="add the type to event_types, or an upcaster"):
        await store.get_events("a")


async def test_upcaster_can_fill_what_is_absent() -> None:
    """An upcaster sees ABSENT, and can put a value in its place."""
    store = await store_of(OLD._replace(payload=ABSENT), upcasters=[upcast_first, upcast_second])

    (event,) = await store.get_events("a")
    assert {"full_name": "nobody"} == event.payload


async def test_upcast_event_has_to_fit() -> None:
    """What an upcaster left out is missed."""

    def forget_payload(record: EventRecord) -> EventRecord:
        return record._replace(payload=ABSENT)

    store = await store_of(NEWEST, upcasters=[forget_payload])

    with pytest.raises(EventDecodeError, match="payload is absent"):
        await store.get_events("a")


async def test_upcasters_do_not_touch_the_storage() -> None:
    """What is stored stays as it was written."""
    store = await store_of(OLD, upcasters=[upcast_first, upcast_second])
    await store.get_events("a")

    assert [OLD] == await store.get_storage_adapter().get_events("NAMES", "a")


async def test_upcasters_do_not_run_on_writing() -> None:
    """A pushed event is written as it is."""

    def fail(record: EventRecord) -> EventRecord:
        raise AssertionError(record)

    store = await store_of(upcasters=[fail])
    event = Named(aggregate_id="a", version=1, timestamp=NOW, payload={"full_name": "Ash"})
    await store.push_event(event)

    assert [event.to_record()] == await store.get_storage_adapter().get_events("NAMES", "a")
