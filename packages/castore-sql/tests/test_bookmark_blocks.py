"""Blocks on SQLite: what goes on around the transaction in which a bookmark moves."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from castore_core import EventRecord, Lease, StorageError
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter

RECORD = EventRecord("pikachu1", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
LONG = timedelta(minutes=10)
INSERT = "INSERT INTO note VALUES ('mine')"
ON_FILE: dict[str, str] = {
    "file": "sqlite:///{path}",
    "async file": "sqlite+aiosqlite:///{path}",
}
URLS: dict[str, tuple[str, dict[str, Any]]] = {
    "file": ("sqlite:///{path}", {}),
    "memory": ("sqlite://", {}),
    "memory, shared": ("sqlite://", {"poolclass": StaticPool}),
    "async file": ("sqlite+aiosqlite:///{path}", {}),
    "async memory": ("sqlite+aiosqlite://", {}),
}


def make_engine(url: str, **options: Any) -> Engine | AsyncEngine:
    """Return an engine of the kind that a URL needs."""
    make: Any = create_async_engine if "aiosqlite" in url else create_engine
    engine: Engine | AsyncEngine = make(url, **options)
    return engine


class Database:
    """An engine, with events, bookmarks and a table of the user's."""

    def __init__(self, engine: Engine | AsyncEngine, *, busy_timeout: float = 30) -> None:
        self.engine = engine
        self.events = SQLEventStorageAdapter(engine, busy_timeout=busy_timeout)
        self.bookmarks: SQLBookmarkStorageAdapter[Connection | AsyncConnection]
        self.bookmarks = SQLBookmarkStorageAdapter(engine, busy_timeout=busy_timeout)

    async def create_tables(self) -> None:
        """Create all the tables."""
        await self.events.create_tables()
        await self.bookmarks.create_tables()
        lease = await self.acquire("creator")
        async with self.bookmarks.move_bookmark(lease, "") as connection:
            await execute(connection, "CREATE TABLE note (body TEXT)")

    async def acquire(self, bookmark_id: str = "pokedex") -> Lease:
        """Take the lease of a bookmark."""
        lease = await self.bookmarks.acquire_lease(bookmark_id, "ash", LONG)
        assert lease is not None
        return lease

    async def read_notes(self) -> list[str]:
        """Return what is in the user's table."""
        async with self.bookmarks.move_bookmark(await self.acquire("reader"), "") as connection:
            return [body for (body,) in await execute(connection, "SELECT body FROM note")]

    async def dispose(self) -> None:
        """Dispose of the engine."""
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()
        else:
            self.engine.dispose()


async def execute(connection: Connection | AsyncConnection, statement: str) -> list[Any]:
    """Execute a statement in a block, and return its rows."""
    if isinstance(connection, AsyncConnection):
        result = await connection.execute(text(statement))
    else:
        result = connection.execute(text(statement))
    return list(result) if result.returns_rows else []


async def note(connection: Connection | AsyncConnection, body: str) -> None:
    """Write to the user's table."""
    await execute(connection, f"INSERT INTO note VALUES ('{body}')")  # noqa: S608 our own


async def move_with(database: Database, lease: Lease, *statements: str) -> None:
    """Move a bookmark to 7, with statements in its block."""
    async with database.bookmarks.move_bookmark(lease, "7") as connection:
        for each in statements:
            await execute(connection, each)


async def push(database: Database) -> None:
    """Push an event, in a transaction of its own."""
    await database.events.push_event("STORE", RECORD)


