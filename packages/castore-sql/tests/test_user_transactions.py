"""Transactions of the user's on the engine: none is undone, and no task waits for its own."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Engine, StaticPool, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from castore_core import EventRecord, GroupedRecord, StorageError
from castore_sql import SQLEventStorageAdapter

RECORD = EventRecord("pikachu1", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
OWN_LOCK = "the transaction of yours on this engine, open in this task"
SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "memory": ("sqlite://", {}),
    "memory, shared": ("sqlite://", {"poolclass": StaticPool}),
    "file, shared": ("sqlite:///{path}", {"poolclass": StaticPool}),
    "async memory": ("sqlite+aiosqlite://", {}),
    "async file, shared": ("sqlite+aiosqlite:///{path}", {"poolclass": StaticPool}),
}
ON_FILE = {"file": "sqlite:///{path}", "async file": "sqlite+aiosqlite:///{path}"}

Execute: TypeAlias = Callable[[str], Awaitable[list[Any]]]


class Database:
    """An engine, with an adapter on it, and a table of the user's."""

    def __init__(self, url: str, **options: Any) -> None:
        self.engine: Engine | AsyncEngine
        make: Any = create_async_engine if "aiosqlite" in url else create_engine
        self.engine = make(url, **options)
        self.adapter = SQLEventStorageAdapter(self.engine)

    async def create_tables(self) -> None:
        """Create the table of the events, and that of the user."""
        await self.adapter.create_tables()
        async with self.begin() as execute:
            await execute("CREATE TABLE note (body TEXT)")

    def begin(self) -> AbstractAsyncContextManager[Execute]:
        """Begin a transaction of the user's, and give a function that executes statements."""
        engine = self.engine
        return _begin_async(engine) if isinstance(engine, AsyncEngine) else _begin(engine)

    async def read_notes(self) -> list[Any]:
        """Return the rows of the user's table."""
        async with self.begin() as execute:
            return await execute("SELECT body FROM note")

    async def dispose(self) -> None:
        """Dispose of the engine."""
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()
        else:
            self.engine.dispose()


@asynccontextmanager
async def _begin(engine: Engine) -> AsyncGenerator[Execute]:
    with engine.begin() as connection:

        async def execute(statement: str) -> list[Any]:
            result = connection.execute(text(statement))
            return list(result.scalars()) if result.returns_rows else []

        yield execute


@asynccontextmanager
async def _begin_async(engine: AsyncEngine) -> AsyncGenerator[Execute]:
    async with engine.begin() as connection:

        async def execute(statement: str) -> list[Any]:
            result = await connection.execute(text(statement))
            return list(result.scalars()) if result.returns_rows else []

        yield execute


