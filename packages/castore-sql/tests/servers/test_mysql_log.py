"""The log of MySQL while transactions overlap: what a reader has passed is never joined."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import permutations, product
from typing import Any, TypeAlias

import pymysql
import pytest
from sqlalchemy import Engine, PoolProxiedConnection, create_engine
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    LOG_START,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    LogEntry,
    LogPosition,
    StorageError,
    parse_position,
)
from castore_sql import SQLEventStorageAdapter
from private_mysql import private_mysql
from sql_servers import KINDS, Kind, ServerDatabase, dispose

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds

Connection: TypeAlias = "pymysql.Connection[Any]"
Connect = Callable[..., Connection]


@pytest.fixture(params=["asyncmy", "asyncmy-mysql"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Give an engine on each server."""
    return KINDS[request.param]


@pytest.fixture
async def adapter(engine: AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    return adapter


def make_connect(stack: ExitStack, database: ServerDatabase) -> Connect:
    """Return a function that opens a connection of somebody else."""

    def connect(user: str = "castore") -> Connection:
        url = database.get_url("mysql+pymysql")
        assert url.host is not None
        assert url.port is not None
        return stack.enter_context(
            closing(
                pymysql.connect(
                    host=url.host,
                    port=url.port,
                    user=user,
                    database=url.database,
                    autocommit=True,
                )
            )
        )

    return connect


@pytest.fixture
def connect(database: ServerDatabase) -> Iterator[Connect]:
    """Give a function that opens a connection of somebody else."""
    with ExitStack() as stack:
        yield make_connect(stack, database)


def run(connection: Connection, sql: str, *parameters: object) -> Any:
    """Run a statement of somebody else, and return its first value, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        row = cursor.fetchone()
        return None if row is None else row[0]


def insert(connection: Connection, aggregate_id: str, version: int = 1) -> int:
    """Insert an event, and return its id."""
    insert = (
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, timestamp) "
        "VALUES ('STORE', %s, %s, 'PUSHED', '2024-01-01T00:00:00.000Z')"
    )
    run(connection, insert, aggregate_id, version)
    return run(connection, "SELECT LAST_INSERT_ID()")


def put_tombstone(connection: Connection, number: int) -> None:
    """Close a hole, as a reader does."""
    insert = (
        "INSERT INTO event (id, aggregate_name, aggregate_id, version, type, timestamp) "
        "VALUES (%s, '', %s, 0, '', '')"
    )
    run(connection, insert, number, number)


def count_tombstones(connection: Connection) -> int:
    """Return how many there are."""
    return run(connection, "SELECT COUNT(*) FROM event WHERE aggregate_name = ''")


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


def group(adapter: SQLEventStorageAdapter, *aggregate_ids: str) -> list[GroupedRecord]:
    """Return the first events of some aggregates."""
    return [GroupedRecord("STORE", make_record(each), adapter) for each in aggregate_ids]


class Reader:
    """Reads the log from the start, and goes on where it is, as a projection does."""

    def __init__(
        self, adapter: SQLEventStorageAdapter, stores: Sequence[str] | None = None
    ) -> None:
        self.entries: list[LogEntry] = []
        self.position: LogPosition = LOG_START
        self._adapter = adapter
        self._stores = stores

    @property
    def seen(self) -> list[str]:
        """The aggregates of the events that were read."""
        return [each.record.aggregate_id for each in self.entries]

    async def follow(self) -> list[str]:
        """Read on to the end, and return the aggregates of all events so far."""
        while True:
            found = await self._adapter.read_events(self._stores, self.position, 2)
            self.entries += found.entries
            if found.position == self.position:
                return self.seen
            self.position = found.position

    async def follow_to(self, count: int) -> list[str]:
        """Read on until so many events were read."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while len(await self.follow()) < count:
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.01)
        return self.seen


@pytest.fixture(params=[None, ["STORE"]], ids=["of all", "of a store"])
def reader(adapter: SQLEventStorageAdapter, request: pytest.FixtureRequest) -> Reader:
    """Give a reader of all stores, and one of some."""
    return Reader(adapter, request.param)


