"""Pushes of scripts are committed in the thread of the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import EventAlreadyExistsError, EventRecord, StorageError
from castore_sql import SQLEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


class TestEvents(EventStorageAdapterTests):
    """The contract is kept."""

    works_in_several_event_loops_at_once = False  # one would wait for the other

    @pytest.fixture
    async def adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        """Return an adapter without events."""
        adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
        await adapter.create_tables()
        return adapter

    @pytest.fixture
    def connect_again(self, engine: Engine) -> Callable[[], SQLEventStorageAdapter]:
        """Make adapters on the same engine."""
        return lambda: SQLEventStorageAdapter(engine, commits_in_loop=True)


@pytest.fixture
async def writing_threads(engine: Engine) -> list[str]:
    """Give the names of the threads in which something was inserted."""
    names: list[str] = []

    @event.listens_for(engine, "connect")
    def _(connection: Any, _: object) -> None:
        def note(sql: str) -> None:
            if sql.startswith("INSERT"):
                names.append(threading.current_thread().name)

        connection.set_trace_callback(note)

    return names


async def test_the_thread_of_the_loop_commits(engine: Engine, writing_threads: list[str]) -> None:
    """A push runs in the thread of the event loop, on a connection that is open."""
    adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
    await adapter.create_tables()
    for version in (1, 2, 3):
        await adapter.push_event("STORE", make_record("a", version))
    assert [threading.current_thread().name] * 3 == writing_threads


async def test_a_thread_commits_by_default(engine: Engine, writing_threads: list[str]) -> None:
    """Without the option the event loop goes on meanwhile."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("a"))
    assert threading.current_thread().name not in writing_threads


async def test_a_locked_database_is_awaited(engine: Engine, path: Path) -> None:
    """A push that finds the database locked lets the loop go on, and is written in the end."""
    adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
    await adapter.create_tables()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        push = asyncio.ensure_future(adapter.push_event("STORE", make_record("a")))
        await asyncio.sleep(0.1)
        assert not push.done()
        other.execute("COMMIT")
    await push
    assert [make_record("a")] == await adapter.get_events("STORE", "a")


async def test_a_lock_that_stays_is_an_error(engine: Engine, path: Path) -> None:
    """A push gives up after its timeout, and has written nothing."""
    adapter = SQLEventStorageAdapter(engine, commits_in_loop=True, busy_timeout=0.1)
    await adapter.create_tables()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="kept it locked"):
            await adapter.push_event("STORE", make_record("a"))
    assert [] == await adapter.get_events("STORE", "a")


async def test_many_writers_at_a_time(engine: Engine) -> None:
    """Of the writers of one version one wins."""
    adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
    await adapter.create_tables()
    pushes = (adapter.push_event("STORE", make_record("a")) for _ in range(32))
    outcomes = await asyncio.gather(*pushes, return_exceptions=True)
    assert 31 == sum(isinstance(each, EventAlreadyExistsError) for each in outcomes)


async def test_a_database_in_memory() -> None:
    """It commits in the loop in any case, and takes the option."""
    engine = create_engine("sqlite://")
    adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("a"))
    assert [make_record("a")] == await adapter.get_events("STORE", "a")
    engine.dispose()


async def test_an_async_engine_is_refused() -> None:
    """Its driver commits in threads of its own."""
    engine = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(ValueError, match="commits_in_loop is for a synchronous engine of SQLite"):
        SQLEventStorageAdapter(engine, commits_in_loop=True)
    await engine.dispose()
