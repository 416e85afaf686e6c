"""The in-memory event storage's own ways: values are copied, and groups span adapters."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from castore_core import (
    LOG_START,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    LogSlice,
    VersionAssertionError,
    VersionGapError,
    format_position,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def make_record(aggregate_id: str, payload: JSONValue = None, *, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "NOTED", NOON, payload)


def make_group(*adapters: InMemoryEventStorageAdapter) -> list[GroupedRecord]:
    """Return a group with an event for each adapter."""
    return [GroupedRecord("NOTES", make_record("a1", "group"), each) for each in adapters]


async def read_positions(adapter: InMemoryEventStorageAdapter) -> list[int]:
    """Return the numbers of the events in the log."""
    return [parse_position(each.position) for each in (await adapter.read_events()).entries]


async def test_adapters_share_nothing() -> None:
    """Each adapter has events of its own."""
    first, second = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    await first.push_event("NOTES", make_record("a1"))
    assert [] == await second.get_events("NOTES", "a1")
    assert LogSlice([], LOG_START) == await second.read_events()


async def test_a_group_spans_adapters() -> None:
    """Each event is written to its own adapter, and logged there."""
    adapters = [InMemoryEventStorageAdapter() for _ in range(3)]
    await adapters[1].push_event("NOTES", make_record("a0"))
    await adapters[0].push_event_group(make_group(*adapters))
    read = [await each.get_events("NOTES", "a1") for each in adapters]
    assert [[make_record("a1", "group")]] * 3 == read
    logged = [await read_positions(each) for each in adapters]
    assert [[1], [1, 2], [1]] == logged


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_group_over_adapters_is_all_or_nothing(taken: int) -> None:
    """A version that is taken in any of the adapters keeps the group out of all of them."""
    adapters = [InMemoryEventStorageAdapter() for _ in range(3)]
    await adapters[taken].push_event("NOTES", make_record("a1", "before"))
    with pytest.raises(EventAlreadyExistsError):
        await adapters[0].push_event_group(make_group(*adapters))
    found = [await each.get_events("NOTES", "a1") for each in adapters]
    assert [make_record("a1", "before")] == [record for each in found for record in each]


async def test_a_group_goes_through_the_adapter_of_another_event() -> None:
    """The adapter that is given a group need not hold any of its events."""
    first, second = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    await first.push_event_group(make_group(second))
    assert [] == await first.get_events("NOTES", "a1")
    assert [make_record("a1", "group")] == await second.get_events("NOTES", "a1")


@pytest.mark.parametrize("moved", [0, 1, 2])
async def test_assertions_span_adapters(moved: int) -> None:
    """Each version is asserted of its own adapter, and one that does not hold stops them all."""
    adapters = [InMemoryEventStorageAdapter() for _ in range(3)]
    asserted = [AssertedVersion("NOTES", "a0", 0, each) for each in adapters]
    await adapters[moved].push_event("NOTES", make_record("a0"))
    with pytest.raises(VersionAssertionError):
        await adapters[0].push_event_group(make_group(*adapters), asserted=asserted)
    assert [[]] * 3 == [await each.get_events("NOTES", "a1") for each in adapters]


async def test_the_event_of_another_adapter_closes_no_gap() -> None:
    """Each adapter has versions of its own."""
    first, second = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    await first.push_event("NOTES", make_record("a1"))
    with pytest.raises(VersionGapError):
        await second.push_event("NOTES", make_record("a1", version=2))
    group = [
        GroupedRecord("NOTES", make_record("a2"), first),
        GroupedRecord("NOTES", make_record("a2", version=2), second),
    ]
    with pytest.raises(VersionGapError):
        await first.push_event_group(group)
    assert [] == await first.get_events("NOTES", "a2")


async def test_a_push_wakes_the_readers_of_its_own_adapter() -> None:
    """A wait is for the events of one log."""
    first, second = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    waits = [asyncio.ensure_future(each.wait_for_events(LOG_START, 60)) for each in (first, second)]
    await asyncio.sleep(0)
    await first.push_event("NOTES", make_record("a1"))
    done, _ = await asyncio.wait(waits, timeout=0.05)
    waits[1].cancel()
    assert {waits[0]} == done


async def test_a_position_beyond_the_end_is_the_end_of_a_read_backwards() -> None:
    """A position that an earlier process gave out may lie there: all events precede it."""
    adapter = InMemoryEventStorageAdapter([("NOTES", make_record("a1"))])
    found = await adapter.read_events_backwards(before=format_position(50))

    assert ["a1"] == [each.record.aggregate_id for each in found.entries]
    assert LOG_START == found.position


async def test_force_copies_too() -> None:
    """A value that replaces another one is the storage's own."""
    adapter = InMemoryEventStorageAdapter()
    payload: list[JSONValue] = [1]
    await adapter.push_event("NOTES", make_record("a1"))
    await adapter.push_event("NOTES", make_record("a1", payload), force=True)
    payload.append(2)
    assert [make_record("a1", [1])] == await adapter.get_events("NOTES", "a1")


async def test_groups_copy_too() -> None:
    """The values of a group are the storage's own, also where its events share one."""
    adapter = InMemoryEventStorageAdapter()
    payload: list[JSONValue] = [1]
    names = ("a1", "a2")
    await adapter.push_event_group(
        [GroupedRecord("NOTES", make_record(each, payload), adapter) for each in names]
    )
    payload.append(2)
    (read,) = await adapter.get_events("NOTES", "a1")
    cast("list[JSONValue]", read.payload).append(3)
    found = [(await adapter.get_events("NOTES", each))[0].payload for each in names]
    assert [[1], [1]] == found


async def test_initial_events() -> None:
    """A storage may begin with events; it shares no values with the caller."""
    payload: JSONValue = {"notes": ["milk"]}
    first, second = make_record("a1", payload), make_record("a1", "two", version=2)
    adapter = InMemoryEventStorageAdapter([("NOTES", first), ("LISTS", first), ("NOTES", second)])
    payload["notes"] = []

    kept = make_record("a1", {"notes": ["milk"]})
    assert [kept, second] == await adapter.get_events("NOTES", "a1")
    assert [kept] == await adapter.get_events("LISTS", "a1")
    assert [1, 2, 3] == await read_positions(adapter)
    assert 1 == len((await adapter.list_aggregate_ids("NOTES")).aggregates)


async def test_initial_events_may_begin_later() -> None:
    """An aggregate that begins with version 7 goes on with 8, and with no other version."""
    adapter = InMemoryEventStorageAdapter([("NOTES", make_record("a1", version=7))])
    await adapter.push_event("NOTES", make_record("a1", version=8))
    with pytest.raises(VersionGapError):
        await adapter.push_event("NOTES", make_record("a1", version=6))


def test_initial_events_of_one_version() -> None:
    """Two initial events of one version are a conflict as any other."""
    with pytest.raises(EventAlreadyExistsError, match="'a1' of event store 'NOTES'"):
        InMemoryEventStorageAdapter([("NOTES", make_record("a1")), ("NOTES", make_record("a1"))])


def test_waiter_of_a_closed_loop_harms_no_push() -> None:
    """A loop that was closed while a reader waited takes no push down with it."""
    adapter = InMemoryEventStorageAdapter()
    record = EventRecord("a", 1, "NOTED", datetime(2024, 1, 1, tzinfo=UTC))
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(adapter.wait_for_events("", 60))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    asyncio.run(adapter.push_event("NOTES", record))

    assert not waiting.done()
    assert [record] == asyncio.run(adapter.get_events("NOTES", "a"))