LEVELS = ["AUTOCOMMIT", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture(params=LEVELS)
async def level_adapter(
    database: ServerDatabase, kind: Kind, request: pytest.FixtureRequest
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter whose engine has an isolation level."""
    engine = database.make_engine(kind, isolation_level=request.param)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    await dispose(engine)


async def test_an_open_transaction_holds_back_what_comes_after(
    level_adapter: SQLEventStorageAdapter, connect: Connect
) -> None:
    """A later event waits for the earlier one, which is read first, in any isolation."""
    reader = Reader(level_adapter)
    early = connect()
    await level_adapter.push_event("STORE", make_record("before"))
    early.begin()
    insert(early, "early")
    await level_adapter.push_event("STORE", make_record("late"))

    assert ["before"] == await reader.follow()
    assert reader.position == await level_adapter.get_last_position()
    assert [1, 1] == [await level_adapter.count_events(each) for each in (None, ["STORE"])]

    early.commit()
    assert ["before", "early", "late"] == await reader.follow()
    assert reader.position == await level_adapter.get_last_position()
    assert [3, 3] == [await level_adapter.count_events(each) for each in (None, ["STORE"])]


async def test_a_rollback_lets_later_events_through(
    level_adapter: SQLEventStorageAdapter, connect: Connect
) -> None:
    """A tombstone takes the place of the event that was rolled back."""
    reader = Reader(level_adapter)
    early = connect()
    early.begin()
    insert(early, "early")
    await level_adapter.push_event("STORE", make_record("late"))
    assert [] == await reader.follow()
    assert LOG_START == await level_adapter.get_last_position()

    early.rollback()
    assert ["late"] == await reader.follow()
    assert reader.position == await level_adapter.get_last_position()
    assert 1 == count_tombstones(early)
    assert [1, 1] == [await level_adapter.count_events(each) for each in (None, ["STORE"])]


async def test_a_connection_that_breaks_lets_later_events_through(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """The server rolls back the transaction of a client that is gone."""
    early = connect()
    early.begin()
    insert(early, "early")
    await adapter.push_event("STORE", make_record("late"))
    assert [] == await reader.follow()

    run(connect(), "KILL %s", run(early, "SELECT CONNECTION_ID()"))
    assert ["late"] == await reader.follow_to(1)


async def test_savepoints(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """What is rolled back to a savepoint leaves a hole, which is closed after the transaction."""
    early = connect()
    early.begin()
    insert(early, "a")
    run(early, "SAVEPOINT s")
    insert(early, "lost")
    await adapter.push_event("STORE", make_record("z"))
    run(early, "ROLLBACK TO SAVEPOINT s")
    insert(early, "b")
    assert [] == await reader.follow()

    early.commit()
    assert ["a", "z", "b"] == await reader.follow_to(3)


def find_schedules() -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Return all orders of the three steps of two transactions, and samples for three of them."""
    two = sorted(set(permutations([0, 0, 0, 1, 1, 1])))
    outcomes = [(a, b) for a in (True, False) for b in (True, False)]
    schedules: list[tuple[tuple[int, ...], tuple[bool, ...]]]
    schedules = [(order, ends) for order in two for ends in outcomes]
    choose = random.Random(4614)
    for _ in range(60):
        order = [0, 0, 0, 1, 1, 1, 2, 2, 2]
        choose.shuffle(order)
        schedules.append((tuple(order), tuple(choose.random() < 0.7 for _ in range(3))))
    return schedules


async def test_every_interleaving(adapter: SQLEventStorageAdapter, connect: Connect) -> None:
    """A reader that looks after each step of each transaction reads what is committed, once."""
    reader = Reader(adapter)
    connections = [connect() for _ in range(3)]
    written: set[str] = set()
    for number, (order, ends) in enumerate(find_schedules()):
        steps = [0, 0, 0]
        for which in order:
            connection = connections[which]
            if steps[which] == 0:
                connection.begin()
            elif steps[which] == 1:
                insert(connection, f"{number}-{which}")
            elif ends[which]:
                connection.commit()
                written.add(f"{number}-{which}")
            else:
                connection.rollback()
            steps[which] += 1
            await reader.follow()
        assert len(written) == len(reader.seen)
    positions = [each.position for each in reader.entries]
    assert written == set(reader.seen)
    assert sorted(positions) == positions
    assert reader.seen == await Reader(adapter).follow()


async def close_a_hole(adapter: SQLEventStorageAdapter, connection: Connection) -> int:
    """Return the id of a tombstone."""
    connection.begin()
    number = insert(connection, "lost")
    connection.rollback()
    await adapter.push_event("STORE", make_record("first"))
    assert ["first"] == await Reader(adapter).follow()
    assert 1 == count_tombstones(connection)
    return number


async def give_id(engine: AsyncEngine, number: int, *settings: str) -> None:
    """Let the next row of the pool's one connection have an id, as if it had got it earlier."""
    async with engine.begin() as connection:
        for each in (*settings, f"INSERT_ID = {number}"):
            await connection.exec_driver_sql(f"SET {each}")


Push = Callable[[SQLEventStorageAdapter], Any]
PUSHES: dict[str, Push] = {
    "one": lambda adapter: adapter.push_event("STORE", make_record("a")),
    "next version": lambda adapter: adapter.push_event("STORE", make_record("first", 2)),
    "forced": lambda adapter: adapter.push_event("STORE", make_record("a"), force=True),
    "group": lambda adapter: adapter.push_event_group(group(adapter, "a", "b", "c")),
    "forced group": lambda adapter: adapter.push_event_group(
        group(adapter, "a", "b", "c"), force=True
    ),
    "asserting group": lambda adapter: adapter.push_event_group(
        group(adapter, "a"), asserted=[AssertedVersion("STORE", "first", 1, adapter)]
    ),
    "cohort": lambda adapter: asyncio.gather(
        *(adapter.push_event("STORE", make_record(each)) for each in "abcdef")
    ),
}


@pytest.mark.parametrize("setting", ["lc_messages = en_US", "lc_messages = ja_JP"])
@pytest.mark.parametrize("push", PUSHES.values(), ids=PUSHES)
async def test_a_push_whose_id_a_reader_has_closed(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, connect: Connect, push: Push, setting: str
) -> None:
    """It is written with another id, which the reader has not passed; the tombstone stays."""
    other = connect()
    number = await close_a_hole(adapter, other)
    reader = Reader(adapter)
    await reader.follow()

    await give_id(engine, number, setting)
    await push(adapter)

    count = run(other, "SELECT COUNT(*) FROM event WHERE aggregate_name <> ''")
    assert count > 1
    assert count == len(await reader.follow())
    assert "" == run(other, "SELECT aggregate_name FROM event WHERE id = %s", number)


async def test_a_push_inside_a_transaction_whose_id_a_reader_has_closed(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, connect: Connect
) -> None:
    """It is written with another id, and the transaction goes on."""
    number = await close_a_hole(adapter, connect())
    async with engine.begin() as connection:
        inner = adapter.within(connection)
        await inner.push_event("STORE", make_record("a"))
        await connection.exec_driver_sql(f"SET INSERT_ID = {number}")
        await inner.push_event("STORE", make_record("b"))

    assert ["first", "a", "b"] == await Reader(adapter).follow()


@pytest.mark.parametrize("key", ["PRIMARY", "x for key 'PRIMARY'", "'.PRIMARY'"])
async def test_a_conflict_of_an_id_that_looks_like_a_key(
    adapter: SQLEventStorageAdapter, key: str
) -> None:
    """It is a conflict, and not tried again for ever."""
    await adapter.push_event("STORE", make_record(key))
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event("STORE", make_record(key))


@pytest.fixture(scope="module", params=product(["mariadb", "mysql"], [1, 2]), ids=str)
def lock_mode_database(request: pytest.FixtureRequest) -> Iterator[ServerDatabase]:
    """Give a database on a server that hands out ids in one of the ways that interleave."""
    server, mode = request.param
    with private_mysql(server, f"--innodb-autoinc-lock-mode={mode}") as url:
        database = ServerDatabase(server, url)
        database.create()
        yield database


@pytest.fixture
async def lock_mode_adapter(
    lock_mode_database: ServerDatabase,
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter on that database."""
    engine = lock_mode_database.make_engine(KINDS["asyncmy"])
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield adapter
    await dispose(engine)
    lock_mode_database.run("DROP TABLE event")


async def wait_until_locked(connection: Connection) -> None:
    """Wait until a statement of this database waits for another transaction."""
    query = (
        "SELECT COUNT(*) FROM information_schema.processlist JOIN information_schema.innodb_trx "
        "ON trx_mysql_thread_id = id AND trx_state = 'LOCK WAIT' "
        "WHERE db = DATABASE() AND command = 'Query'"
    )
    while True:
        await asyncio.sleep(0.15)  # the server looks again after 0.1 seconds without a query
        if run(connection, query):
            return


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_statement_that_waits_between_its_rows(
    lock_mode_adapter: SQLEventStorageAdapter, lock_mode_database: ServerDatabase, ends: str
) -> None:
    """Its later rows have ids already: where a reader closes one, all rows are written again."""
    adapter = lock_mode_adapter
    with ExitStack() as stack:
        connect = make_connect(stack, lock_mode_database)
        holder, watcher = connect(), connect()
        holder.begin()
        held = insert(holder, "b")
        push = asyncio.create_task(adapter.push_event_group(group(adapter, "a", "b", "c", "d")))
        await wait_until_locked(watcher)
        last = insert(watcher, "z")
        reader = Reader(adapter)
        assert [] == await reader.follow()
        assert last > held + 3  # the ids of c and d are taken
        for number in (held + 3, held + 4):
            put_tombstone(watcher, number)

        getattr(holder, ends)()
        if ends == "commit":
            with pytest.raises(EventAlreadyExistsError):
                await push
            assert ["b", "z"] == await reader.follow()
        else:
            await push
            assert ["z", "a", "b", "c", "d"] == await reader.follow()


async def test_a_push_that_waits_keeps_no_other_from_inserting(
    lock_mode_adapter: SQLEventStorageAdapter, lock_mode_database: ServerDatabase
) -> None:
    """The server gives ids to others, also where it has one lock for statements of many rows."""
    adapter = lock_mode_adapter
    with ExitStack() as stack:
        connect = make_connect(stack, lock_mode_database)
        holder, watcher = connect(), connect()
        await adapter.push_event("STORE", make_record("a"))
        holder.begin()
        insert(holder, "a", 2)
        push = asyncio.create_task(adapter.push_event("STORE", make_record("a", 2)))
        await wait_until_locked(watcher)
        run(watcher, "SET SESSION innodb_lock_wait_timeout = 1")
        insert(watcher, "b")
        assert not push.done()

        holder.rollback()
        await push
        assert ["a", "a", "b"] == await Reader(adapter).follow()


class Interrupted:
    """A connection on which something else happens before a statement."""

    def __init__(
        self, connection: PoolProxiedConnection, before: str, action: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._before = before
        self._action = action
        self._cursor: DBAPICursor | None = None

    @property
    def driver_connection(self) -> Any:
        """The connection of the driver."""
        return self._connection.driver_connection

    @property
    def info(self) -> dict[Any, Any]:
        """The notes."""
        return self._connection.info

    @property
    def rowcount(self) -> int:
        """How many rows the last statement has changed."""
        assert self._cursor is not None
        return self._cursor.rowcount

    def cursor(self) -> Any:
        """Return itself, as a cursor."""
        self._cursor = self._connection.cursor()
        return self

    def execute(self, sql: str, parameters: Any) -> None:
        """Run a statement, perhaps after something else."""
        assert self._cursor is not None
        if sql.startswith(self._before):
            self._action()
        self._cursor.execute(sql, parameters)

    def fetchall(self) -> Sequence[Any]:
        """Return all rows."""
        assert self._cursor is not None
        return self._cursor.fetchall()

    def close(self) -> None:
        """Close the cursor."""
        assert self._cursor is not None
        self._cursor.close()


@pytest.mark.parametrize(
    ("level", "before"),
    [
        ("REPEATABLE READ", "SELECT id FROM `event` FORCE"),
        ("READ COMMITTED", "SELECT id FROM `event` FORCE"),
        ("READ COMMITTED", "INSERT INTO `event` (id"),
        ("AUTOCOMMIT", "SELECT id FROM `event` FORCE"),
    ],
)
async def test_an_event_that_is_committed_before_the_tombstone(
    adapter: SQLEventStorageAdapter,
    database: ServerDatabase,
    connect: Connect,
    level: str,
    before: str,
) -> None:
    """The tombstone is ignored, and the event is read."""
    other = connect()
    other.begin()
    number = insert(other, "lost")
    other.rollback()
    await adapter.push_event("STORE", make_record("late"))

    def fill() -> None:
        run(other, f"SET INSERT_ID = {number}")
        assert number == insert(other, "early")

    engine = create_engine(database.get_url("mysql+pymysql"), isolation_level=level)
    with closing(engine.raw_connection()) as connection:
        table = adapter._table  # pyright: ignore[reportPrivateUsage]
        found = table.read_log(Interrupted(connection, before, fill), None, LOG_START, 10)
    engine.dispose()

    assert ["early", "late"] == [each.record.aggregate_id for each in found.entries]
    assert 0 == count_tombstones(other)


async def test_the_log_inside_a_transaction(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, connect: Connect
) -> None:
    """It ends before a hole, and reading it ends no transaction."""
    other = connect()
    await adapter.push_event("STORE", make_record("before"))
    other.begin()
    insert(other, "lost")
    other.rollback()
    async with engine.connect() as connection:
        inner = adapter.within(connection)
        await inner.push_event("STORE", make_record("inner"))
        found = await inner.read_events()
        assert ["before"] == [each.record.aggregate_id for each in found.entries]
        assert found.position == await inner.get_last_position()
        assert found == await inner.read_events()
        assert ["before"] == await Reader(adapter).follow()
        await connection.rollback()
    await adapter.push_event("STORE", make_record("late"))

    assert ["before", "late"] == await Reader(adapter).follow()


async def test_a_position_inside_a_transaction_is_not_remembered(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine
) -> None:
    """What was rolled back later is a hole for the others."""
    await adapter.push_event("STORE", make_record("before"))
    last = await adapter.get_last_position()
    async with engine.connect() as connection:
        inner = adapter.within(connection)
        await inner.push_event("STORE", make_record("inner"))
        assert last < await inner.get_last_position()
        assert last == await adapter.get_last_position()
        await connection.rollback()
    assert last == await adapter.get_last_position()


async def test_a_group_that_fails_inside_a_transaction(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, connect: Connect
) -> None:
    """None of it is committed with the rest, also where it did not fail by a conflict."""
    holder = connect()
    holder.begin()
    insert(holder, "b")
    async with engine.begin() as connection:
        inner = adapter.within(connection)
        await connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
        await inner.push_event("STORE", make_record("before"))
        with pytest.raises(StorageError, match="a transaction that has not ended was in the way"):
            await inner.push_event_group(group(inner, "a", "b"))
    holder.rollback()

    assert ["before"] == await Reader(adapter).follow()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_a_deadlock(adapter: SQLEventStorageAdapter, connect: Connect, ends: str) -> None:
    """The push that the server gives up is written again, or finds its conflict."""
    other, watcher = connect(), connect()
    other.begin()
    for number in range(20):  # it has written more: the push is the one that is given up
        insert(other, f"other-{number}")
    insert(other, "b")
    push = asyncio.create_task(adapter.push_event_group(group(adapter, "a", "b")))
    await wait_until_locked(watcher)
    await asyncio.to_thread(insert, other, "a")
    getattr(other, ends)()

    if ends == "commit":
        with pytest.raises(EventAlreadyExistsError):
            await push
        assert 22 == len(await Reader(adapter).follow())
    else:
        await push
        assert ["a", "b"] == await Reader(adapter).follow()


async def test_many_readers_at_once(adapter: SQLEventStorageAdapter, connect: Connect) -> None:
    """They close the same holes, and all read all."""
    other = connect()
    for number in range(30):
        other.begin()
        insert(other, "lost")
        other.rollback()
        insert(other, f"{number}")
    readers = [Reader(adapter) for _ in range(8)]
    # Where another reader closes a hole at the moment, a read ends before it.
    found = await asyncio.gather(*(each.follow_to(30) for each in readers))

    assert [[str(number) for number in range(30)]] * 8 == found
    assert 30 == count_tombstones(other)


async def test_steps_of_two_between_ids(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """The ids in between are holes, as on servers that replicate each other."""
    other = connect()
    run(other, "SET SESSION auto_increment_increment = 2, SESSION auto_increment_offset = 2")
    for number in range(5):
        insert(other, f"other-{number}")
        await adapter.push_event("STORE", make_record(f"own-{number}"))

    assert [f"{name}-{number}" for number in range(5) for name in ("other", "own")] == (
        await reader.follow()
    )
    assert reader.position == await adapter.get_last_position()


async def test_rows_that_were_deleted(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """A reader passes the place of archived events, a few thousand at a read."""
    other = connect()
    insert(other, "first")
    run(other, "ALTER TABLE event AUTO_INCREMENT = 5001")
    insert(other, "last")

    reads, position = 0, LOG_START
    while position != (found := await adapter.read_events(None, position)).position:
        position = found.position
        reads += 1
    assert 3 == reads
    assert ["first", "last"] == await reader.follow()
    assert position == await adapter.get_last_position()
    assert 4999 == count_tombstones(other)


async def test_a_locked_hole_among_many(connect: Connect, reader: Reader) -> None:
    """Those before it are closed."""
    other, writer = connect(), connect()
    run(other, "ALTER TABLE event AUTO_INCREMENT = 801")
    writer.begin()
    number = insert(writer, "early")
    insert(other, "late")

    assert [] == await reader.follow()
    assert number - 1 == parse_position(reader.position)
    writer.commit()
    assert ["early", "late"] == await reader.follow()


EMPTY: dict[str, Sequence[str]] = {
    "truncated": ["TRUNCATE TABLE event"],
    "deleted": ["DELETE FROM event", "ALTER TABLE event AUTO_INCREMENT = 1"],
}


@pytest.mark.parametrize("statements", EMPTY.values(), ids=EMPTY)
async def test_the_last_position_of_a_table_that_was_emptied(
    adapter: SQLEventStorageAdapter, connect: Connect, statements: Sequence[str]
) -> None:
    """What was known of its ids is forgotten, also when there are as many again."""
    for each in ("a", "b", "c"):
        await adapter.push_event("STORE", make_record(each))
    last = await adapter.get_last_position()
    other, writer = connect(), connect()
    for each in statements:
        run(other, each)
    assert LOG_START == await adapter.get_last_position()
    for again in ("d", "g"):  # other ids: the server locks what was deleted until it is purged
        for each in statements:
            run(other, each)
        await adapter.push_event("STORE", make_record(f"{again}1"))
        writer.begin()
        insert(writer, f"{again}2")
        await adapter.push_event("STORE", make_record(f"{again}3"))

        first = await adapter.find_position("STORE", f"{again}1", 1)
        assert first == await adapter.get_last_position()
        writer.commit()
        assert last == await adapter.get_last_position()


async def test_the_last_position_of_a_table_that_others_fill(
    adapter: SQLEventStorageAdapter, connect: Connect
) -> None:
    """Rows without tokens count as well."""
    other = connect()
    for each in ("a", "b", "c"):
        insert(other, each)
        assert await adapter.find_position("STORE", each, 1) == await adapter.get_last_position()


@pytest.fixture
def stranger(database: ServerDatabase) -> Iterator[Callable[[str], str]]:
    """Give a function that makes a user who has some privileges, and returns its name."""
    name = f"user_{database.name}"

    def make(privileges: str) -> str:
        database.run(f"CREATE USER {name}", f"GRANT {privileges} ON {database.name}.* TO {name}")
        return name

    yield make
    database.run(f"DROP USER {name}")


async def check_that_it_stops(
    adapter: SQLEventStorageAdapter, strange: SQLEventStorageAdapter, other: Connection, match: str
) -> None:
    """Check that a reader who may not write stops before a hole until another has closed it."""
    await adapter.push_event("STORE", make_record("before"))
    other.begin()
    insert(other, "early")
    await adapter.push_event("STORE", make_record("late"))
    reader = Reader(strange)
    assert ["before"] == await reader.follow()

    other.rollback()
    with pytest.raises(StorageError, match=match):
        await reader.follow()
    assert reader.position == await strange.get_last_position()

    await Reader(adapter).follow()
    assert ["before", "late"] == await reader.follow()
    assert reader.position == await strange.get_last_position()


async def test_a_user_who_may_not_write(
    adapter: SQLEventStorageAdapter,
    database: ServerDatabase,
    connect: Connect,
    stranger: Callable[[str], str],
) -> None:
    """It reads up to the first hole that nobody has closed, and says which privileges it needs."""
    url = database.get_url("mysql+pymysql").set(username=stranger("SELECT"))
    engine = create_engine(url)
    strange = SQLEventStorageAdapter(engine)
    await check_that_it_stops(adapter, strange, connect(), "position 2, .* needs SELECT, INSERT")
    engine.dispose()


async def test_an_event_that_is_committed_before_a_user_who_may_not_write_looks(
    adapter: SQLEventStorageAdapter,
    database: ServerDatabase,
    connect: Connect,
    stranger: Callable[[str], str],
) -> None:
    """It is no hole any more, and is read, also where another hole follows it."""
    other = connect()
    other.begin()
    first, _ = insert(other, "a"), insert(other, "lost")
    other.rollback()
    await adapter.push_event("STORE", make_record("late"))
    filled: list[int] = []

    def fill() -> None:
        if not filled:
            run(other, f"SET INSERT_ID = {first}")
            filled.append(insert(other, "a"))

    url = database.get_url("mysql+pymysql").set(username=stranger("SELECT"))
    engine = create_engine(url)
    with closing(engine.raw_connection()) as connection:
        interrupted = Interrupted(connection, "SELECT id FROM `event` FORCE", fill)
        table = adapter._table  # pyright: ignore[reportPrivateUsage]
        found = table.read_log(interrupted, None, LOG_START, 10)
        assert ["a"] == [each.record.aggregate_id for each in found.entries]
        with pytest.raises(StorageError, match=r"position 2, .* needs SELECT"):
            table.read_log(interrupted, None, found.position, 10)
    engine.dispose()


async def test_a_session_that_is_only_read(
    adapter: SQLEventStorageAdapter, database: ServerDatabase, connect: Connect
) -> None:
    """It reads up to the first hole that nobody has closed, and says where to read instead."""
    other = connect()
    await adapter.push_event("STORE", make_record("before"))
    other.begin()
    insert(other, "early")
    other.rollback()
    await adapter.push_event("STORE", make_record("late"))
    engine = create_engine(
        database.get_url("mysql+pymysql"),
        connect_args={"init_command": "SET SESSION TRANSACTION READ ONLY"},
    )
    reader = Reader(SQLEventStorageAdapter(engine))
    with pytest.raises(StorageError, match=r"position 2, .* log of the primary"):
        await reader.follow()
    assert ["before"] == reader.seen
    engine.dispose()


async def test_a_server_that_is_only_read(
    lock_mode_adapter: SQLEventStorageAdapter, lock_mode_database: ServerDatabase
) -> None:
    """It reads up to the first hole, as on a replica whose primary nobody reads."""
    adapter, database = lock_mode_adapter, lock_mode_database
    await adapter.push_event("STORE", make_record("before"))
    with ExitStack() as stack:
        other = make_connect(stack, database)()
        other.begin()
        insert(other, "early")
        other.rollback()
    await adapter.push_event("STORE", make_record("late"))
    database.run("CREATE USER reader", f"GRANT ALL ON {database.name}.* TO reader")
    engine: Engine = create_engine(database.get_url("mysql+pymysql").set(username="reader"))
    reader = Reader(SQLEventStorageAdapter(engine))
    try:
        database.run("SET GLOBAL read_only = 1")
        with pytest.raises(StorageError, match=r"position 2, .* log of the primary"):
            await reader.follow()
        assert ["before"] == reader.seen
    finally:
        database.run("SET GLOBAL read_only = 0", "DROP USER reader")
        engine.dispose()
    assert ["before", "late"] == await Reader(adapter).follow()
