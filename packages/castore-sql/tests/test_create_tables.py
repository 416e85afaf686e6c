"""create_tables makes what is missing, as often and by as many as may be."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import EventAlreadyExistsError, EventRecord, StorageError
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
RECORD = EventRecord("a", 1, "PUSHED", MOMENT, {"name": "Pikachu"})


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection of somebody else's."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def read_schema(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the kind and name of what is in a database."""
    return database.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()


async def test_a_table_and_its_indexes_are_created(
    engine: Engine, database: sqlite3.Connection
) -> None:
    """Beside them there is only SQLite's own bookkeeping."""
    await SQLEventStorageAdapter(engine).create_tables()

    assert [
        ("table", "event"),
        ("index", "idx_event_initial_events"),
        ("index", "sqlite_autoindex_event_1"),
        ("table", "sqlite_sequence"),
    ] == read_schema(database)


async def test_it_switches_to_wal(engine: Engine, database: sqlite3.Connection) -> None:
    """The journal mode is a property of the file: whoever opens it has it."""
    await SQLEventStorageAdapter(engine).create_tables()

    assert ("wal",) == database.execute("PRAGMA journal_mode").fetchone()


async def test_again_it_changes_nothing(adapter: SQLEventStorageAdapter) -> None:
    """Events that are there stay."""
    await adapter.push_event("STORE", RECORD)
    await adapter.create_tables()

    assert [RECORD] == await adapter.get_events("STORE", "a")


async def test_at_a_time_by_many(path: Path, database: sqlite3.Connection) -> None:
    """Callers of one engine, of several engines and of an async one all succeed."""
    engines = [create_engine(f"sqlite:///{path}") for _ in range(3)]
    async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    adapters = [SQLEventStorageAdapter(each) for each in (*engines, async_engine)]

    await asyncio.gather(*(each.create_tables() for each in adapters * 4))

    assert 4 == len(read_schema(database))
    for engine in engines:
        engine.dispose()
    await async_engine.dispose()


@pytest.mark.parametrize(
    "name", ["my events", 'say "event"', "it's", "50%", "a:b", "[x]", "a;b", "order", "événement"]
)
async def test_any_name_of_a_table(engine: Engine, database: sqlite3.Connection, name: str) -> None:
    """Spaces, quotes, marks of parameters and keywords are part of a name."""
    adapter = SQLEventStorageAdapter(engine, table_name=name)
    await adapter.create_tables()
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)
    await adapter.push_event("STORE", RECORD, force=True)

    assert ("table", name) in read_schema(database)
    assert [RECORD] == await adapter.get_events("STORE", "a")
    assert ["a"] == [each.aggregate_id for each in (await adapter.list_aggregate_ids("STORE"))[0]]
    assert [RECORD] == [each.record for each in (await adapter.read_events(["STORE"])).entries]


async def test_a_table_laid_out_as_castores(engine: Engine, database: sqlite3.Connection) -> None:
    """A table that is there is used as it is, with a column and a default of its own."""
    database.execute(
        "CREATE TABLE event (id INTEGER PRIMARY KEY, aggregate_name VARCHAR(32) NOT NULL, "
        "aggregate_id UUID NOT NULL, version BIGINT NOT NULL, type VARCHAR(64) NOT NULL, "
        "data JSONB, metadata JSONB, timestamp TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP, "
        "tenant TEXT NOT NULL DEFAULT 'nobody', UNIQUE (aggregate_name, aggregate_id, version))"
    )
    database.execute(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp) "
        """VALUES ('STORE', 'b', 1, 'PUSHED', '{"a": 1}', '2024-01-01 00:00:00+00')"""
    )
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event("STORE", RECORD)
    assert ("index", "idx_event_initial_events") in read_schema(database)
    assert [
        EventRecord("b", 1, "PUSHED", MOMENT, {"a": 1}),
        RECORD,
    ] == [each.record for each in (await adapter.read_events()).entries]


async def test_a_table_of_another_kind_is_refused(
    engine: Engine, database: sqlite3.Connection
) -> None:
    """A table of that name, but without the columns, is an error and stays as it was."""
    database.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, title TEXT)")

    with pytest.raises(StorageError, match="no such column"):
        await SQLEventStorageAdapter(engine).create_tables()
    assert [("table", "event")] == read_schema(database)


async def test_a_missing_table_says_what_to_do(engine: Engine) -> None:
    """Whoever forgot to create the table is told how, on every path."""
    adapter = SQLEventStorageAdapter(engine)

    for attempt in (
        adapter.push_event("STORE", RECORD),
        adapter.get_events("STORE", "a"),
        adapter.list_aggregate_ids("STORE"),
        adapter.read_events(),
    ):
        with pytest.raises(StorageError, match=r"no such table: event: await create_tables\(\)"):
            await attempt
