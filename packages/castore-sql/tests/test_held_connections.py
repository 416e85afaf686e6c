"""The adapter keeps connections of its own, until the user disposes of the engine."""

import asyncio
import gc
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event

from castore_core import EventRecord, StorageError
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def opened(engine: Engine) -> list[sqlite3.Connection]:
    """Give the list of the connections that are opened for an engine."""
    return watch(engine)


def watch(engine: Engine) -> list[sqlite3.Connection]:
    """Return a list to which the new connections of an engine go."""
    connections: list[sqlite3.Connection] = []
    event.listen(engine, "connect", lambda connection, _: connections.append(connection))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    return connections


def are_open(connections: Sequence[sqlite3.Connection]) -> list[bool]:
    """Tell for each connection whether it can be used."""
    return [is_open(each) for each in connections]


def is_open(connection: sqlite3.Connection) -> bool:
    """Tell whether a connection can be used."""
    try:
        connection.execute("SELECT 1").close()
    except sqlite3.ProgrammingError:
        return False
    return True


def wait_for_end(older: set[threading.Thread]) -> None:
    """Wait until no thread but older ones is left: what they close is not to be touched before."""
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - older and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)


async def push_and_read(adapter: SQLEventStorageAdapter, aggregate_id: str) -> list[EventRecord]:
    """Use the writing thread, a reading thread, and the thread of the loop."""
    await adapter.push_event("STORE", EventRecord(aggregate_id, 1, "PUSHED", MOMENT))
    await adapter.read_events()
    return await adapter.get_events("STORE", aggregate_id)


async def test_a_connection_is_kept(
    opened: list[sqlite3.Connection], adapter: SQLEventStorageAdapter
) -> None:
    """One work after the other uses the same connection, in whatever thread."""
    for each in "abc":
        assert await push_and_read(adapter, each)

    assert [True] == are_open(opened)


async def test_dispose_closes_what_is_kept(
    engine: Engine, opened: list[sqlite3.Connection], adapter: SQLEventStorageAdapter
) -> None:
    """When the user disposes of the engine nothing stays open, and the adapter goes on after it."""
    await asyncio.gather(*(push_and_read(adapter, each) for each in "abc"))
    engine.dispose()
    assert {False} == set(are_open(opened))

    assert await push_and_read(adapter, "d")
    assert True in are_open(opened)
    engine.dispose()
    assert {False} == set(are_open(opened))


async def test_dispose_waits_for_no_work(
    engine: Engine, opened: list[sqlite3.Connection], adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """A connection that works while the engine is disposed of is closed when it is done."""
    disposed: list[str] = []

    def dispose(statement: str) -> None:
        if statement.startswith("INSERT"):
            engine.dispose()
            disposed.append(threading.current_thread().name)

    opened[0].set_trace_callback(dispose)
    await adapter.push_event("STORE", EventRecord("a", 1, "PUSHED", MOMENT))

    assert ["castore-sql-writer"] == disposed
    assert [False] == are_open(opened)
    with closing(sqlite3.connect(path)) as connection:
        assert (1,) == connection.execute("SELECT count(*) FROM event").fetchone()


def test_connections_are_closed_with_the_last_adapter(
    engine: Engine, opened: list[sqlite3.Connection]
) -> None:
    """An adapter that is gone leaves nothing open, also if nobody disposes of the engine."""

    async def use() -> None:
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        await asyncio.gather(*(push_and_read(adapter, each) for each in "abc"))

    older = set(threading.enumerate())
    asyncio.run(use())
    wait_for_end(older)

    assert opened
    assert {False} == set(are_open(opened))


async def test_a_user_who_holds_the_only_connection(path: Path) -> None:
    """A pool of one connection is enough for the user and the adapter."""
    engine = create_engine(f"sqlite:///{path}", pool_size=1, max_overflow=0, pool_timeout=0.1)
    adapter = SQLEventStorageAdapter(engine)
    with engine.connect() as connection:
        await adapter.create_tables()
        assert await push_and_read(adapter, "a")
        assert 1 == connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one()
    with engine.connect() as connection:
        assert 1 == connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one()
    engine.dispose()


async def test_no_pool_keeps_no_connection(path: Path) -> None:
    """Who wants connections to be closed after use gets that from the adapter, too."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    connections = watch(engine)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    assert await push_and_read(adapter, "a")

    assert len(connections) > 1
    assert {False} == set(are_open(connections))


async def test_a_connection_that_cannot_be_set_is_closed(path: Path) -> None:
    """What fails when a connection is opened fails the push, and the next one tries again."""
    engine = create_engine(f"sqlite:///{path}")
    failures = [sqlite3.OperationalError("not today")]

    @event.listens_for(engine, "connect")
    def _(_connection: Any, _record: object) -> None:
        if failures:
            raise failures.pop()

    adapter = SQLEventStorageAdapter(engine)
    with pytest.raises(Exception, match="not today"):
        await adapter.create_tables()
    await adapter.create_tables()
    assert await push_and_read(adapter, "a")
    engine.dispose()


async def test_a_transaction_that_cannot_be_ended_is_not_kept(path: Path) -> None:
    """What a push failed to commit, and to roll back, is read by nobody; the next push goes on."""
    is_denied = False

    def authorize(action: int, argument: str | None, *_: str | None) -> int:
        is_end = action == sqlite3.SQLITE_TRANSACTION and argument != "BEGIN"
        return sqlite3.SQLITE_DENY if is_denied and is_end else sqlite3.SQLITE_OK

    def listen(connection: Any, _: object) -> None:
        connection.set_authorizer(authorize)

    engine = create_engine(f"sqlite:///{path}", connect_args={"cached_statements": 0})
    event.listen(engine, "connect", listen)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()

    is_denied = True
    with pytest.raises(StorageError, match="not authorized"):
        await adapter.push_event("STORE", EventRecord("a", 1, "PUSHED", MOMENT))
    is_denied = False

    assert [] == await adapter.get_events("STORE", "a")
    assert 1 == len(await push_and_read(adapter, "a"))
    engine.dispose()
