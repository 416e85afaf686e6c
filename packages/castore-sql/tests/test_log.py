"""The log is read from position to position, and a read tells how far it has looked."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from castore_core import (
    LOG_START,
    EventRecord,
    InvalidLogPositionError,
    LogPosition,
    LogSlice,
    format_position,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
FAR = format_position(2**63 - 1)


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def push(adapter: SQLEventStorageAdapter, *places: str) -> list[LogPosition]:
    """Push first events, each given as its store and aggregate, and return their positions."""
    for store, aggregate_id in (each.split("/") for each in places):
        await adapter.push_event(store, make_record(aggregate_id))
    return [await find(adapter, each) for each in places]


async def find(adapter: SQLEventStorageAdapter, place: str) -> LogPosition:
    """Return the position of a first event."""
    store, aggregate_id = place.split("/")
    position = await adapter.find_position(store, aggregate_id, 1)
    assert position is not None
    return position


def to_places(found: LogSlice) -> list[str]:
    """Return the store and aggregate of each entry."""
    return [f"{each.event_store_id}/{each.record.aggregate_id}" for each in found.entries]


async def test_positions_are_row_ids(adapter: SQLEventStorageAdapter, path: Path) -> None:
    """They are the ids of the rows, in hexadecimal, and sort as the log does."""
    await push(adapter, *(f"STORE/a{number}" for number in range(300)))
    with closing(sqlite3.connect(path)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM event ORDER BY id")]

    entries = (await adapter.read_events(limit=1000)).entries

    assert [f"{each:016x}" for each in ids] == [each.position for each in entries]
    assert sorted(each.position for each in entries) == [each.position for each in entries]


async def test_an_empty_log(any_adapter: SQLEventStorageAdapter) -> None:
    """Its end is its start, whoever asks."""
    for stores in (None, ["STORE"], []):
        assert LogSlice([], LOG_START) == await any_adapter.read_events(stores)
    assert await any_adapter.get_last_position() == LOG_START


async def test_the_end_of_the_log(any_adapter: SQLEventStorageAdapter) -> None:
    """It is the position of the last event, of any store; a replaced one does not move it."""
    first, second = await push(any_adapter, "STORE/a", "OTHER/b")
    assert second == await any_adapter.get_last_position()

    await any_adapter.push_event("STORE", make_record("a"), force=True)
    assert second == await any_adapter.get_last_position()
    assert first == await find(any_adapter, "STORE/a")


async def test_the_position_of_an_event(any_adapter: SQLEventStorageAdapter) -> None:
    """It is the one that the event is read with; where there is no event there is none."""
    await push(any_adapter, "STORE/a", "OTHER/a", "STORE/b")
    await any_adapter.push_event("STORE", make_record("a", 2))

    for entry in (await any_adapter.read_events()).entries:
        assert entry.position == await any_adapter.find_position(
            entry.event_store_id, *entry.record[:2]
        )
    for place in (("STORE", "a", 3), ("STORE", "z", 1), ("NOBODY", "a", 1), ("STORE", "a", 0)):
        assert await any_adapter.find_position(*place) is None


async def test_a_read_of_all_stores_ends_at_its_last_entry(
    any_adapter: SQLEventStorageAdapter,
) -> None:
    """The next read goes on after it; where nothing follows the position stays."""
    positions = await push(any_adapter, "STORE/a", "OTHER/b", "STORE/c")

    first = await any_adapter.read_events(limit=2)
    second = await any_adapter.read_events(after=first.position, limit=2)
    third = await any_adapter.read_events(after=second.position, limit=2)

    assert (["STORE/a", "OTHER/b"], positions[1]) == (to_places(first), first.position)
    assert (["STORE/c"], positions[2]) == (to_places(second), second.position)
    assert LogSlice([], positions[2]) == third


async def test_a_read_of_some_stores_looks_up_to_the_end(
    any_adapter: SQLEventStorageAdapter,
) -> None:
    """One that finds fewer entries than it may has passed the other stores' events, too."""
    positions = await push(any_adapter, "STORE/a", "OTHER/b", "STORE/c", "OTHER/d", "OTHER/e")

    full = await any_adapter.read_events(["STORE"], limit=2)
    assert (["STORE/a", "STORE/c"], positions[2]) == (to_places(full), full.position)
    rest = await any_adapter.read_events(["STORE"], full.position, limit=2)
    assert LogSlice([], positions[4]) == rest
    assert rest == await any_adapter.read_events(["STORE"], rest.position)

    at_once = await any_adapter.read_events(["STORE"], limit=3)
    assert (["STORE/a", "STORE/c"], positions[4]) == (to_places(at_once), at_once.position)
    assert LogSlice([], positions[4]) == await any_adapter.read_events(["QUIET"])
    assert LogSlice([], positions[4]) == await any_adapter.read_events([], positions[0])


