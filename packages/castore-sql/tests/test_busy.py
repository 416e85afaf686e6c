"""A database that somebody else has locked delays a push, and fails it only in the end."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import EventAlreadyExistsError, EventRecord, StorageError
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
IMPATIENT: dict[str, Any] = {"timeout": 0.01}


def make_record(aggregate_id: str) -> EventRecord:
    """Return the first event of an aggregate."""
    return EventRecord(aggregate_id, 1, "PUSHED", MOMENT)


def trace(engine: Engine | AsyncEngine, callback: Callable[[str], None]) -> None:
    """Call back with each statement before SQLite runs it, on connections that are opened later."""
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine

    @event.listens_for(sync_engine, "connect")
    def _(connection: Any, _: object) -> None:
        if sync_engine is engine:
            connection.set_trace_callback(callback)
        else:
            set_callback = connection.driver_connection.set_trace_callback
            connection.run_async(lambda _: set_callback(callback))  # pyright: ignore[reportUnknownLambdaType]


async def read_ids(adapter: SQLEventStorageAdapter) -> list[str]:
    """Return the aggregate ids of all events, in the order of the log."""
    return [entry.record.aggregate_id for entry in (await adapter.read_events()).entries]


@pytest.fixture(params=["sync", "async"])
async def impatient(
    path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine whose driver hardly waits for a lock."""
    if request.param == "sync":
        engine = create_engine(f"sqlite:///{path}", connect_args=IMPATIENT)
        yield engine
        engine.dispose()
    else:
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=IMPATIENT)
        yield async_engine
        await async_engine.dispose()


@pytest.fixture
def lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Give the connection of somebody else, who may lock the database for writing."""
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as connection:
        yield connection


async def test_a_lock_delays_pushes(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """Pushes wait for the lock, longer than the driver would, and then are written, once each."""
    adapter = SQLEventStorageAdapter(impatient)
    await adapter.create_tables()
    lock.execute("BEGIN IMMEDIATE")

    pushes = asyncio.gather(*(adapter.push_event("STORE", make_record(each)) for each in "abc"))
    await asyncio.sleep(0.3)
    assert not pushes.done()
    lock.execute("COMMIT")
    await pushes

    assert ["a", "b", "c"] == await read_ids(adapter)


async def test_a_lock_fails_pushes_in_the_end(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """After ``busy_timeout`` seconds each push of a batch raises StorageError, written nowhere."""
    adapter = SQLEventStorageAdapter(impatient, busy_timeout=0.2)
    await adapter.create_tables()
    lock.execute("BEGIN IMMEDIATE")

    async with asyncio.timeout(10):  # all at a time, not one after another
        outcomes = await asyncio.gather(
            *(adapter.push_event("STORE", make_record(str(each))) for each in range(100)),
            return_exceptions=True,
        )
    lock.execute("COMMIT")

    assert [StorageError] * 100 == [type(each) for each in outcomes]
    assert "another process, or a transaction of this one, kept it locked" in str(outcomes[0])
    assert [] == await read_ids(adapter)


async def test_no_push_waits_longer_than_it_may(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """The time of a push begins with its call, however many are before it."""
    adapter = SQLEventStorageAdapter(impatient, busy_timeout=0.5)
    await adapter.create_tables()
    lock.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()

    async def push(number: int) -> float:
        start = loop.time()
        with pytest.raises(StorageError, match="database is locked"):
            await adapter.push_event("STORE", make_record(str(number)))
        return loop.time() - start

    async def push_later(number: int) -> float:
        await asyncio.sleep(number / 10)
        return await push(number)

    waited = await asyncio.gather(
        *(push(each) for each in range(2000)), *(push_later(each) for each in range(5))
    )

    assert 0.5 <= min(waited)
    assert max(waited) < 1.5


async def test_pushes_whose_time_is_not_over_are_written(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """Of those that share a batch the early one fails, and the late one goes on to wait."""
    adapter = SQLEventStorageAdapter(impatient, busy_timeout=0.6)
    await adapter.create_tables()
    lock.execute("BEGIN IMMEDIATE")

    first = asyncio.gather(
        *(adapter.push_event("STORE", make_record(each)) for each in "ab"), return_exceptions=True
    )
    await asyncio.sleep(0.3)
    late = asyncio.gather(*(adapter.push_event("STORE", make_record(each)) for each in "cd"))
    assert [StorageError] * 2 == [type(each) for each in await first]
    lock.execute("COMMIT")
    await late

    assert ["c", "d"] == await read_ids(adapter)


@pytest.mark.parametrize("url", ["sqlite:///{path}", "sqlite+aiosqlite:///{path}"])
async def test_a_database_that_another_process_excludes_everybody_from(
    path: Path, lock: sqlite3.Connection, url: str
) -> None:
    """Pushes and reads wait for ``busy_timeout``, whatever the driver's own timeout is."""
    make: Any = create_async_engine if "aiosqlite" in url else create_engine
    engine = make(url.format(path=path))
    adapter = SQLEventStorageAdapter(engine, busy_timeout=0.3)
    await adapter.create_tables()
    await _dispose(engine)
    lock.execute("PRAGMA locking_mode = EXCLUSIVE")
    lock.execute("BEGIN EXCLUSIVE")

    async with asyncio.timeout(3):
        with pytest.raises(StorageError, match="locked"):
            await adapter.push_event("STORE", make_record("a"))
    async with asyncio.timeout(3):
        with pytest.raises(StorageError, match="locked"):
            await adapter.read_events()
    await _dispose(engine)