@pytest.fixture(params=ON_FILE)
async def on_file(path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Give a database in a file."""
    database = Database(make_engine(ON_FILE[request.param].format(path=path)))
    await database.create_tables()
    yield database
    await database.dispose()


@pytest.fixture(params=URLS)
async def database(path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Give a database on each kind of engine."""
    url, options = URLS[request.param]
    database = Database(make_engine(url.format(path=path), **options))
    await database.create_tables()
    yield database
    await database.dispose()


OF_OWN_TASK: dict[str, Callable[[Database], Awaitable[Any]]] = {
    "a push": push,
    "a lease": lambda database: database.bookmarks.acquire_lease("other", "ash", LONG),
    "a bookmark": lambda database: database.bookmarks.create_bookmark("other", "7"),
    "a block": lambda database: database.read_notes(),
}


@pytest.mark.parametrize("write", OF_OWN_TASK.values(), ids=OF_OWN_TASK)
async def test_what_waits_for_its_own_block_is_refused(
    database: Database, write: Callable[[Database], Awaitable[Any]]
) -> None:
    """It is refused at once, and the block can go on."""
    lease = await database.acquire()
    start = time.monotonic()
    async with database.bookmarks.move_bookmark(lease, "7") as connection:
        await note(connection, "mine")
        with pytest.raises(StorageError, match="transaction of yours"):
            await write(database)
        await note(connection, "too")

    assert time.monotonic() - start < 10
    assert (["mine", "too"], "7") == (
        await database.read_notes(),
        (await database.bookmarks.get_bookmark("pokedex")).position,
    )
    await write(database)


@pytest.mark.parametrize("write", OF_OWN_TASK.values(), ids=OF_OWN_TASK)
async def test_what_another_task_writes_waits_for_the_block(
    database: Database, write: Callable[[Database], Awaitable[Any]]
) -> None:
    """Nothing of it gets into the block, and nothing fails."""
    lease = await database.acquire()
    async with database.bookmarks.move_bookmark(lease, "7") as connection:
        await note(connection, "mine")
        task = asyncio.ensure_future(write(database))
        await asyncio.sleep(0.05)
        assert not task.done()
    await task

    assert ["mine"] == await database.read_notes()


async def test_events_are_pushed_in_the_block(database: Database) -> None:
    """They are committed with the bookmark, and wake those who wait for events."""
    lease = await database.acquire()
    start = await database.events.get_last_position()
    waiting = asyncio.ensure_future(database.events.wait_for_events(start, 60))
    async with database.bookmarks.move_bookmark(lease, "7") as connection:
        inner = database.events.within(connection)
        await inner.push_event("STORE", RECORD)
        await note(connection, "mine")
        assert [RECORD] == await inner.get_events("STORE", "pikachu1")
    await waiting

    assert [RECORD] == await database.events.get_events("STORE", "pikachu1")
    assert ["mine"] == await database.read_notes()


async def test_events_that_are_pushed_in_a_lost_block(database: Database) -> None:
    """They are gone with all else that the block has written."""
    lease = await database.acquire()
    await database.bookmarks.release_lease(lease)

    async def push_within() -> None:
        async with database.bookmarks.move_bookmark(lease, "7") as connection:
            await database.events.within(connection).push_event("STORE", RECORD)
            raise LookupError

    with pytest.raises(LookupError):
        await push_within()
    assert [] == await database.events.get_events("STORE", "pikachu1")
    await push(database)


async def test_many_blocks_at_a_time(database: Database) -> None:
    """Blocks of one event loop come one after the other, beside pushes, and each is whole."""
    lock = asyncio.Lock()
    expected: list[str] = []

    async def move(name: str) -> None:
        lease = await database.acquire(name)
        for number in range(5):
            async with database.bookmarks.move_bookmark(lease, str(number)) as connection:
                assert not lock.locked()
                async with lock:
                    await note(connection, f"{name}{number}")
                    await asyncio.sleep(0.001)
                    await note(connection, f"{name}{number}")
            expected.extend([f"{name}{number}"] * 2)

    async def push_some(name: str) -> None:
        for version in range(1, 6):
            record = RECORD._replace(aggregate_id=name, version=version)
            await database.events.push_event("STORE", record)

    await asyncio.gather(*(move(each) for each in "abc"), *(push_some(each) for each in "de"))
    assert sorted(expected) == sorted(await database.read_notes())
    assert 10 == len((await database.events.read_events()).entries)


ENDS = ["COMMIT", "ROLLBACK"]


@pytest.mark.parametrize("end", ENDS)
async def test_a_block_that_ends_its_transaction(database: Database, end: str) -> None:
    """The bookmark does not move, and the error says why."""
    lease = await database.acquire()

    async def end_within(connection: Connection | AsyncConnection) -> None:
        await note(connection, "mine")
        if isinstance(connection, AsyncConnection):
            await getattr(connection, end.lower())()
        else:
            getattr(connection, end.lower())()
        await note(connection, "later")

    with pytest.raises(StorageError, match="ended its transaction"):
        async with database.bookmarks.move_bookmark(lease, "7") as connection:
            await end_within(connection)
    assert None is (await database.bookmarks.get_bookmark("pokedex")).position
    assert ["mine"] * (end == "COMMIT") == await database.read_notes()


@pytest.mark.parametrize("end", ENDS)
async def test_a_statement_that_ends_the_transaction(database: Database, end: str) -> None:
    """The bookmark does not move, also where the driver has begun another transaction."""
    lease = await database.acquire()
    with pytest.raises(StorageError, match="was ended by a statement"):
        await move_with(database, lease, INSERT, end, INSERT)
    assert None is (await database.bookmarks.get_bookmark("pokedex")).position
    assert ["mine"] * (end == "COMMIT") == await database.read_notes()


async def test_a_commit_that_is_refused(on_file: Database) -> None:
    """A constraint that is checked at the commit undoes the block."""
    lease = await on_file.acquire()
    async with on_file.bookmarks.move_bookmark(lease, "1") as connection:
        await execute(connection, "CREATE TABLE badge (id INTEGER PRIMARY KEY)")
        await execute(
            connection,
            "CREATE TABLE win (badge REFERENCES badge DEFERRABLE INITIALLY DEFERRED)",
        )
    if isinstance(on_file.engine, AsyncEngine):
        event.listen(on_file.engine.sync_engine, "checkout", switch_on_keys)
    else:
        event.listen(on_file.engine, "checkout", switch_on_keys)
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        await move_with(on_file, lease, "INSERT INTO win VALUES (7)", INSERT)
    assert "1" == (await on_file.bookmarks.get_bookmark("pokedex")).position
    assert [] == await on_file.read_notes()


def switch_on_keys(connection: Any, *_: object) -> None:
    """Have foreign keys checked on a connection."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


async def test_the_block_is_durable(on_file: Database) -> None:
    """The connection waits for the disk at its commits."""
    lease = await on_file.acquire()
    async with on_file.bookmarks.move_bookmark(lease, "7") as connection:
        assert [(2,)] == await execute(connection, "PRAGMA synchronous")


async def test_a_block_keeps_the_timeout_of_the_driver(on_file: Database) -> None:
    """It is what the user has set, or the driver."""
    lease = await on_file.acquire()
    async with on_file.bookmarks.move_bookmark(lease, "7") as connection:
        assert [(5000,)] == await execute(connection, "PRAGMA busy_timeout")


async def test_a_block_waits_for_another_process(on_file: Database, path: Path) -> None:
    """The event loop goes on meanwhile."""
    lease = await on_file.acquire()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reading = asyncio.ensure_future(on_file.read_notes())
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not reading.done()
        other.execute("ROLLBACK")
        assert [] == await reading
    async with on_file.bookmarks.move_bookmark(lease, "7"):
        pass


@pytest.mark.parametrize("url", ON_FILE.values(), ids=ON_FILE)
async def test_a_block_that_waits_too_long(path: Path, url: str) -> None:
    """It raises after its time, and gives its connection back each time."""
    database = Database(make_engine(url.format(path=path), pool_size=1, max_overflow=0))
    await database.create_tables()
    lease = await database.acquire()
    short: SQLBookmarkStorageAdapter[Any]
    short = SQLBookmarkStorageAdapter(database.engine, busy_timeout=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            with pytest.raises(StorageError, match="kept it locked for too long"):
                async with short.move_bookmark(lease, "7"):
                    pass
    async with short.move_bookmark(lease, "8"):
        pass
    assert "8" == (await short.get_bookmark("pokedex")).position
    await database.dispose()


@pytest.mark.parametrize("url", ON_FILE.values(), ids=ON_FILE)
async def test_an_engine_without_transactions(path: Path, url: str) -> None:
    """In the AUTOCOMMIT mode of an engine, blocks are transactions all the same."""
    database = Database(make_engine(url.format(path=path), isolation_level="AUTOCOMMIT"))
    await database.create_tables()
    lease = await database.acquire()

    async def fail() -> None:
        async with database.bookmarks.move_bookmark(lease, "7") as connection:
            await note(connection, "lost")
            await database.events.within(connection).push_event("STORE", RECORD)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.bookmarks.move_bookmark(lease, "8") as connection:
        await note(connection, "kept")
    assert ["kept"] == await database.read_notes()
    assert [] == await database.events.get_events("STORE", "pikachu1")
    await database.dispose()


@pytest.mark.parametrize("statement", ["BEGIN", "BEGIN IMMEDIATE"])
@pytest.mark.parametrize("url", ON_FILE.values(), ids=ON_FILE)
async def test_an_engine_whose_listener_begins(path: Path, url: str, statement: str) -> None:
    """The recipe of SQLAlchemy, in which a listener begins each transaction, goes with blocks."""
    engine = make_engine(url.format(path=path))
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    database = Database(engine)
    await database.create_tables()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    event.listen(sync_engine, "begin", begin)
    lease = await database.acquire()
    async with database.bookmarks.move_bookmark(lease, "7") as connection:
        await note(connection, "mine")
    assert (["mine"], "7") == (
        await database.read_notes(),
        (await database.bookmarks.get_bookmark("pokedex")).position,
    )
    await database.dispose()


async def test_no_connection_for_a_block(tmp_path: Path) -> None:
    """A database that cannot be opened is a `StorageError` like any other."""
    bookmarks = SQLBookmarkStorageAdapter(create_engine(f"sqlite:///{tmp_path}/no/such.db"))
    with pytest.raises(StorageError, match="unable to open"):
        async with bookmarks.move_bookmark(Lease("pokedex", "ash", 1), "7"):
            pass


async def test_a_failing_statement_of_the_block(on_file: Database) -> None:
    """An error of the user's own statement goes through as it is, and undoes the block."""
    lease = await on_file.acquire()
    with pytest.raises(OperationalError, match="no such table: missing"):
        await move_with(on_file, lease, INSERT, "SELECT body FROM missing")
    assert ([], None) == (
        await on_file.read_notes(),
        (await on_file.bookmarks.get_bookmark("pokedex")).position,
    )


async def test_a_part_of_a_block_that_is_taken_back(on_file: Database) -> None:
    """Savepoints of the user's are possible in a block."""
    lease = await on_file.acquire()
    async with on_file.bookmarks.move_bookmark(lease, "7") as connection:
        await note(connection, "mine")
        if isinstance(connection, AsyncConnection):
            nested = await connection.begin_nested()
            await note(connection, "lost")
            await nested.rollback()
        else:
            with connection.begin_nested() as inner:
                await note(connection, "lost")
                inner.rollback()
    assert ["mine"] == await on_file.read_notes()


async def test_a_table_of_an_odd_name(path: Path) -> None:
    """Any name that SQLite takes will do."""
    engine = create_engine(f"sqlite:///{path}")
    bookmarks = SQLBookmarkStorageAdapter(
        engine, table_name='a :b "%s" ?', parked_table_name="c :d '%s' ?"
    )
    await bookmarks.create_tables()
    assert "7" == await bookmarks.create_bookmark("pokedex", "7")
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        assert [('a :b "%s" ?',), ("c :d '%s' ?",)] == names.fetchall()
    assert [] == await bookmarks.get_parked_events("pokedex")
    engine.dispose()


async def test_a_position_is_a_text(tmp_path: Path) -> None:
    """The ``None`` of an event that is not there would set a bookmark back to the start."""
    engine = create_engine(f"sqlite:///{tmp_path}/bookmarks.db")
    bookmarks = SQLBookmarkStorageAdapter(engine)
    await bookmarks.create_tables()
    lease = await bookmarks.acquire_lease("pokedex", "reader", LONG)
    assert lease is not None
    position: Any = None
    with pytest.raises(ValueError, match="position is no text: None"):
        await bookmarks.create_bookmark("pokedex", position)
    with pytest.raises(ValueError, match="position is no text: None"):
        async with bookmarks.move_bookmark(lease, position):
            pass
    assert None is (await bookmarks.get_bookmark("pokedex")).position
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "parked_table_name is not the name of a table: ''"),
        ("bookmark", "parked_table_name are the same: 'bookmark'"),
    ],
)
def test_a_table_of_parked_events_of_its_own(name: str, reason: str) -> None:
    """Its name is that of a table, and another one than that of the bookmarks."""
    with pytest.raises(ValueError, match=reason):
        SQLBookmarkStorageAdapter(create_engine("sqlite://"), parked_table_name=name)


async def test_a_failed_write_of_parked_events_moves_nothing(path: Path) -> None:
    """The bookmark and the parked events are written in one transaction."""
    engine = create_engine(f"sqlite:///{path}")
    bookmarks = SQLBookmarkStorageAdapter(engine)
    await bookmarks.create_tables()
    lease = await bookmarks.acquire_lease("pokedex", "reader", LONG)
    assert lease is not None
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE parked_event")
    with pytest.raises(StorageError, match="parked_event"):
        async with bookmarks.move_bookmark(lease, "7", unparked=["1"]):
            pass
    assert None is (await bookmarks.get_bookmark("pokedex")).position
    engine.dispose()
