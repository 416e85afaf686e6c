"""Writes wait for the disk, whatever the user's connections were set to."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Pool, SingletonThreadPool, StaticPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter

RECORD = EventRecord("a", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
OFF, NORMAL, FULL, EXTRA = range(4)


def set_synchronous(engine: Engine, value: int) -> list[Any]:
    """Let a user set new connections of an engine, and return the list that they go to."""
    connections: list[Any] = []

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: object) -> None:
        connections.append(connection)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous = {value}")
        cursor.close()

    return connections


def read_synchronous(connections: Sequence[sqlite3.Connection]) -> list[int]:
    """Ask all that were opened."""
    return [each.execute("PRAGMA synchronous").fetchone()[0] for each in connections]


@pytest.mark.parametrize(
    ("value", "expected"), [(OFF, FULL), (NORMAL, FULL), (FULL, FULL), (EXTRA, EXTRA)]
)
async def test_a_connection_is_at_least_full(engine: Engine, value: int, expected: int) -> None:
    """OFF and NORMAL, which lose commits with the power, are raised; EXTRA is left alone."""
    connections = set_synchronous(engine, value)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    assert [expected] == read_synchronous(connections)


@pytest.mark.parametrize("value", [OFF, NORMAL])
async def test_a_connection_of_the_user_is_left_alone(engine: Engine, value: int) -> None:
    """The adapter's connections are its own: those of the pool stay as the user wants them."""
    set_synchronous(engine, value)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    with engine.connect() as connection:
        assert value == connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


async def test_a_connection_of_an_async_engine_is_full(path: Path) -> None:
    """An async driver's connections are raised, too."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=1, max_overflow=0)
    set_synchronous(engine.sync_engine, OFF)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    async with engine.connect() as connection:
        result = await connection.exec_driver_sql("PRAGMA synchronous")
        assert FULL == result.scalar_one()
    await engine.dispose()


async def test_a_write_without_create_tables_is_full(
    engine: Engine, adapter: SQLEventStorageAdapter
) -> None:
    """A process that finds the table there is as safe as the one that made it."""
    assert adapter
    other = create_engine(engine.url)
    connections = set_synchronous(other, OFF)
    await SQLEventStorageAdapter(other).push_event("STORE", RECORD)

    assert [FULL] == read_synchronous(connections)
    other.dispose()


async def test_a_connection_after_dispose_is_full(engine: Engine) -> None:
    """When the engine was disposed of, the new connection is looked at as the first one was."""
    connections = set_synchronous(engine, OFF)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    engine.dispose()
    connections.clear()
    await adapter.push_event("STORE", RECORD)

    assert [FULL] == read_synchronous(connections)


@pytest.mark.parametrize("pool", [SingletonThreadPool, StaticPool])
async def test_a_shared_connection_is_full(path: Path, pool: type[Pool]) -> None:
    """A connection that the adapter shares with the user is raised, too."""
    engine = create_engine(f"sqlite:///{path}", poolclass=pool)
    connections = set_synchronous(engine, OFF)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    assert [FULL] == read_synchronous(connections)
    engine.dispose()


async def test_what_was_pushed_is_committed(path: Path, adapter: SQLEventStorageAdapter) -> None:
    """Another connection sees an event as soon as its push returned."""
    connection = sqlite3.connect(path)
    await adapter.push_event("STORE", RECORD)

    assert [("a", 1)] == connection.execute("SELECT aggregate_id, version FROM event").fetchall()
    connection.close()
