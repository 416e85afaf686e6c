"""Blocks on the servers: what goes on around the transaction in which a bookmark moves."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    EventRecord,
    Lease,
    LeaseLostError,
    ParkedEvent,
    Snapshot,
    StorageError,
)
from castore_sql import (
    SQLBookmarkStorageAdapter,
    SQLEventStorageAdapter,
    SQLSnapshotStorageAdapter,
)
from sql_servers import (
    KINDS,
    MARIADB_KINDS,
    MYSQL_KINDS,
    POSTGRES_KINDS,
    Kind,
    ServerDatabase,
    dispose,
)

RECORD = EventRecord("pikachu1", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
LONG = timedelta(minutes=10)
SECOND = timedelta(seconds=1)
SHORT = timedelta(milliseconds=300)
INSERT = "INSERT INTO note VALUES ('mine')"

each_kind = pytest.mark.parametrize(
    "kind",
    KINDS,
    indirect=True,
)
each_of_postgresql = pytest.mark.parametrize("kind", POSTGRES_KINDS, indirect=True)
each_isolation_level = pytest.mark.parametrize(
    "level", ["AUTOCOMMIT", "REPEATABLE READ", "SERIALIZABLE"]
)


async def execute(connection: Connection | AsyncConnection, statement: str) -> None:
    """Execute a statement in a block."""
    if isinstance(connection, AsyncConnection):
        await connection.execute(text(statement))
    else:
        connection.execute(text(statement))


async def make_bookmarks(
    database: ServerDatabase, engine: Engine | AsyncEngine
) -> SQLBookmarkStorageAdapter[Connection | AsyncConnection]:
    """Return bookmarks beside a table of the user's."""
    bookmarks: SQLBookmarkStorageAdapter[Connection | AsyncConnection]
    bookmarks = SQLBookmarkStorageAdapter(engine)
    await bookmarks.create_tables()
    database.run("CREATE TABLE note (body VARCHAR(100))")
    return bookmarks


@pytest.fixture
async def bookmarks(
    database: ServerDatabase, engine: Engine | AsyncEngine
) -> SQLBookmarkStorageAdapter[Connection | AsyncConnection]:
    """Give bookmarks beside a table of the user's."""
    return await make_bookmarks(database, engine)


async def acquire(
    bookmarks: SQLBookmarkStorageAdapter[Any], owner: str = "ash", duration: timedelta = LONG
) -> Lease:
    """Take the lease of a bookmark."""
    lease = await bookmarks.acquire_lease("pokedex", owner, duration)
    assert lease is not None
    return lease


async def move_with(
    bookmarks: SQLBookmarkStorageAdapter[Any], lease: Lease, *statements: str
) -> None:
    """Move a bookmark to 7, with statements in its block."""
    async with bookmarks.move_bookmark(lease, "7") as connection:
        for each in statements:
            await execute(connection, each)


def read_notes(database: ServerDatabase) -> Sequence[str]:
    """Return what is committed in the user's table."""
    return [body for (body,) in database.run("SELECT body FROM note")]


@each_kind
async def test_events_are_pushed_in_the_block(
    database: ServerDatabase,
    engine: Engine | AsyncEngine,
    bookmarks: SQLBookmarkStorageAdapter[Any],
) -> None:
    """They are committed with the bookmark and the read model, or none of them is."""
    events = SQLEventStorageAdapter(engine)
    await events.create_tables()
    lease = await acquire(bookmarks)

    async def push_within(version: int, lease: Lease) -> None:
        async with bookmarks.move_bookmark(lease, str(version)) as connection:
            record = RECORD._replace(version=version)
            await events.within(connection).push_event("STORE", record)
            await execute(connection, INSERT)

    await push_within(1, lease)
    await bookmarks.release_lease(lease)
    with pytest.raises(LeaseLostError):
        await push_within(2, lease)

    assert [RECORD] == await events.get_events("STORE", "pikachu1")
    assert (["mine"], "1") == (
        read_notes(database),
        (await bookmarks.get_bookmark("pokedex")).position,
    )