async def _dispose(engine: Any) -> None:
    disposal = engine.dispose()
    if disposal is not None:
        await disposal


async def test_the_driver_does_not_wait(
    adapter: SQLEventStorageAdapter, engine: Engine, lock: sqlite3.Connection
) -> None:
    """It is ``busy_timeout`` that counts, and not the 5 seconds that the driver would wait."""
    assert adapter
    lock.execute("BEGIN IMMEDIATE")

    async with asyncio.timeout(3):
        with pytest.raises(StorageError):
            await SQLEventStorageAdapter(engine, busy_timeout=0.1).push_event(
                "STORE", make_record("a")
            )


@pytest.mark.parametrize("is_locked", [True, False])
async def test_the_timeout_of_the_user_stays(
    path: Path, lock: sqlite3.Connection, *, is_locked: bool
) -> None:
    """The connections of the user's engine wait as before, when a push is done or has failed."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 1.5}, pool_size=1)
    adapter = SQLEventStorageAdapter(engine, busy_timeout=0)
    await adapter.create_tables()
    if is_locked:
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError):
            await adapter.push_event("STORE", make_record("a"))
    else:
        await adapter.push_event("STORE", make_record("a"))

    with engine.connect() as connection:
        assert 1500 == connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    engine.dispose()


async def test_a_push_after_a_failed_one_is_written(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """A push that failed for a lock can be done again, and is no conflict with itself."""
    adapter = SQLEventStorageAdapter(impatient, busy_timeout=0)
    await adapter.create_tables()
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError):
        await adapter.push_event("STORE", make_record("a"))
    lock.execute("COMMIT")

    await adapter.push_event("STORE", make_record("a"))

    assert ["a"] == await read_ids(adapter)


async def test_a_lock_does_not_delay_readers(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """Readers see what was committed before."""
    adapter = SQLEventStorageAdapter(impatient)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("a"))
    lock.execute("BEGIN IMMEDIATE")
    lock.execute("UPDATE event SET aggregate_id = 'b'")

    assert ["a"] == await asyncio.wait_for(read_ids(adapter), timeout=5)


async def test_a_lock_delays_create_tables(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """Tables are created when whoever holds the lock has done."""
    adapter = SQLEventStorageAdapter(impatient)
    lock.execute("BEGIN EXCLUSIVE")

    creation = asyncio.ensure_future(adapter.create_tables())
    await asyncio.sleep(0.2)
    assert not creation.done()
    lock.execute("COMMIT")
    await creation

    assert [] == await read_ids(adapter)


async def test_a_lock_delays_each_push_of_a_batch_that_failed(
    impatient: Engine | AsyncEngine, lock: sqlite3.Connection
) -> None:
    """Pushes that are written one by one, because a neighbour failed, wait for a lock too."""
    begun = 0

    def lock_at_third(statement: str) -> None:
        nonlocal begun
        begun += statement == "BEGIN IMMEDIATE"
        if begun == 3 and not lock.in_transaction:  # the batch was the second
            lock.execute("BEGIN IMMEDIATE")

    trace(impatient, lock_at_third)
    adapter = SQLEventStorageAdapter(impatient)
    await adapter.create_tables()
    lock.execute(
        "CREATE TRIGGER pick BEFORE INSERT ON event WHEN new.aggregate_id = 'refused' "
        "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    begun = 0

    pushes = asyncio.gather(
        *(adapter.push_event("STORE", make_record(each)) for each in ("a", "refused", "b", "a")),
        return_exceptions=True,
    )
    await asyncio.sleep(0.3)
    assert lock.in_transaction
    assert not pushes.done()
    lock.execute("COMMIT")

    assert [type(None), StorageError, type(None), EventAlreadyExistsError] == [
        type(each) for each in await pushes
    ]
    assert ["a", "b"] == await read_ids(adapter)