@pytest.fixture(params=SHARED)
async def shared(path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Give a database whose user and adapter have one connection."""
    url, options = SHARED[request.param]
    database = Database(url.format(path=path), **options)
    await database.create_tables()
    yield database
    await database.dispose()


@pytest.fixture(params=ON_FILE)
async def on_file(path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Give a database in a file, with an adapter that would wait for a minute."""
    database = Database(ON_FILE[request.param].format(path=path))
    database.adapter = SQLEventStorageAdapter(database.engine, busy_timeout=60)
    await database.create_tables()
    yield database
    await database.dispose()


async def push(database: Database) -> None:
    """Push an event."""
    await database.adapter.push_event("STORE", RECORD)


async def push_group(database: Database) -> None:
    """Push a group of one event."""
    adapter = database.adapter
    await adapter.push_event_group([GroupedRecord("STORE", RECORD, adapter)])


async def create(database: Database) -> None:
    """Create a table."""
    other = SQLEventStorageAdapter(database.engine, table_name="other", busy_timeout=60)
    await other.create_tables()


WRITES = [push, push_group, create]


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_on_a_shared_connection_is_refused(
    shared: Database, write: Callable[[Database], Awaitable[None]]
) -> None:
    """It leaves the user's transaction as it is, and can be done after it."""
    async with shared.begin() as execute:
        await execute("INSERT INTO note VALUES ('mine')")
        with pytest.raises(StorageError, match="transaction of yours"):
            await write(shared)
        await execute("INSERT INTO note VALUES ('too')")

    assert ["mine", "too"] == await shared.read_notes()
    assert [] == await shared.adapter.get_events("STORE", "pikachu1")
    await write(shared)


async def test_reads_on_a_shared_connection(shared: Database) -> None:
    """They see what the user has not committed yet, and do not end the transaction."""
    async with shared.begin() as execute:
        await execute("INSERT INTO note VALUES ('mine')")
        await shared.adapter.get_events("STORE", "pikachu1")
        await shared.adapter.list_aggregate_ids("STORE")
        await shared.adapter.read_events()

    assert ["mine"] == await shared.read_notes()


async def test_a_rollback_on_a_shared_connection_undoes_no_push(shared: Database) -> None:
    """Pushes and transactions of many tasks at a time: each is whole, and on its own."""
    pushed: list[str] = []

    async def push_some(name: str) -> None:
        for number in range(20):
            try:
                record = RECORD._replace(aggregate_id=f"{name}{number}")
                await shared.adapter.push_event("STORE", record)
                pushed.append(record.aggregate_id)
            except StorageError:
                await asyncio.sleep(0.001)

    async def write_some(number: int) -> None:
        async with lock, shared.begin() as execute:  # one user at a time, as on any connection
            await execute(f"INSERT INTO note VALUES ('{number}')")  # noqa: S608 a number
            await asyncio.sleep(0)
            await execute(f"INSERT INTO note VALUES ('{number}')")  # noqa: S608 a number

    lock = asyncio.Lock()
    await asyncio.gather(
        *(push_some(each) for each in "abc"), *(write_some(each) for each in range(20))
    )

    assert sorted(str(each) for each in range(20) for _ in "ab") == sorted(
        await shared.read_notes()
    )
    found = await shared.adapter.list_aggregate_ids("STORE")
    assert pushed
    assert sorted(pushed) == sorted(each.aggregate_id for each in found.aggregates)


async def test_a_user_who_only_reads_on_a_shared_connection(shared: Database) -> None:
    """No transaction is open then, and a push is written."""
    async with shared.begin() as execute:
        assert [] == await execute("SELECT body FROM note")
        await push(shared)

    assert [RECORD] == await shared.adapter.get_events("STORE", "pikachu1")


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO note VALUES ('mine')", "DELETE FROM note WHERE 0", "CREATE TABLE mine (a)"],
)
async def test_a_write_within_the_tasks_own_transaction(
    on_file: Database, statement: str, write: Callable[[Database], Awaitable[None]]
) -> None:
    """It is refused at once, because the task would wait for itself."""
    start = time.monotonic()
    async with on_file.begin() as execute:
        if "CREATE" in statement:  # the driver begins no transaction before
            await execute("INSERT INTO note VALUES ('mine')")
        await execute(statement)
        with pytest.raises(StorageError, match=OWN_LOCK):
            await write(on_file)

    assert time.monotonic() - start < 10
    assert ["mine"] * ("WHERE 0" not in statement) == await on_file.read_notes()
    await write(on_file)


async def test_a_push_beside_a_transaction_that_only_reads(on_file: Database) -> None:
    """It locks nobody out."""
    async with on_file.begin() as execute:
        await execute("SELECT body FROM note")
        await push(on_file)

    assert [RECORD] == await on_file.adapter.get_events("STORE", "pikachu1")


async def test_a_push_after_the_tasks_own_transaction(on_file: Database) -> None:
    """Committed, rolled back or abandoned: what has ended locks nobody out."""
    async with on_file.begin() as execute:
        await execute("INSERT INTO note VALUES ('mine')")
    with suppress(LookupError):
        async with on_file.begin() as execute:
            await execute("INSERT INTO note VALUES ('not mine')")
            raise LookupError
    await push(on_file)

    assert ["mine"] == await on_file.read_notes()


async def test_a_push_of_another_task_waits_for_the_transaction(on_file: Database) -> None:
    """The task with the transaction can go on, and end it."""
    async with on_file.begin() as execute:
        await execute("INSERT INTO note VALUES ('mine')")
        pushing = asyncio.create_task(push(on_file))
        await asyncio.sleep(0.1)
        assert not pushing.done()
    await pushing

    assert [RECORD] == await on_file.adapter.get_events("STORE", "pikachu1")