@each_kind
async def test_an_owner_that_stood_still_does_not_commit(
    database: ServerDatabase, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """Another owner takes over while its block is open, and its writes are gone."""
    late = await acquire(bookmarks, duration=SHORT)

    async def stand_still() -> None:
        async with bookmarks.move_bookmark(late, "7") as connection:
            await execute(connection, INSERT)
            await asyncio.sleep(2 * SHORT.total_seconds())
            lease = await acquire(bookmarks, "gary")
            assert late.token < lease.token
            async with bookmarks.move_bookmark(lease, "8"):
                pass

    with pytest.raises(LeaseLostError) as caught:
        await stand_still()
    assert ("pokedex", "ash") == (caught.value.bookmark_id, caught.value.owner)
    assert ([], "8") == (read_notes(database), (await bookmarks.get_bookmark("pokedex")).position)


@each_kind
async def test_a_lease_is_extended_in_the_block(
    database: ServerDatabase, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """A block that takes longer than its lease goes well where the lease is extended meanwhile."""
    lease = await acquire(bookmarks, duration=SECOND)
    async with bookmarks.move_bookmark(lease, "7") as connection:
        await execute(connection, "SELECT position FROM bookmark")  # no snapshot stays in the way
        for _ in range(5):
            await asyncio.sleep(0.3)
            assert lease == await acquire(bookmarks, duration=SECOND)
        await execute(connection, INSERT)
    assert (["mine"], "7") == (
        read_notes(database),
        (await bookmarks.get_bookmark("pokedex")).position,
    )


@pytest.fixture
async def leveled_engine(
    kind: Kind, database: ServerDatabase, level: str
) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine of an isolation level."""
    engine = database.make_engine(kind, isolation_level=level)
    yield engine
    await dispose(engine)


@each_kind
@each_isolation_level
async def test_any_isolation_level_of_the_engine(
    database: ServerDatabase, leveled_engine: Engine | AsyncEngine
) -> None:
    """A block is one transaction, and sees that its lease was extended."""
    bookmarks = await make_bookmarks(database, leveled_engine)
    lease = await acquire(bookmarks)

    async def fail() -> None:
        async with bookmarks.move_bookmark(lease, "7") as connection:
            await execute(connection, INSERT)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert [] == read_notes(database)
    async with bookmarks.move_bookmark(lease, "8") as connection:
        await execute(connection, "SELECT position FROM bookmark")
        await acquire(bookmarks)
        await execute(connection, INSERT)
    assert (["mine"], "8") == (
        read_notes(database),
        (await bookmarks.get_bookmark("pokedex")).position,
    )


@each_kind
@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_block_that_ends_its_transaction(
    bookmarks: SQLBookmarkStorageAdapter[Any], end: str
) -> None:
    """The bookmark does not move, and the error says why."""
    lease = await acquire(bookmarks)

    async def end_within() -> None:
        async with bookmarks.move_bookmark(lease, "7") as connection:
            await execute(connection, INSERT)
            if isinstance(connection, AsyncConnection):
                await getattr(connection, end)()
            else:
                getattr(connection, end)()
            await execute(connection, INSERT)

    with pytest.raises(StorageError, match="ended its transaction"):
        await end_within()
    assert None is (await bookmarks.get_bookmark("pokedex")).position


@each_kind
async def test_a_move_that_fails(
    database: ServerDatabase, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """A statement of ours that fails is a `StorageError`, and undoes the block."""
    lease = await acquire(bookmarks)

    async def rename_within() -> None:
        async with bookmarks.move_bookmark(lease, "7") as connection:
            await execute(connection, INSERT)
            database.run("ALTER TABLE bookmark RENAME TO gone")

    with pytest.raises(StorageError, match="create_tables"):
        await rename_within()
    database.run("ALTER TABLE gone RENAME TO bookmark")
    assert ([], None) == (read_notes(database), (await bookmarks.get_bookmark("pokedex")).position)
    await move_with(bookmarks, lease, INSERT)


@each_kind
async def test_leases_run_on_the_clock_of_the_server(
    database: ServerDatabase, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """The end of a lease is a moment of the server's clock, in milliseconds."""
    await acquire(bookmarks)
    ((until,),) = database.run("SELECT lease_until FROM bookmark")
    expected = (datetime.now(UTC) + LONG).timestamp()
    assert until / 1000 == pytest.approx(expected, abs=60)


@each_kind
async def test_tables_are_created_at_once(engine: Engine | AsyncEngine) -> None:
    """Several may do so at a time, and again."""
    bookmarks: SQLBookmarkStorageAdapter[Any] = SQLBookmarkStorageAdapter(engine)
    snapshots = SQLSnapshotStorageAdapter(engine)
    for _ in range(2):
        await asyncio.gather(
            *(bookmarks.create_tables() for _ in range(4)),
            *(snapshots.create_tables() for _ in range(4)),
        )
    assert "7" == await bookmarks.create_bookmark("pokedex", "7")


@each_kind
async def test_tables_of_odd_names(engine: Engine | AsyncEngine) -> None:
    """Any name that the server takes will do."""
    name = 'a :b "%s" `?'
    bookmarks: SQLBookmarkStorageAdapter[Any]
    bookmarks = SQLBookmarkStorageAdapter(engine, table_name=name, parked_table_name=f"{name}p")
    await bookmarks.create_tables()
    event = ParkedEvent("5", "STORE", "pikachu1", 1, "PUSHED", RECORD.timestamp)
    async with bookmarks.move_bookmark(await acquire(bookmarks), "7", parked=[event]):
        pass
    assert "7" == (await bookmarks.get_bookmark("pokedex")).position
    assert [event] == await bookmarks.get_parked_events("pokedex")


@each_of_postgresql
async def test_postgresql_holds_no_nul(
    engine: Engine | AsyncEngine, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """A text with one is refused, and the error says which."""
    snapshots = SQLSnapshotStorageAdapter(engine)
    await snapshots.create_tables()
    lease = await acquire(bookmarks)
    for name, call in {
        "bookmark_id": bookmarks.get_bookmark("\0"),
        "position": bookmarks.create_bookmark("other", "\0"),
        "owner": bookmarks.acquire_lease("pokedex", "a\0b", LONG),
        "after": bookmarks.get_parked_events("pokedex", "\0"),
        "reducer_version": snapshots.put_snapshot(Snapshot("STORE", "a", 1, "\0", None)),
    }.items():
        with pytest.raises(StorageError, match=f"{name} .* has a NUL"):
            await call
    with pytest.raises(StorageError, match=r"position .* has a NUL"):
        async with bookmarks.move_bookmark(lease, "\0"):
            raise AssertionError("the block is not entered")


@each_of_postgresql
async def test_a_long_name_of_a_table(engine: Engine | AsyncEngine) -> None:
    """PostgreSQL would cut it: it is refused at construction."""
    with pytest.raises(ValueError, match="has 64 bytes"):
        SQLBookmarkStorageAdapter(engine, table_name="a" * 64)
    with pytest.raises(ValueError, match="parked_table_name has 64 bytes"):
        SQLBookmarkStorageAdapter(engine, parked_table_name="a" * 64)
    with pytest.raises(ValueError, match="has 64 bytes"):
        SQLSnapshotStorageAdapter(engine, table_name="a" * 64)


@pytest.mark.parametrize("kind", ["psycopg-sync"], indirect=True)
async def test_queries_of_postgresql_use_the_primary_key(
    database: ServerDatabase, kind: Kind
) -> None:
    """The server scans no table of many rows, and sorts nothing."""
    import psycopg  # noqa: PLC0415 the other drivers need none

    statements: list[tuple[Any, Any]] = []

    class WatchedCursor(psycopg.Cursor[Any]):
        """A cursor that notes what it executes."""

        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            """Execute a statement."""
            statements.append((query, params))
            return super().execute(query, params, **options)

    def watch(connection: Any, _: object) -> None:
        connection.cursor_factory = WatchedCursor

    engine = database.make_engine(kind)
    assert isinstance(engine, Engine)
    event.listen(engine, "connect", watch)
    bookmarks = SQLBookmarkStorageAdapter(engine)
    snapshots = SQLSnapshotStorageAdapter(engine)
    await bookmarks.create_tables()
    await snapshots.create_tables()
    fill(database)
    statements.clear()
    await bookmarks.get_bookmark("b500")
    await move_with(bookmarks, await acquire(bookmarks))
    await bookmarks.get_parked_events("b1", "p2")
    await bookmarks.retry_parked_events("b1", ["p101", "p105"])
    await bookmarks.drop_parked_events("b1", ["p101", "p105"])
    await snapshots.get_snapshot("S5", "a5", reducer_version="1", max_version=500)
    await snapshots.delete_snapshots("S5", "a5")
    engine.dispose()

    found = [each for each in statements if str(each[0]).startswith(("SELECT", "UPDATE", "DELETE"))]
    plans = [plan for query, params in found if (plan := explain(database, query, params))]
    assert 8 == len(plans)
    for plan in plans:
        assert re.search("(bookmark|parked_event|snapshot)_pkey", plan)
        assert "Seq Scan" not in plan
        assert "Sort" not in plan


def fill(database: ServerDatabase) -> None:
    """Insert many rows, so that an index pays."""
    database.run(
        "INSERT INTO bookmark (bookmark_id, position, lease_token) "
        "SELECT 'b' || n, '7', 0 FROM generate_series(1, 2000) n",
        "INSERT INTO parked_event SELECT 'b' || mod(n, 4), 'p' || n, 'S', 'a', 1, 'T', 0, 1, 'k' "
        "FROM generate_series(1, 5000) n",
        "INSERT INTO snapshot SELECT 'S' || mod(n, 10), 'a' || mod(n, 100), '1', n, 'null' "
        "FROM generate_series(1, 5000) n",
        "ANALYZE bookmark, parked_event, snapshot",
    )


def explain(database: ServerDatabase, query: str, params: Any) -> str:
    """Return the plan of a statement about bookmarks or snapshots, or an empty text."""
    if not re.search("bookmark|snapshot", query):
        return ""
    driver = "postgresql+psycopg"
    engine = create_engine(database.get_url(driver), connect_args=database.get_connect_args(driver))
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN {query}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    engine.dispose()
    return plan


@each_kind
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_statement_that_ends_the_transaction(
    bookmarks: SQLBookmarkStorageAdapter[Any], end: str
) -> None:
    """It is noticed, though SQLAlchemy does not know of it: the bookmark does not move."""
    lease = await acquire(bookmarks)
    with pytest.raises(StorageError, match="was ended by a statement"):
        await move_with(bookmarks, lease, INSERT, end, INSERT)
    assert None is (await bookmarks.get_bookmark("pokedex")).position


@pytest.mark.parametrize("kind", [*MARIADB_KINDS, *MYSQL_KINDS], indirect=True)
async def test_a_statement_that_commits_by_the_way(
    bookmarks: SQLBookmarkStorageAdapter[Any],
) -> None:
    """MySQL commits where a table is created, altered or emptied: the bookmark does not move."""
    lease = await acquire(bookmarks)
    with pytest.raises(StorageError, match="was ended by a statement"):
        await move_with(bookmarks, lease, INSERT, "TRUNCATE note", INSERT)
    assert None is (await bookmarks.get_bookmark("pokedex")).position


@pytest.mark.parametrize("kind", ["asyncmy", "pymysql", *MYSQL_KINDS], indirect=True)
async def test_a_deadlock_that_the_block_passes_over(
    database: ServerDatabase, bookmarks: SQLBookmarkStorageAdapter[Any]
) -> None:
    """The server has rolled back all that the block had written: the bookmark does not move."""
    database.run(
        "CREATE TABLE level (id INT PRIMARY KEY, level INT)",
        "INSERT INTO level VALUES (1, 0), (2, 0)",
    )
    lease = await acquire(bookmarks)
    url = database.get_url("mysql+pymysql")
    other_engine = create_engine(url, poolclass=NullPool)
    raised = 0

    async def level_up() -> None:
        nonlocal raised
        async with bookmarks.move_bookmark(lease, "7") as connection:
            await execute(connection, "UPDATE level SET level = 1 WHERE id = 1")
            with other_engine.begin() as other:
                # The greater of the two: the server chooses the smaller transaction to end.
                other.execute(text("UPDATE level SET level = 2 WHERE id = 2"))
                for each in range(50):
                    other.execute(text(f"INSERT INTO note VALUES ('{each}')"))  # noqa: S608 a number
                waiting = asyncio.create_task(
                    asyncio.to_thread(
                        other.execute, text("UPDATE level SET level = 2 WHERE id = 1")
                    )
                )
                await asyncio.sleep(0.3)
                try:
                    await execute(connection, "UPDATE level SET level = 1 WHERE id = 2")
                except DBAPIError:
                    raised += 1
                await waiting

    with pytest.raises(StorageError, match="was ended by a statement, or by the server"):
        await level_up()
    assert (1, None) == (raised, (await bookmarks.get_bookmark("pokedex")).position)
    other_engine.dispose()


@pytest.mark.parametrize("kind", ["asyncmy", "pymysql", *MYSQL_KINDS], indirect=True)
async def test_a_position_that_mysql_does_not_hold(
    bookmarks: SQLBookmarkStorageAdapter[Any],
) -> None:
    """An index has room for 700 characters: the block is not entered."""
    lease = await acquire(bookmarks)
    event = ParkedEvent("\U0001f600" * 700, "STORE", "a1", 1, "PUSHED", RECORD.timestamp)
    async with bookmarks.move_bookmark(lease, "7", parked=[event]):
        pass
    assert [event] == await bookmarks.get_parked_events("pokedex")
    longer = event._replace(position="p" * 701)
    with pytest.raises(StorageError, match="701 characters cannot be parked: its column has 700"):
        async with bookmarks.move_bookmark(lease, "8", parked=[longer]):
            raise AssertionError("the block is entered")
    assert "7" == (await bookmarks.get_bookmark("pokedex")).position
