"""A reader that waits on PostgreSQL is told of the pushes of other processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import LOG_START, EventRecord, GroupedRecord
from castore_sql import SQLEventStorageAdapter
from castore_sql._postgresql.listening import make_key
from sql_servers import ServerDatabase

pytestmark = pytest.mark.parametrize("kind", ["asyncpg"], indirect=True)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
LONG = 600.0


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


@pytest.fixture
def name() -> str:
    """Give a name that no table of another test has, because listeners go by names."""
    return f"event_{uuid4().hex[:8]}"


@pytest.fixture
async def adapter(engine: AsyncEngine, name: str) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine, table_name=name)
    await adapter.create_tables()
    return adapter


@pytest.fixture
async def other(other_engine: AsyncEngine, name: str) -> SQLEventStorageAdapter:
    """Give an adapter as another process has it."""
    adapter = SQLEventStorageAdapter(other_engine, table_name=name)
    await adapter.create_tables()
    return adapter


@pytest.fixture
async def somebody(other_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection of somebody else, without transactions."""
    async with other_engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


def count_listeners(database: ServerDatabase, name: str) -> int:
    """Return how many sessions hold the lock of the listeners of a table."""
    key = make_key(name)
    ((count,),) = database.run(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' "  # noqa: S608 numbers
        f"AND classid = {key >> 32} AND objid = {key & 0xFFFFFFFF}"
    )
    return int(count)


async def wait_for_listeners(database: ServerDatabase, name: str, count: int) -> None:
    """Wait until so many sessions listen."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(count_listeners, database, name) != count:  # noqa: ASYNC110 the server does not tell
            await asyncio.sleep(0.05)


async def test_a_notification_ends_a_wait(
    adapter: SQLEventStorageAdapter,
    somebody: AsyncConnection,
    database: ServerDatabase,
    name: str,
) -> None:
    """It ends at once, and not at the next look: there is no event to be found here."""
    waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, LONG))
    await wait_for_listeners(database, name, 1)
    await somebody.execute(text(f"SELECT pg_notify('castore', '{make_key(name)}')"))
    await asyncio.wait_for(waiting, 30)
    await wait_for_listeners(database, name, 0)


async def test_other_notifications_do_not_end_a_wait(
    adapter: SQLEventStorageAdapter,
    somebody: AsyncConnection,
    database: ServerDatabase,
    name: str,
) -> None:
    """Those of another table are for others."""
    waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, LONG))
    await wait_for_listeners(database, name, 1)
    await somebody.execute(text("SELECT pg_notify('castore', 'something else')"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


PUSHES: dict[str, Callable[[SQLEventStorageAdapter], Awaitable[object]]] = {
    "one": lambda adapter: adapter.push_event("STORE", make_record("a")),
    "forced": lambda adapter: adapter.push_event("STORE", make_record("a"), force=True),
    "group": lambda adapter: adapter.push_event_group(
        [GroupedRecord("STORE", make_record(each), adapter) for each in "ab"]
    ),
    "cohort": lambda adapter: asyncio.gather(
        *(adapter.push_event("STORE", make_record(each)) for each in "abcd")
    ),
}


@pytest.fixture
async def heard(engine: AsyncEngine) -> AsyncIterator[asyncio.Queue[str]]:
    """Give the notifications that come in, on a connection that takes no lock."""
    queue: asyncio.Queue[str] = asyncio.Queue()

    def hear(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        queue.put_nowait(str(payload))

    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.add_listener("castore", hear)
        yield queue
        await driver.remove_listener("castore", hear)


@pytest.mark.parametrize("push", PUSHES.values(), ids=PUSHES)
async def test_a_push_tells_those_who_listen(
    push: Callable[[SQLEventStorageAdapter], Awaitable[object]],
    other: SQLEventStorageAdapter,
    somebody: AsyncConnection,
    heard: asyncio.Queue[str],
    name: str,
) -> None:
    """Where the lock of the listeners is taken, a push notifies."""
    await somebody.execute(text(f"SELECT pg_advisory_lock({make_key(name)})"))
    await push(other)
    assert str(make_key(name)) == await asyncio.wait_for(heard.get(), 30)


async def test_a_push_tells_nobody_where_nobody_listens(
    other: SQLEventStorageAdapter,
    somebody: AsyncConnection,
    heard: asyncio.Queue[str],
    name: str,
) -> None:
    """A notification would make commits wait for each other."""
    for push in PUSHES.values():
        await push(other)
        for each in "abcd":
            statement = f"DELETE FROM {name} WHERE aggregate_id = '{each}'"  # noqa: S608 letters
            await somebody.execute(text(statement))
    await somebody.execute(text("SELECT pg_notify('castore', 'end')"))
    assert "end" == await asyncio.wait_for(heard.get(), 30)


async def test_a_push_within_a_transaction_tells_at_its_commit(
    other_engine: AsyncEngine,
    other: SQLEventStorageAdapter,
    somebody: AsyncConnection,
    heard: asyncio.Queue[str],
    name: str,
) -> None:
    """Nobody wakes for what may be rolled back."""
    await somebody.execute(text(f"SELECT pg_advisory_lock({make_key(name)})"))
    async with other_engine.begin() as connection:
        await other.within(connection).push_event("STORE", make_record("a"))
        await asyncio.sleep(0.1)
        assert heard.empty()
    assert str(make_key(name)) == await asyncio.wait_for(heard.get(), 30)


async def test_a_push_of_another_process_ends_a_wait(
    adapter: SQLEventStorageAdapter,
    other: SQLEventStorageAdapter,
    database: ServerDatabase,
    name: str,
) -> None:
    """The parts work together, for several readers of a process with one listener."""
    waits = [asyncio.create_task(adapter.wait_for_events(LOG_START, LONG)) for _ in range(5)]
    await wait_for_listeners(database, name, 1)
    await other.push_event("STORE", make_record("a"))
    await asyncio.wait_for(asyncio.gather(*waits), 30)
    await wait_for_listeners(database, name, 0)


async def test_a_cancelled_wait_listens_no_more(
    adapter: SQLEventStorageAdapter, database: ServerDatabase, name: str
) -> None:
    """The connection ends, whenever the wait is cancelled."""
    for delay in (0.0, 0.1, 0.15, 0.2, 0.3, 0.5):
        waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, LONG))
        await asyncio.sleep(delay)
        waiting.cancel()
        await asyncio.wait([waiting])
    await wait_for_listeners(database, name, 0)


async def test_a_lost_listener_is_no_error(
    adapter: SQLEventStorageAdapter,
    other: SQLEventStorageAdapter,
    database: ServerDatabase,
    name: str,
) -> None:
    """A reader whose listener ends finds the event when it looks again."""
    waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, LONG))
    await wait_for_listeners(database, name, 1)
    key = make_key(name)
    await asyncio.to_thread(
        database.run,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "  # noqa: S608 numbers
        f"AND classid = {key >> 32} AND objid = {key & 0xFFFFFFFF}",
    )
    await wait_for_listeners(database, name, 0)
    await other.push_event("STORE", make_record("a"))
    await asyncio.wait_for(waiting, 30)
