"""A push or a read that is cancelled leaves nothing behind, wherever it was."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import EventRecord, GroupedRecord
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase

pytestmark = pytest.mark.parametrize("kind", KINDS, indirect=True)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
STEPS = 12
OF_ASYNCPG = "unexpected connection_lost() call"  # about a connect that is cancelled
DELAYS = [0.0003 * number for number in range(20)]


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def push_one(adapter: SQLEventStorageAdapter, name: str) -> None:
    """Push an event."""
    await adapter.push_event("STORE", make_record(name))


async def push_group(adapter: SQLEventStorageAdapter, name: str) -> None:
    """Push two events, by force: that takes several requests."""
    records = [make_record(name), make_record(name, 2)]
    await adapter.push_event_group(
        [GroupedRecord("STORE", each, adapter) for each in records], force=True
    )


async def read(adapter: SQLEventStorageAdapter, name: str) -> None:
    """Read events."""
    await adapter.get_events("STORE", name)


ACTIONS = [push_one, push_group, read]
Action = Callable[[SQLEventStorageAdapter, str], Awaitable[None]]


@pytest.fixture
async def adapter(
    engine: Engine | AsyncEngine, database: ServerDatabase, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter, of which nothing may be left in the end."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    pool: Any = engine.pool
    await wait_until(lambda: 0 == pool.checkedout())
    await wait_until(lambda: 0 == count_transactions(database))
    gc.collect()
    await asyncio.sleep(0)
    messages = [each.getMessage() for each in caplog.records if each.name == "asyncio"]
    assert [] == [each for each in messages if OF_ASYNCPG not in each]


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(40):
        if is_so():
            return
        await asyncio.sleep(0.15)  # MariaDB says the same again to who asks ten times in a second
    assert is_so()


def count_transactions(database: ServerDatabase) -> int:
    """Return how many transactions have used the database, and are open."""
    if database.server == "postgres":
        sql = (
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = to_regclass('event') "
            "AND pid <> pg_backend_pid()"
        )
    else:
        sql = (
            "SELECT count(*) FROM information_schema.INNODB_TRX "
            "JOIN information_schema.PROCESSLIST ON ID = trx_mysql_thread_id WHERE DB = DATABASE()"
        )
    ((count,),) = database.run(sql)
    return int(count)


async def check(adapter: SQLEventStorageAdapter, name: str) -> None:
    """Check that a group is there, or not, and that all goes on."""
    assert len(await adapter.get_events("STORE", name)) in {0, 1, 2}
    await adapter.push_event("STORE", make_record(f"{name} afterwards"))


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_task_is_cancelled(adapter: SQLEventStorageAdapter, action: Action) -> None:
    """At each step of the event loop, and after small delays, once or again and again."""
    for number, delay in enumerate([*[0.0] * STEPS, *DELAYS]):
        name = f"number {number}"
        task = asyncio.ensure_future(action(adapter, name))
        if delay:
            await asyncio.sleep(delay)
        else:
            for _ in range(number):
                await asyncio.sleep(0)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0 if number % 2 else 0.001)
        with suppress(asyncio.CancelledError):
            await task
        await check(adapter, name)


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_scope_is_cancelled(adapter: SQLEventStorageAdapter, action: Action) -> None:
    """A scope of anyio cancels each await in it; a timeout of asyncio cancels once."""
    for number, delay in enumerate(DELAYS[::2]):
        with anyio.move_on_after(delay):
            await action(adapter, f"number {number}")
            await action(adapter, f"number {number} too")
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await action(adapter, f"again {number}")
        await check(adapter, f"number {number}")


async def test_others_of_the_cohort(adapter: SQLEventStorageAdapter) -> None:
    """Pushes that share a commit with one that is cancelled are written."""
    for number, delay in enumerate([0, *DELAYS[::2]]):
        names = [f"number {number} {each}" for each in range(8)]
        tasks = [asyncio.ensure_future(push_one(adapter, each)) for each in names]
        await asyncio.sleep(delay)
        for each in tasks[::3]:
            each.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [None] * 5 == [each for place, each in enumerate(outcomes) if place % 3]
        for place, each in enumerate(names):
            assert len(await adapter.get_events("STORE", each)) in ({1} if place % 3 else {0, 1})


async def test_a_push_that_waits_for_a_lock(
    adapter: SQLEventStorageAdapter, engine: Engine | AsyncEngine, database: ServerDatabase
) -> None:
    """Where it is cancelled, the server does not go on with it, and others need not wait."""
    if isinstance(engine, AsyncEngine):
        async with engine.connect() as connection:
            await push_one(adapter.within(connection), "a")
            await cancel_in_time(adapter, database)
    else:
        with engine.connect() as sync_connection:
            await push_one(adapter.within(sync_connection), "a")
            await cancel_in_time(adapter, database)

    await asyncio.sleep(0.1)
    assert [] == await adapter.get_events("STORE", "a")


async def cancel_in_time(adapter: SQLEventStorageAdapter, database: ServerDatabase) -> None:
    """Cancel a push that waits."""
    task = asyncio.ensure_future(push_one(adapter, "a"))
    await asyncio.sleep(0.2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await wait_until(lambda: 1 == count_transactions(database))
    async with asyncio.timeout(5):
        await push_one(adapter, "b")
