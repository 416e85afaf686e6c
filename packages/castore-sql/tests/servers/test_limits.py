"""A push and a read end, whatever keeps the server from answering, and say what became of them."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    StorageError,
    UnknownOutcomeError,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, Kind, ServerDatabase, dispose
from tcp_proxy import Fault, TCPProxy, tcp_proxy

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
TIMEOUT = 0.3
each_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)
LATEST = 4.5  # a thread that waits for a server which does not answer is left 2.5 s later


def make_record(aggregate_id: str, version: int = 1, payload: str = "") -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, payload)


@asynccontextmanager
async def connected(
    engine: Engine | AsyncEngine,
) -> AsyncGenerator[Connection | AsyncConnection]:
    """Connect, and roll back at the end."""
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            yield connection
    else:
        with engine.connect() as sync_connection:
            yield sync_connection


async def run(connection: Connection | AsyncConnection, sql: str) -> Any:
    """Run a statement, and return its first value if it has any."""
    if isinstance(connection, AsyncConnection):
        result = await connection.execute(text(sql))
    else:
        result = connection.execute(text(sql))
    return result.scalar() if result.returns_rows else None


def count_checked_out(engine: Engine | AsyncEngine) -> int:
    """Return how many connections are lent."""
    pool: Any = engine.pool
    return pool.checkedout()


async def wait_until_idle(engine: Engine | AsyncEngine) -> None:
    """Wait until all connections were returned."""
    for _ in range(200):
        if count_checked_out(engine) == 0:
            return
        await asyncio.sleep(0.02)
    assert 0 == count_checked_out(engine)


@pytest.fixture
async def adapter(engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter that waits a moment."""
    adapter = SQLEventStorageAdapter(engine, busy_timeout=TIMEOUT)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("the first"))
    return adapter


