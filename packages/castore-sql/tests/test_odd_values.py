"""Values that SQLite, UTF-8 or JSON cannot hold are refused with an error of ours, or not found."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from castore_core import (
    CastoreError,
    EventRecord,
    GroupedRecord,
    InvalidLogPositionError,
    InvalidPageTokenError,
    StorageError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
SURROGATE = "\ud800"
HUGE = 2**70
RECORD = EventRecord("a", 1, "PUSHED", MOMENT)


def make_payload(depth: int) -> Any:
    """Return lists in lists."""
    payload: Any = []
    for _ in range(depth):
        payload = [payload]
    return payload


REFUSED_RECORDS = {
    "surrogate in the id": RECORD._replace(aggregate_id=SURROGATE),
    "surrogate in the type": RECORD._replace(type=SURROGATE),
    "surrogate in the payload": RECORD._replace(payload=[SURROGATE]),
    "surrogate in the metadata": RECORD._replace(metadata={SURROGATE: 1}),
    "version beyond 64 bits": RECORD._replace(version=HUGE),
    "set in the payload": RECORD._replace(payload=cast("Any", {1j})),
    "nested too deeply": RECORD._replace(payload=make_payload(100_000)),
}


@pytest.mark.parametrize("name", REFUSED_RECORDS)
async def test_records_that_cannot_be_written(
    any_adapter: SQLEventStorageAdapter, name: str
) -> None:
    """Alone, with force and in a group; pushes at the same time are written."""
    record = REFUSED_RECORDS[name]
    records = (RECORD._replace(aggregate_id="c"), record)
    group = [GroupedRecord("STORE", each, any_adapter) for each in records]
    outcomes = await asyncio.gather(
        any_adapter.push_event("STORE", record),
        any_adapter.push_event("STORE", record, force=True),
        any_adapter.push_event_group(group),
        any_adapter.push_event("STORE", RECORD._replace(aggregate_id="b")),
        return_exceptions=True,
    )

    assert [StorageError] * 3 + [type(None)] == [type(each) for each in outcomes]
    assert ["b"] == [each.record.aggregate_id for each in (await any_adapter.read_events()).entries]


async def test_a_store_id_that_cannot_be_written(any_adapter: SQLEventStorageAdapter) -> None:
    """It is refused like other texts."""
    with pytest.raises(StorageError, match="cannot be written as UTF-8"):
        await any_adapter.push_event(SURROGATE, RECORD)


READS: dict[str, Callable[[SQLEventStorageAdapter], Awaitable[Any]]] = {
    "events of an id": lambda adapter: adapter.get_events("STORE", SURROGATE),
    "events of a store": lambda adapter: adapter.get_events(SURROGATE, "a"),
    "ids of a store": lambda adapter: adapter.list_aggregate_ids(SURROGATE),
    "position of an id": lambda adapter: adapter.find_position("STORE", SURROGATE, 1),
    "log of a store": lambda adapter: adapter.read_events([SURROGATE]),
    "log of a store, with NUL": lambda adapter: adapter.read_events([SURROGATE, "\0"]),
    "version to find": lambda adapter: adapter.find_position("STORE", "a", HUGE),
    "negative version to find": lambda adapter: adapter.find_position("STORE", "a", -HUGE),
    "limit of ids": lambda adapter: adapter.list_aggregate_ids("STORE", limit=HUGE),
    "limit of events": lambda adapter: adapter.get_events("STORE", "a", limit=HUGE),
    "limit of the log": lambda adapter: adapter.read_events(limit=HUGE),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("rows_in_loop", [0, 100])
async def test_reads_with_odd_values(
    any_adapter: SQLEventStorageAdapter, name: str, rows_in_loop: int
) -> None:
    """They find nothing that is not there, or raise an error of ours."""
    adapter = SQLEventStorageAdapter(any_adapter._engine, rows_in_loop=rows_in_loop)  # pyright: ignore[reportPrivateUsage]
    await adapter.push_event("STORE", RECORD)
    try:
        found = await READS[name](adapter)
    except CastoreError as error:
        assert "UTF-8" in str(error)  # noqa: PT017 either is sound
    else:
        assert "limit" in name or not getattr(found, "entries", found)


async def test_bounds_beyond_all_versions(any_adapter: SQLEventStorageAdapter) -> None:
    """Bounds that no version reaches are bounds."""
    await any_adapter.push_event("STORE", RECORD)
    read = any_adapter.get_events

    assert [RECORD] == await read("STORE", "a", min_version=-HUGE, max_version=HUGE)
    assert [] == await read("STORE", "a", min_version=HUGE)
    assert [] == await read("STORE", "a", max_version=-HUGE)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "1"])
async def test_limits_that_are_none(any_adapter: SQLEventStorageAdapter, limit: Any) -> None:
    """A negative limit is not taken for none at all, as SQLite does."""
    for read in (
        any_adapter.get_events("STORE", "a", limit=limit),
        any_adapter.list_aggregate_ids("STORE", limit=limit),
        any_adapter.read_events(limit=limit),
    ):
        with pytest.raises(ValueError, match="limit is not 1 or more"):
            await read


@pytest.mark.parametrize("cursor", [HUGE, [HUGE, "a"], ["2024-01-01T00:00:00.000Z", SURROGATE], {}])
async def test_cursors_of_another_making(any_adapter: SQLEventStorageAdapter, cursor: Any) -> None:
    """They are refused as such."""
    with pytest.raises(InvalidPageTokenError):
        await any_adapter.list_aggregate_ids("STORE", cursor=cursor)


@pytest.mark.parametrize("after", [SURROGATE, "f" * 16, "8" + "0" * 15, "\0", str(HUGE)])
async def test_positions_of_another_making(any_adapter: SQLEventStorageAdapter, after: str) -> None:
    """They are refused as such, and one after all events finds none."""
    with pytest.raises(InvalidLogPositionError):
        await any_adapter.read_events(after=after)
    with pytest.raises(InvalidLogPositionError):
        await any_adapter.wait_for_events(after, 0)
    assert [] == (await any_adapter.read_events(after="7" + "f" * 15)).entries


async def test_ids_with_nul(any_adapter: SQLEventStorageAdapter) -> None:
    """A NUL is a letter like any other, and ids that begin alike are told apart."""
    stores = ["S", "S\0", "S\0a", "S\0b", "\0"]
    for store in stores:
        for each in ("a", "a\0", "a\0b"):
            await any_adapter.push_event(store, RECORD._replace(aggregate_id=each))

    for store in stores:
        slice_ = await any_adapter.read_events([store])
        assert [(store, each) for each in ("a", "a\0", "a\0b")] == [
            (each.event_store_id, each.record.aggregate_id) for each in slice_.entries
        ]
        assert ["a\0"] == [each.aggregate_id for each in await any_adapter.get_events(store, "a\0")]
        listed = await any_adapter.list_aggregate_ids(store, limit=2)
        rest = await any_adapter.list_aggregate_ids(store, cursor=listed.cursor)
        ids = [each.aggregate_id for each in (*listed.aggregates, *rest.aggregates)]
        assert ["a", "a\0", "a\0b"] == ids
    assert 15 == len((await any_adapter.read_events(stores)).entries)
    assert 6 == len((await any_adapter.read_events(["S", "S\0b"])).entries)
