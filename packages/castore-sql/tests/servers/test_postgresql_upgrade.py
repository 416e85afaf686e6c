"""A table that Castore made is upgraded, while others write; what is whole is left alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Self

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import LOG_START, EventRecord, LogEntry, StorageError
from castore_sql import SQLEventStorageAdapter
from sql_servers import Kind, ServerDatabase, dispose

pytestmark = [pytest.mark.alone, pytest.mark.parametrize("kind", ["asyncpg"], indirect=True)]

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
INDEXES = ("idx_event_log", "idx_event_initial_events")

# As its createEventTable makes it, with aggregate ids that are no UUIDs.
CREATE_TABLE = (
    """CREATE TABLE event (
  id BIGSERIAL PRIMARY KEY,
  aggregate_name VARCHAR(32) NOT NULL,
  aggregate_id VARCHAR(64) NOT NULL,
  version BIGINT NOT NULL,
  type VARCHAR(64) NOT NULL,
  data JSONB,
  metadata JSONB,
  timestamp TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  UNIQUE (aggregate_name, aggregate_id, version)
)""",
    "CREATE INDEX idx_event_aggregate_lookup ON event (aggregate_name, aggregate_id)",
    "CREATE INDEX idx_event_aggregate_name ON event (aggregate_name)",
    "CREATE INDEX idx_event_version ON event (version)",
)

Connection = psycopg.Connection[Any]
Connect = Callable[[], Connection]


@pytest.fixture
def connect(database: ServerDatabase) -> Iterator[Connect]:
    """Give a function that opens a connection of somebody else, whose transactions it begins."""
    with ExitStack() as stack:

        def connect() -> Connection:
            connection: Connection = psycopg.connect(
                database.get_url("postgresql").render_as_string(),
                autocommit=True,
                options=f"-c search_path={database.name}",
            )
            stack.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def castore(database: ServerDatabase, connect: Connect) -> Connection:
    """Give a connection of Castore's, which has made its table."""
    database.run(*CREATE_TABLE)
    return connect()