@pytest.mark.parametrize("stores", [None, ["STORE"], ["QUIET"], []])
async def test_a_position_beyond_the_end(
    any_adapter: SQLEventStorageAdapter, stores: list[str] | None
) -> None:
    """Nothing follows it, and it is the position to go on from."""
    await push(any_adapter, "STORE/a")

    assert LogSlice([], FAR) == await any_adapter.read_events(stores, FAR)


async def test_the_end_does_not_go_back(adapter: SQLEventStorageAdapter, engine: Engine) -> None:
    """When the last event was deleted by hand, a reader stays where it is, and misses nothing."""
    seen = (await push(adapter, "STORE/a", "STORE/b"))[-1]
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM event WHERE aggregate_id = 'b'")
    for stores in (None, ["STORE"], []):
        assert LogSlice([], seen) == await adapter.read_events(stores, seen)

    await push(adapter, "STORE/c")
    assert ["STORE/c"] == to_places(await adapter.read_events(["STORE"], seen))


async def test_no_transaction_holds_readers_back(
    any_adapter: SQLEventStorageAdapter, adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """One writes at a time, and what it has not committed comes after what others have."""
    assert timedelta() == await any_adapter.get_oldest_transaction_age()
    with engine.connect() as connection:
        await adapter.within(connection).push_event("STORE", make_record("a"))
        assert timedelta() == await adapter.get_oldest_transaction_age()
        assert timedelta() == await adapter.within(connection).get_oldest_transaction_age()


@pytest.fixture
def between(engine: Engine, path: Path) -> Iterator[list[str]]:
    """Give a list of places: the next is written, by somebody else, within each read of the log."""
    places: list[str] = []
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as connection:

        def write(statement: str) -> None:
            if places and statement.startswith("SELECT event.id,"):
                connection.execute(
                    "INSERT INTO event (aggregate_name, aggregate_id, version, type, timestamp) "
                    "VALUES (?, ?, 1, 'PUSHED', '2024-01-01T00:00:00.000Z')",
                    places.pop(0).split("/"),
                )

        def listen(connection: Any, _: object) -> None:
            connection.set_trace_callback(write)

        engine.dispose()  # so that the adapter opens a new connection
        event.listen(engine, "connect", listen)
        yield places


@pytest.mark.parametrize("newcomer", ["STORE/new", "OTHER/new"])
async def test_what_is_pushed_during_a_read_is_not_skipped(
    adapter: SQLEventStorageAdapter, between: list[str], newcomer: str
) -> None:
    """An event that comes after the look at the end is read, or follows the position."""
    positions = await push(adapter, "STORE/a", "OTHER/b")
    between.append(newcomer)

    found = await adapter.read_events(["STORE"])

    assert [] == between
    if newcomer == "STORE/new":
        assert ["STORE/a", newcomer] == to_places(found)
        assert await find(adapter, newcomer) == found.position
    else:
        assert (["STORE/a"], positions[1]) == (to_places(found), found.position)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "2", None])
@pytest.mark.parametrize("stores", [None, ["STORE"], []])
async def test_what_is_no_limit(
    adapter: SQLEventStorageAdapter, stores: list[str] | None, limit: Any
) -> None:
    """The error says what is wanted."""
    with pytest.raises(ValueError, match="limit is not 1 or more"):
        await adapter.read_events(stores, limit=limit)


@pytest.mark.parametrize("limit", [2**63 - 1, 2**63, 10**30])
async def test_a_limit_without_bound(adapter: SQLEventStorageAdapter, limit: int) -> None:
    """An integer that SQLite does not have is as good as the greatest one."""
    await push(adapter, "STORE/a")

    assert ["STORE/a"] == to_places(await adapter.read_events(limit=limit))
    assert ["STORE/a"] == to_places(await adapter.read_events(["STORE"], limit=limit))


@pytest.mark.parametrize("position", ["1", "x", FAR[1:], FAR.upper(), "8" + FAR[1:], 5, None])
async def test_what_is_no_position(adapter: SQLEventStorageAdapter, position: Any) -> None:
    """A position of another log is refused, by reads and by waits."""
    for stores in (None, ["STORE"], []):
        with pytest.raises(InvalidLogPositionError):
            await adapter.read_events(stores, position)
    with pytest.raises(InvalidLogPositionError):
        await adapter.wait_for_events(position, 0)