@pytest.fixture
def proxy(database: ServerDatabase) -> Iterator[TCPProxy]:
    """Give a proxy to the server."""
    url = database.get_url("driver")
    with tcp_proxy(url.host or "", url.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def proxied(
    kind: Kind, database: ServerDatabase, proxy: TCPProxy
) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine that reaches the server by the proxy."""
    engine = database.make_engine(kind, port=proxy.port)
    yield engine
    proxy.cut()
    await dispose(engine)


@each_kind
async def test_a_lock_of_the_same_task(
    engine: Engine | AsyncEngine, adapter: SQLEventStorageAdapter
) -> None:
    """A push that waits for the transaction around it ends, says so, and has written nothing."""
    async with connected(engine) as connection:
        await adapter.within(connection).push_event("STORE", make_record("a", payload="within"))
        begin = time.monotonic()
        with pytest.raises(StorageError, match=r"nothing was written.*adapter\.within") as caught:
            await adapter.push_event("STORE", make_record("a", payload="beside"))
        assert LATEST > time.monotonic() - begin
        assert not isinstance(caught.value, UnknownOutcomeError)
        await wait_until_lent(engine, 1)
        await adapter.push_event("STORE", make_record("b"))

    assert [] == await adapter.get_events("STORE", "a")
    assert [make_record("b")] == await adapter.get_events("STORE", "b")
    await wait_until_idle(engine)


async def wait_until_lent(engine: Engine | AsyncEngine, count: int) -> None:
    """Wait until so many connections are lent."""
    for _ in range(200):
        if count_checked_out(engine) == count:
            return
        await asyncio.sleep(0.02)
    assert count == count_checked_out(engine)


@each_kind
async def test_a_lock_in_the_way_of_some(
    engine: Engine | AsyncEngine, adapter: SQLEventStorageAdapter
) -> None:
    """Of pushes that come together, only those fail that the lock is in the way of."""
    names = ["a", "b", "c", "d"]
    async with connected(engine) as connection:
        await adapter.within(connection).push_event("STORE", make_record("b", payload="within"))
        outcomes = await asyncio.gather(
            adapter.push_event("STORE", make_record("alone")),
            *(adapter.push_event("STORE", make_record(each)) for each in names),
            return_exceptions=True,
        )

    assert [None, None, StorageError, None, None] == [each and type(each) for each in outcomes]
    found = [await adapter.get_events("STORE", each) for each in names]
    assert [1, 0, 1, 1] == [len(each) for each in found]
    await wait_until_idle(engine)


@each_kind
async def test_a_lock_that_goes_in_time(
    engine: Engine | AsyncEngine, adapter: SQLEventStorageAdapter
) -> None:
    """A push that waits for the transaction of somebody else is a conflict, or written."""
    patient = SQLEventStorageAdapter(engine)
    pushing: list[asyncio.Task[None]] = []
    async with connected(engine) as connection:
        await patient.within(connection).push_event("STORE", make_record("a", payload="within"))
        pushing.append(asyncio.create_task(patient.push_event("STORE", make_record("a"))))
        await asyncio.sleep(0.2)
    await pushing[0]
    async with connected(engine) as connection:
        await patient.within(connection).push_event("STORE", make_record("a", 2, "within"))
        pushing.append(asyncio.create_task(patient.push_event("STORE", make_record("a", 2))))
        await asyncio.sleep(0.2)
        await commit(connection)

    with pytest.raises(EventAlreadyExistsError):
        await pushing[1]

    found = await adapter.get_events("STORE", "a")
    assert ["", "within"] == [each.payload for each in found]


async def commit(connection: Connection | AsyncConnection) -> None:
    """Commit a transaction."""
    if isinstance(connection, AsyncConnection):
        await connection.commit()
    else:
        connection.commit()


@each_kind
async def test_a_server_that_does_not_answer_a_push(
    proxied: Engine | AsyncEngine,
    proxy: TCPProxy,
    adapter: SQLEventStorageAdapter,
) -> None:
    """The push ends in time, and finds out what became of it, or says that it cannot."""
    away = SQLEventStorageAdapter(proxied, busy_timeout=TIMEOUT)
    await away.push_event("STORE", make_record("b"))
    proxy.arm(Fault.NO_ANSWER)
    begin = time.monotonic()
    outcome: StorageError | None = None
    try:
        await away.push_event("STORE", make_record("a"))
    except StorageError as error:
        outcome = error
    assert LATEST > time.monotonic() - begin
    stored = await adapter.get_events("STORE", "a")
    if outcome is None:
        assert [make_record("a")] == stored
    elif not isinstance(outcome, UnknownOutcomeError):
        assert [] == stored

    await away.push_event("STORE", make_record("c"))
    assert [make_record("c")] == await away.get_events("STORE", "c")
    await wait_until_idle(proxied)


@pytest.mark.parametrize("kind", ["asyncpg", "pymysql"], indirect=True)
async def test_a_network_that_is_silent(
    proxied: Engine | AsyncEngine, proxy: TCPProxy, adapter: SQLEventStorageAdapter
) -> None:
    """Where no connection says anything, pushes and reads end in time, and go on afterwards."""
    away = SQLEventStorageAdapter(proxied, busy_timeout=TIMEOUT)
    await away.push_event("STORE", make_record("b"))
    proxy.is_silent = True
    begin = time.monotonic()
    with pytest.raises(UnknownOutcomeError):
        await away.push_event("STORE", make_record("a"))
    assert 2 * LATEST > time.monotonic() - begin
    begin = time.monotonic()
    with pytest.raises(StorageError, match=r"in 0\.3 seconds"):
        await away.get_events("STORE", "a")
    assert LATEST > time.monotonic() - begin
    proxy.is_silent = False
    proxy.cut()

    await away.push_event("STORE", make_record("c"))
    assert [make_record("c")] == await away.get_events("STORE", "c")
    await wait_until_idle(proxied)
    assert [] == await adapter.get_events("STORE", "a")


@each_kind
async def test_no_connection_is_free(
    kind: Kind, database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """A pool that is exhausted fails a push, which was not written, and a read."""
    for pool_timeout, reason in ((0.1, "no connection of the pool"), (9, "no connection")):
        engine = database.make_engine(kind, pool_size=1, max_overflow=0, pool_timeout=pool_timeout)
        narrow = SQLEventStorageAdapter(engine, busy_timeout=TIMEOUT)
        async with connected(engine):
            begin = time.monotonic()
            with pytest.raises(StorageError, match=reason):
                await narrow.push_event("STORE", make_record("a"))
            with pytest.raises(StorageError, match=reason):
                await narrow.get_events("STORE", "a")
            assert LATEST > time.monotonic() - begin
        await narrow.push_event("STORE", make_record(f"b {pool_timeout}"))
        await wait_until_idle(engine)
        await dispose(engine)

    assert [] == await adapter.get_events("STORE", "a")


@each_kind
async def test_sessions_are_ended(database: ServerDatabase, engine: Engine | AsyncEngine) -> None:
    """An administrator ends all sessions, again and again: each push is stored once."""
    patient = SQLEventStorageAdapter(engine)
    await patient.create_tables()
    sessions = note_sessions(engine)
    await dispose(engine)
    ended: list[int] = []
    is_over = threading.Event()

    def end_sessions() -> None:
        while not is_over.wait(0.02):
            for each in [*sessions]:
                sessions.discard(each)
                ended.extend(end_session(database, each))

    async def push_all(name: str) -> None:
        for version in range(1, 11):
            while not await try_push(patient, make_record(name, version)):
                pass
            await asyncio.sleep(0.02)

    ending = asyncio.create_task(asyncio.to_thread(end_sessions))
    await asyncio.gather(*(push_all(f"a{number}") for number in range(8)))
    is_over.set()
    await ending
    assert len(ended) > 2
    for number in range(8):
        found = await patient.get_events("STORE", f"a{number}")
        assert [*range(1, 11)] == [each.version for each in found]


async def try_push(adapter: SQLEventStorageAdapter, record: EventRecord) -> bool:
    """Push, or tell that nothing was written."""
    try:
        await adapter.push_event("STORE", record)
    except (EventAlreadyExistsError, UnknownOutcomeError):
        raise
    except StorageError:  # a connection was ended before it was open
        return False
    return True


def note_sessions(engine: Engine | AsyncEngine) -> set[int]:
    """Return a set that gets the number of each session that is opened from now on."""
    sessions: set[int] = set()

    @event.listens_for(engine.sync_engine if isinstance(engine, AsyncEngine) else engine, "connect")
    def _(connection: Any, _: object) -> None:
        own = getattr(connection, "driver_connection", connection)
        if hasattr(own, "get_server_pid"):
            sessions.add(own.get_server_pid())
        elif hasattr(own, "thread_id"):
            sessions.add(own.thread_id())
        else:
            sessions.add(own.info.backend_pid)

    return sessions


def end_session(database: ServerDatabase, number: int) -> list[int]:
    """End a session, and return its number if it was there."""
    try:
        if database.server == "postgres":
            return [number for (done,) in database.run(terminate(number)) if done]
        database.run(f"KILL {number}")
    except OperationalError:  # it has ended
        return []
    return [number]


def terminate(number: int) -> str:
    """Return the statement that ends a session of PostgreSQL."""
    return f"SELECT pg_terminate_backend({number})"


@each_kind
async def test_an_assertion_alone_that_waits(
    engine: Engine | AsyncEngine, adapter: SQLEventStorageAdapter
) -> None:
    """It has stored nothing that could be found: it fails when its time is over."""
    asserted = [AssertedVersion("STORE", "the first", 1, adapter)]
    async with connected(engine) as connection:
        await adapter.within(connection).push_event("STORE", make_record("the first", 2))
        with pytest.raises(StorageError):
            await adapter.push_event_group([], asserted=asserted)
    await adapter.push_event_group([], asserted=asserted)


@each_kind
async def test_tokens_do_not_follow_a_seed(
    database: ServerDatabase, adapter: SQLEventStorageAdapter
) -> None:
    """Programs that seed the generator of the process have other tokens, each time."""
    for each in ("seeded", "seeded again"):
        random.seed(42)
        await adapter.push_event("STORE", make_record(each))
    tokens = database.run("SELECT write_token FROM event")
    assert 3 == len({token for (token,) in tokens})
