"""Rows are laid out as Castore's are in PostgreSQL."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from castore_core import ABSENT, Absent, EventRecord, GroupedRecord, JSONValue, parse_timestamp
from castore_sql import SQLEventStorageAdapter

RECORDINGS = Path(__file__).parent / "recordings"
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = "id, aggregate_name, aggregate_id, version, type, data, metadata, timestamp"


@pytest.fixture
def database(path: Path, adapter: SQLEventStorageAdapter) -> Iterator[sqlite3.Connection]:
    """Give a connection of somebody else's."""
    assert adapter
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def read_recording(path: Path) -> dict[str, Any]:
    """Read a recording, with the numbers that JSON does not have."""

    def untag(value: dict[str, Any]) -> Any:
        return float(value["$number"]) if value.keys() == {"$number"} else value

    return json.loads(path.read_text(), object_hook=untag)


def to_record(event: dict[str, Any]) -> EventRecord:
    """Return the record of an event as Castore takes it."""
    return EventRecord(
        event["aggregateId"],
        event["version"],
        event["type"],
        parse_timestamp(event["timestamp"]),
        event.get("payload", ABSENT),
        event.get("metadata", ABSENT),
    )


def to_values(text: str | None) -> Any:
    """Return what is in a JSON column; JavaScript has one kind of number."""
    return text if text is None else json.loads(text, parse_int=float)


def to_expected(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of the columns of a recorded row, in our order."""
    return (
        int(row["id"]),
        row["aggregate_name"],
        row["aggregate_id"],
        int(row["version"]),
        row["type"],
        to_values(row["data_text"]),
        to_values(row["metadata_text"]),
        row["timestamp_iso"].removesuffix("000Z") + "Z",
    )


def read_rows(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return the values of the columns of all rows, with those of JSON decoded."""
    rows = database.execute(f"SELECT {COLUMNS} FROM event ORDER BY id")  # noqa: S608 a constant
    return [(*row[:5], to_values(row[5]), to_values(row[6]), row[7]) for row in rows]


def each_recording(kind: str) -> pytest.MarkDecorator:
    """Run a test with each recording of a kind."""
    paths = sorted(RECORDINGS.joinpath(kind).glob("*.json"))
    return pytest.mark.parametrize("recording", paths, ids=lambda each: each.stem)


@each_recording("push")
async def test_a_pushed_row_is_castores(
    engine: Engine, database: sqlite3.Connection, recording: Path
) -> None:
    """The columns have the values that Castore, which allows gaps, gives them for that event."""
    adapter = SQLEventStorageAdapter(engine, allow_gaps=True)
    recorded = read_recording(recording)

    await adapter.push_event("POKEMONS", to_record(recorded["input"]["event"]))

    assert [to_expected(each) for each in recorded["rows"]] == read_rows(database)


@each_recording("group")
async def test_the_rows_of_a_group_are_castores(
    adapter: SQLEventStorageAdapter, database: sqlite3.Connection, recording: Path
) -> None:
    """The columns have the values that Castore gives them for the same group."""
    recorded = read_recording(recording)
    group = [
        GroupedRecord(each["eventStoreId"], to_record(each["event"]), adapter)
        for each in recorded["args"]
    ]

    await adapter.push_event_group(group)

    assert [to_expected(each) for each in recorded["rows"]] == read_rows(database)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, None),
        (None, "null"),
        (0, "0"),
        (False, "false"),
        ("", '""'),
        ({}, "{}"),
        ([], "[]"),
        ({"b": [1, 2.5, None], "a": "x y"}, '{"b":[1,2.5,null],"a":"x y"}'),
        ("é 漢 🎉", '"é 漢 🎉"'),
        ('\x00\n"\\', '"\\u0000\\n\\"\\\\"'),
        (2**64, "18446744073709551616"),
    ],
)
async def test_json_is_compact_text(
    adapter: SQLEventStorageAdapter,
    database: sqlite3.Connection,
    value: JSONValue | Absent,
    text: str | None,
) -> None:
    """NULL is absent and ``null`` is null; keys keep their order; characters are raw."""
    record = EventRecord("a", 1, "PUSHED", MOMENT, value, value)

    await adapter.push_event("STORE", record)

    assert [(text, text)] == database.execute("SELECT data, metadata FROM event").fetchall()
    assert [record] == await adapter.get_events("STORE", "a")


async def test_a_timestamp_is_text_in_utc(
    adapter: SQLEventStorageAdapter, database: sqlite3.Connection
) -> None:
    """Milliseconds are always written, so that texts sort as moments do."""
    await adapter.push_event("STORE", EventRecord("a", 1, "PUSHED", MOMENT))

    assert [("2024-01-01T00:00:00.000Z",)] == database.execute(
        "SELECT timestamp FROM event"
    ).fetchall()