async def test_a_child_task_that_is_awaited_is_not_told_of_another_process(path: Path) -> None:
    """It waits for its time, because its parent could go on, and the error fits."""
    database = Database(f"sqlite:///{path}")
    database.adapter = SQLEventStorageAdapter(database.engine, busy_timeout=0.1)
    await database.create_tables()
    async with database.begin() as execute:
        await execute("INSERT INTO note VALUES ('mine')")
        with pytest.raises(StorageError, match="or a transaction of this one, kept it locked"):
            await asyncio.gather(push(database))
    await database.dispose()


def test_a_transaction_that_was_begun_before_the_event_loop(path: Path) -> None:
    """The thread waits for the loop, which would wait for the thread."""
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)
    asyncio.run(adapter.create_tables())
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE note (body TEXT)"))
        connection.execute(text("INSERT INTO note VALUES ('mine')"))
        with pytest.raises(StorageError, match=OWN_LOCK):
            asyncio.run(adapter.push_event("STORE", RECORD))
    with engine.connect() as connection:
        assert ["mine"] == list(connection.scalars(text("SELECT body FROM note")))
    engine.dispose()


async def test_a_transaction_of_another_thread_is_waited_for(path: Path) -> None:
    """It ends whatever this task does."""
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    is_open = threading.Event()

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE event SET type = 'X'"))
            is_open.set()
            time.sleep(0.2)

    thread = threading.Thread(target=write)
    thread.start()
    await asyncio.to_thread(is_open.wait, 10)
    await adapter.push_event("STORE", RECORD)
    thread.join()
    engine.dispose()


async def test_a_transaction_on_another_engine_is_waited_for(on_file: Database, path: Path) -> None:
    """The adapter knows of its own engine only."""
    other = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(on_file.engine, busy_timeout=0.1)
    with other.begin() as connection:
        connection.execute(text("INSERT INTO note VALUES ('mine')"))
        with pytest.raises(StorageError, match="or a transaction of this one"):
            await adapter.push_event("STORE", RECORD)
    other.dispose()


async def test_a_session_of_the_orm(path: Path) -> None:
    """A session has a transaction like any other."""
    engine = create_engine(f"sqlite:///{path}")
    async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    adapter, other = SQLEventStorageAdapter(engine), SQLEventStorageAdapter(async_engine)
    await adapter.create_tables()
    statement = text("DELETE FROM event")
    with Session(engine) as session:
        session.execute(statement)
        with pytest.raises(StorageError, match=OWN_LOCK):
            await adapter.push_event("STORE", RECORD)
    async with AsyncSession(async_engine) as async_session:
        await async_session.execute(statement)
        with pytest.raises(StorageError, match=OWN_LOCK):
            await other.push_event("STORE", RECORD)
    engine.dispose()
    await async_engine.dispose()


async def test_an_engine_with_other_execution_options(path: Path) -> None:
    """What `Engine.execution_options` returns has the connections of the same engine."""
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    with engine.execution_options(stream_results=True).begin() as connection:
        connection.execute(text("DELETE FROM event"))
        with pytest.raises(StorageError, match=OWN_LOCK):
            await adapter.push_event("STORE", RECORD)
    engine.dispose()


async def test_transactions_that_the_user_begins_for_writing(path: Path) -> None:
    """``BEGIN IMMEDIATE`` takes the lock before anything is written."""
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    event.listen(engine, "begin", lambda each: each.exec_driver_sql("BEGIN IMMEDIATE"))  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType, reportUnknownArgumentType]
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    with engine.begin() as connection:
        connection.execute(text("SELECT * FROM event"))
        with pytest.raises(StorageError, match=OWN_LOCK):
            await adapter.push_event("STORE", RECORD)
        connection.exec_driver_sql("COMMIT")
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite+aiosqlite://"])
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit attribute")
@pytest.mark.may_skip("sqlite3 has no autocommit attribute before Python 3.12")
async def test_a_transaction_that_is_always_open(url: str) -> None:
    """With ``autocommit=False`` the driver always has one open; one that wrote is the user's."""
    options = {"poolclass": StaticPool, "connect_args": {"autocommit": False}}
    database = Database(url, **options)
    await database.create_tables()
    async with database.begin() as execute:
        await execute("SELECT body FROM note")
        await push(database)
        await execute("INSERT INTO note VALUES ('mine')")
        with pytest.raises(StorageError, match="transaction of yours"):
            await database.adapter.push_event("STORE", RECORD._replace(version=2))

    assert ["mine"] == await database.read_notes()
    assert [RECORD] == await database.adapter.get_events("STORE", "pikachu1")
    await database.dispose()