@pytest.fixture
def adapter(engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter that waits for a minute."""
    return SQLEventStorageAdapter(engine, busy_timeout=60)


def insert(connection: Connection, aggregate_id: str, version: int = 1) -> None:
    """Insert an event as Castore does."""
    connection.execute(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, data, metadata, timestamp)"
        " VALUES ('STORE', %s, %s, 'PUSHED', '{}', NULL, '2024-01-01T00:00:00.000Z')",
        (aggregate_id, version),
    )


async def read_log(adapter: SQLEventStorageAdapter, count: int) -> Sequence[LogEntry]:
    """Read the log, when so many events can be read."""
    entries: Sequence[LogEntry] = []
    for _ in range(500):  # the server's own ANALYZE may hold readers back for a moment
        entries = (await adapter.read_events(limit=100_000)).entries
        if len(entries) >= count:
            break
        await asyncio.sleep(0.02)
    return entries


def to_ids(entries: Sequence[LogEntry]) -> list[str]:
    """Return the aggregates of entries."""
    return [each.record.aggregate_id for each in entries]


async def push(adapter: SQLEventStorageAdapter, aggregate_id: str) -> None:
    """Push a first event."""
    await adapter.push_event("STORE", EventRecord(aggregate_id, 1, "PUSHED", MOMENT))


def read_catalog(database: ServerDatabase) -> list[Any]:
    """Return all that was defined in a schema, each as its text."""
    schema = f"to_regnamespace('{database.name}')"
    return database.run(
        "SELECT 'column', attrelid::regclass::text || ' ' || attname || ' ' "  # noqa: S608
        "|| format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' "
        "|| COALESCE(pg_get_expr(adbin, adrelid), '') "
        "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        f"WHERE relnamespace = {schema} AND attnum > 0 "
        "UNION ALL SELECT 'relation', oid || ' ' || relname || ' ' || relfilenode || ' ' "
        f"|| relkind::text FROM pg_class WHERE relnamespace = {schema} "
        "UNION ALL SELECT 'constraint', oid || ' ' || pg_get_constraintdef(oid) "
        f"FROM pg_constraint WHERE connamespace = {schema} "
        "UNION ALL SELECT 'function', oid || ' ' || prosrc "
        f"FROM pg_proc WHERE pronamespace = {schema} ORDER BY 1, 2"
    )


def find_valid_indexes(database: ServerDatabase) -> dict[str, bool]:
    """Return whether our indexes can be used."""
    rows = database.run(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "  # noqa: S608
        f"WHERE relnamespace = to_regnamespace('{database.name}') AND relname IN {INDEXES!r}"
    )
    return dict(map(tuple, rows))


@pytest.mark.usefixtures("castore")
async def test_create_tables_leaves_a_table_of_castore_alone(
    adapter: SQLEventStorageAdapter, database: ServerDatabase
) -> None:
    """Nothing is added to it, and nothing beside it."""
    before = read_catalog(database)

    await adapter.create_tables()

    assert before == read_catalog(database)
    assert len(before) > 8


@pytest.mark.parametrize("made_by_castore", [True, False])
async def test_an_upgrade_of_a_table_that_lacks_nothing(
    adapter: SQLEventStorageAdapter,
    database: ServerDatabase,
    connect: Connect,
    made_by_castore: bool,
) -> None:
    """It changes nothing, and locks out nobody: a transaction that has written may go on."""
    if made_by_castore:
        database.run(*CREATE_TABLE)
        await adapter.upgrade_tables()
    else:
        await adapter.create_tables()
    before = read_catalog(database)
    writing = connect()
    writing.execute("BEGIN")
    insert(writing, "a")

    await asyncio.wait_for(adapter.upgrade_tables(), 10)
    writing.execute("COMMIT")

    assert before == read_catalog(database)
    assert ["a"] == to_ids(await read_log(adapter, 1))


async def test_the_log_of_a_table_of_castore(
    adapter: SQLEventStorageAdapter, castore: Connection
) -> None:
    """Without an upgrade there is none; then what was there comes first, in the order of ids."""
    for each in ("a", "b"):
        insert(castore, each)
    for attempt in (adapter.read_events, adapter.get_last_position):
        with pytest.raises(StorageError, match=r"upgrade_tables\(\)"):
            await attempt()
    await push(adapter, "c")

    await adapter.upgrade_tables()

    assert ["a", "b", "c"] == to_ids(await read_log(adapter, 3))
    insert(castore, "d")
    await push(adapter, "e")
    assert ["a", "b", "c", "d", "e"] == to_ids(await read_log(adapter, 5))


@pytest.mark.usefixtures("castore")
async def test_connections_that_have_seen_the_table_before_its_upgrade(
    adapter: SQLEventStorageAdapter, kind: Kind, database: ServerDatabase
) -> None:
    """They look again: the first read after it succeeds."""
    await push(adapter, "a")
    with pytest.raises(StorageError, match=r"upgrade_tables\(\)"):
        await adapter.read_events()
    engine = database.make_engine(kind)
    await SQLEventStorageAdapter(engine).upgrade_tables()
    await dispose(engine)

    assert LOG_START != (await adapter.read_events()).position


class Writers:
    """Threads that write as Castore does, each to aggregates of its own, until they are told."""

    def __init__(self, connect: Connect, count: int) -> None:
        self.written = 0
        self.errors: list[Exception] = []
        self.longest = 0.0
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, args=(connect(), f"writer-{number}"))
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()

    async def wait_for(self, more: int) -> None:
        """Wait until so many more events were written."""
        goal = self.written + more
        while self.written < goal and not self.errors:  # noqa: ASYNC110 threads count
            await asyncio.sleep(0.01)

    def _write(self, connection: Connection, name: str) -> None:
        version = 0
        try:
            while not self._is_over.is_set():
                version += 1
                started = time.monotonic()
                insert(connection, name, version)
                with self._lock:
                    self.written += 1
                    self.longest = max(self.longest, time.monotonic() - started)
        except Exception as error:  # noqa: BLE001 the test looks at it
            self.errors.append(error)


@pytest.mark.usefixtures("castore")
async def test_an_upgrade_while_castore_writes(
    adapter: SQLEventStorageAdapter, connect: Connect, database: ServerDatabase
) -> None:
    """No write fails; the old rows come in the order of their ids, and then the new ones."""
    with Writers(connect, 4) as writers:
        await writers.wait_for(200)
        await adapter.upgrade_tables()
        await writers.wait_for(200)

    assert [] == writers.errors
    assert dict.fromkeys(INDEXES, True) == find_valid_indexes(database)
    entries = await read_log(adapter, writers.written)
    assert writers.written == len(entries)
    old = [each.position for each in entries if each.position.startswith("0" * 16)]
    assert 200 <= len(old) <= writers.written - 200
    assert old == [each.position for each in entries[: len(old)]]
    ids = database.run("SELECT id FROM event WHERE tx = 0 ORDER BY id")
    assert [f"{each:032x}" for (each,) in ids] == old
    for name in {each.record.aggregate_id for each in entries}:
        versions = [each.record.version for each in entries if each.record.aggregate_id == name]
        assert [*range(1, len(versions) + 1)] == versions


async def test_writers_do_not_wait_behind_an_upgrade_that_waits(
    adapter: SQLEventStorageAdapter, castore: Connection, connect: Connect
) -> None:
    """It waits for a transaction that has used the table, and lets others through meanwhile."""
    insert(castore, "a")
    reading = connect()
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM event")
    upgrade = asyncio.create_task(adapter.upgrade_tables())
    with Writers(connect, 1) as writers:
        await asyncio.sleep(3)
        await writers.wait_for(11 - writers.written)  # on a busy machine, it takes longer
        assert not upgrade.done()
        assert writers.written > 10

        reading.execute("COMMIT")
        await upgrade

    assert [] == writers.errors
    assert writers.longest < 2.5  # seconds
    assert writers.written + 1 == len(await read_log(adapter, writers.written + 1))


async def test_several_upgrades_at_once(
    castore: Connection, kind: Kind, database: ServerDatabase, connect: Connect
) -> None:
    """Each succeeds, and the table is upgraded once."""
    insert(castore, "a")
    engines = [database.make_engine(kind) for _ in range(4)]
    with Writers(connect, 1) as writers:
        await asyncio.gather(*(SQLEventStorageAdapter(each).upgrade_tables() for each in engines))

    assert [] == writers.errors
    assert dict.fromkeys(INDEXES, True) == find_valid_indexes(database)
    entries = await read_log(SQLEventStorageAdapter(engines[0]), writers.written + 1)
    assert writers.written + 1 == len(entries)
    for each in engines:
        await dispose(each)


@pytest.mark.parametrize("name", INDEXES)
async def test_an_index_whose_build_was_interrupted(
    adapter: SQLEventStorageAdapter, castore: Connection, database: ServerDatabase, name: str
) -> None:
    """It is built again."""
    for each in ("a", "b"):
        insert(castore, each)
    with pytest.raises(psycopg.errors.UniqueViolation):  # leaves the index behind, not valid
        castore.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON event (type)".encode())
    assert {name: False} == find_valid_indexes(database)

    await adapter.upgrade_tables()

    assert dict.fromkeys(INDEXES, True) == find_valid_indexes(database)
    ((definition,),) = database.run(f"SELECT pg_get_indexdef('{name}'::regclass)")
    assert "UNIQUE" not in definition


@pytest.mark.usefixtures("castore")
async def test_a_relation_that_has_the_name_of_an_index(
    adapter: SQLEventStorageAdapter, database: ServerDatabase
) -> None:
    """The upgrade says so: without the index, reads would be slow."""
    database.run("CREATE TABLE idx_event_log ()")

    with pytest.raises(StorageError, match="something else has its name"):
        await adapter.upgrade_tables()


async def test_a_table_that_is_not_there(adapter: SQLEventStorageAdapter) -> None:
    """There is nothing to upgrade."""
    with pytest.raises(StorageError, match="there is no table"):
        await adapter.upgrade_tables()


async def test_a_table_in_another_schema_of_the_search_path(
    adapter: SQLEventStorageAdapter, database: ServerDatabase
) -> None:
    """What an upgrade adds goes beside the table, where all who find it find that, too."""
    database.run(*CREATE_TABLE)
    engine = database.make_engine(
        Kind("postgres", "postgresql+asyncpg"),
        connect_args={"server_settings": {"search_path": f"{database.name}_first,{database.name}"}},
    )
    database.run(f"CREATE SCHEMA {database.name}_first")
    try:
        await SQLEventStorageAdapter(engine).upgrade_tables()
    finally:
        await dispose(engine)
        database.run(f"DROP SCHEMA {database.name}_first CASCADE")

    await push(adapter, "a")
    assert ["a"] == to_ids(await read_log(adapter, 1))


async def test_a_schema_whose_name_needs_quotes(database: ServerDatabase, kind: Kind) -> None:
    """Tables are created in it, and upgraded."""
    schema = f'"{database.name} Odd"'
    database.run(f"CREATE SCHEMA {schema}")
    engine = database.make_engine(
        kind, connect_args={"server_settings": {"search_path": f"{schema}, {database.name}"}}
    )
    try:
        for name in ("event", "other"):
            adapter = SQLEventStorageAdapter(engine, table_name=name)
            await adapter.create_tables()
            await adapter.upgrade_tables()
            await push(adapter, "a")
            assert ["a"] == to_ids(await read_log(adapter, 1))
        assert [] == read_catalog(database)
    finally:
        await dispose(engine)
        database.run(f"DROP SCHEMA {schema} CASCADE")


async def test_tables_are_not_defined_inside_a_transaction(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine
) -> None:
    """It would end the transaction: the error says so, and the transaction goes on."""
    await adapter.create_tables()
    async with engine.begin() as connection:
        inner = adapter.within(connection)
        await push(inner, "a")
        for attempt in (inner.create_tables, inner.upgrade_tables):
            with pytest.raises(StorageError, match="inside a transaction of yours"):
                await attempt()
        await connection.rollback()

    assert [] == await adapter.get_events("STORE", "a")


async def test_a_table_of_somebody_else_is_left_alone(
    engine: Engine | AsyncEngine, database: ServerDatabase
) -> None:
    """A table without the columns of Castore's is refused before anything is changed."""
    database.run("CREATE TABLE event (aggregate_name TEXT, aggregate_id TEXT, version BIGINT)")
    with pytest.raises(StorageError, match="it has no data, id, metadata, timestamp, type"):
        await SQLEventStorageAdapter(engine).upgrade_tables()
    columns = database.run(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = 'event' ORDER BY column_name"
    )
    assert ["aggregate_id", "aggregate_name", "version"] == [each for (each,) in columns]
