"""Writes wait for the disk, whatever the user's connections were set to."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter

RECORD = EventRecord("a", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
OFF, NORMAL, FULL, EXTRA = range(4)


@pytest.fixture
def only_engine(path: Path) -> Iterator[Engine]:
    """Give an engine of a single connection, so that it is the one that wrote."""
    engine = create_engine(f"sqlite:///{path}", pool_size=1, max_overflow=0)
    yield engine
    engine.dispose()


def set_synchronous(engine: Engine, value: int) -> None:
    """Let a user set new connections of an engine."""

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous = {value}")
        cursor.close()


@pytest.mark.parametrize(
    ("value", "expected"), [(OFF, FULL), (NORMAL, FULL), (FULL, FULL), (EXTRA, EXTRA)]
)
async def test_a_connection_is_at_least_full(
    only_engine: Engine, value: int, expected: int
) -> None:
    """OFF and NORMAL, which lose commits with the power, are raised; EXTRA is left alone."""
    set_synchronous(only_engine, value)
    adapter = SQLEventStorageAdapter(only_engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", RECORD)

    with only_engine.connect() as connection:
        assert expected == connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


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
    only_engine: Engine, adapter: SQLEventStorageAdapter
) -> None:
    """A process that finds the table there is as safe as the one that made it."""
    assert adapter
    set_synchronous(only_engine, OFF)
    await SQLEventStorageAdapter(only_engine).push_event("STORE", RECORD)

    with only_engine.connect() as connection:
        assert FULL == connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


async def test_a_new_connection_of_the_pool_is_full(only_engine: Engine) -> None:
    """When the pool replaces a connection, the new one is looked at as the first one was."""
    set_synchronous(only_engine, OFF)
    adapter = SQLEventStorageAdapter(only_engine)
    await adapter.create_tables()
    with only_engine.connect() as connection:
        connection.invalidate()
    await adapter.push_event("STORE", RECORD)

    with only_engine.connect() as connection:
        assert FULL == connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


async def test_what_was_pushed_is_committed(path: Path, adapter: SQLEventStorageAdapter) -> None:
    """Another connection sees an event as soon as its push returned."""
    connection = sqlite3.connect(path)
    await adapter.push_event("STORE", RECORD)

    assert [("a", 1)] == connection.execute("SELECT aggregate_id, version FROM event").fetchall()
    connection.close()
