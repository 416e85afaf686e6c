"""The log of PostgreSQL while transactions overlap: what a reader has passed is never joined."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import LOG_START, EventRecord, GroupedRecord, LogEntry, LogPosition
from castore_sql import SQLEventStorageAdapter
from sql_servers import ServerDatabase

pytestmark = [pytest.mark.alone, pytest.mark.parametrize("kind", ["asyncpg"], indirect=True)]

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
PATIENCE = 20.0  # seconds; the server's own ANALYZE may hold readers back for a moment

Connection = psycopg.Connection[Any]
Connect = Callable[..., Connection]


@pytest.fixture
async def adapter(engine: Engine | AsyncEngine) -> SQLEventStorageAdapter:
    """Give an adapter whose table is there."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    return adapter


@pytest.fixture
def connect(database: ServerDatabase) -> Iterator[Connect]:
    """Give a function that opens a connection of somebody else, whose transactions it begins."""
    with ExitStack() as stack:

        def connect(dbname: str | None = None, user: str | None = None) -> Connection:
            url = database.get_url("postgresql").set(database=dbname, username=user)
            connection: Connection = psycopg.connect(
                url.render_as_string(),
                autocommit=True,
                options=f"-c search_path={database.name}",
            )
            stack.callback(connection.close)
            return connection

        yield connect


def insert(connection: Connection, aggregate_id: str, version: int = 1) -> None:
    """Insert an event as Castore does, in the transaction of the connection."""
    connection.execute(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type) "
        "VALUES ('STORE', %s, %s, 'PUSHED')",
        (aggregate_id, version),
    )


def begin(connection: Connection) -> None:
    """Begin a transaction that has an id."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_current_xact_id()")


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


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
        end = time.monotonic() + PATIENCE
        while len(self.seen) < count and time.monotonic() < end:
            await self.follow()
            await asyncio.sleep(0.01)
        return self.seen


@pytest.fixture(params=[None, ["STORE"]], ids=["of all", "of a store"])
def reader(adapter: SQLEventStorageAdapter, request: pytest.FixtureRequest) -> Reader:
    """Give a reader of all stores, and one of some."""
    return Reader(adapter, request.param)


async def test_an_open_transaction_holds_back_what_comes_after(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """A later event waits for the earlier one, which is read first, though committed last."""
    early = connect()
    await adapter.push_event("STORE", make_record("before"))
    begin(early)
    insert(early, "early")
    await adapter.push_event("STORE", make_record("late"))

    assert ["before"] == await reader.follow_to(1)
    assert ["before"] == await reader.follow()
    assert reader.position == await adapter.get_last_position()
    assert [1, 1] == [await adapter.count_events(each) for each in (None, ["STORE"])]

    early.execute("COMMIT")
    assert ["before", "early", "late"] == await reader.follow_to(3)
    assert reader.position == await adapter.get_last_position()
    assert [3, 3] == [await adapter.count_events(each) for each in (None, ["STORE"])]


async def test_a_rollback_lets_later_events_through(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """What was rolled back is never read, and what waited for it is."""
    early = connect()
    begin(early)
    insert(early, "early")
    await adapter.push_event("STORE", make_record("late"))
    assert [] == await reader.follow()

    early.execute("ROLLBACK")
    assert ["late"] == await reader.follow_to(1)


async def test_a_connection_that_breaks_lets_later_events_through(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """The server rolls back the transaction of a client that is gone."""
    early = connect()
    begin(early)
    insert(early, "early")
    await adapter.push_event("STORE", make_record("late"))
    assert [] == await reader.follow()

    early.close()
    assert ["late"] == await reader.follow_to(1)


async def test_ids_in_the_opposite_order_of_transaction_ids(
    connect: Connect, reader: Reader
) -> None:
    """The transaction that began first comes first, though its row has the greater id."""
    first, second = connect(), connect()
    begin(first)
    begin(second)
    insert(second, "second")
    insert(first, "first")

    second.execute("COMMIT")
    assert [] == await reader.follow()

    first.execute("COMMIT")
    assert ["first", "second"] == await reader.follow_to(2)


async def test_rows_between_those_of_another_transaction(connect: Connect, reader: Reader) -> None:
    """While no transaction ends, the events of one stand together, in the order of pushes."""
    first, second = connect(), connect()
    begin(first)
    begin(second)
    for number in range(3):
        insert(second, f"second-{number}")
        insert(first, f"first-{number}")
    for each in (first, second):
        each.execute("COMMIT")

    assert [f"{name}-{n}" for name in ("first", "second") for n in range(3)] == (
        await reader.follow_to(6)
    )


async def test_the_next_version_comes_after_the_one_that_was_seen(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, reader: Reader
) -> None:
    """Also if its transaction has the lower id, because it had written before."""
    async with engine.begin() as connection:
        inner = adapter.within(connection)
        await inner.push_event("STORE", make_record("first"))  # gets a transaction id
        await adapter.push_event("STORE", make_record("shared", 1))
        await inner.push_event_group(
            [GroupedRecord("STORE", make_record("shared", version), inner) for version in (2, 3)]
        )
        await inner.push_event("STORE", make_record("shared", 4))
    await adapter.push_event("STORE", make_record("shared", 5))

    await reader.follow_to(6)
    assert [("first", 1), *(("shared", version) for version in range(1, 6))] == [
        each.record[:2] for each in reader.entries
    ]


async def test_an_event_comes_after_those_that_its_transaction_has_seen(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """Also if they are of other aggregates, and Castore inserts it."""
    old, oldest = connect(), connect()
    begin(oldest)
    begin(old)
    await adapter.push_event("STORE", make_record("cause"))
    insert(old, "effect")
    old.execute("COMMIT")
    assert [] == await reader.follow()

    insert(oldest, "last")
    oldest.execute("COMMIT")
    assert ["cause", "effect", "last"] == await reader.follow_to(3)


def find_schedules() -> list[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Return all orders of the three steps of two transactions, and samples for three of them."""
    two = sorted(set(permutations([0, 0, 0, 1, 1, 1])))
    outcomes = [(a, b) for a in (True, False) for b in (True, False)]
    schedules: list[tuple[tuple[int, ...], tuple[bool, ...]]]
    schedules = [(order, ends) for order in two for ends in outcomes]
    choose = random.Random(4613)
    for _ in range(120):
        order = [0, 0, 0, 1, 1, 1, 2, 2, 2]
        choose.shuffle(order)
        schedules.append((tuple(order), tuple(choose.random() < 0.7 for _ in range(3))))
    return schedules


async def test_every_interleaving(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """A reader that looks after each step of each transaction reads what is committed, once."""
    connections = [connect() for _ in range(3)]
    expected = 0
    for number, (order, ends) in enumerate(find_schedules()):
        steps = [0, 0, 0]
        for which in order:
            connection = connections[which]
            if steps[which] == 0:
                begin(connection)
            elif steps[which] == 1:
                insert(connection, f"{number}-{which}")
            else:
                connection.execute("COMMIT" if ends[which] else "ROLLBACK")
            steps[which] += 1
            await reader.follow()
        expected += sum(ends)
        assert expected == len(await reader.follow_to(expected))
    written = {
        f"{number}-{which}"
        for number, (_, ends) in enumerate(find_schedules())
        for which, is_kept in enumerate(ends)
        if is_kept
    }
    positions = [each.position for each in reader.entries]
    assert written == set(reader.seen)
    assert len(written) == len(reader.seen)
    assert sorted(positions) == positions
    again = Reader(adapter)
    assert reader.seen == await again.follow_to(expected)


async def test_a_transaction_in_another_database_holds_readers_back(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """Transaction ids are the cluster's: whoever writes there is waited for."""
    elsewhere = connect(dbname="postgres")
    begin(elsewhere)
    await adapter.push_event("STORE", make_record("late"))
    assert [] == await reader.follow()
    assert timedelta() < await adapter.get_oldest_transaction_age()

    elsewhere.execute("COMMIT")
    assert ["late"] == await reader.follow_to(1)


async def test_a_transaction_that_only_reads_holds_nobody_back(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """It has no transaction id, whatever its isolation is."""
    for level in ("READ COMMITTED", "SERIALIZABLE"):
        reading = connect()
        reading.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
        reading.execute("SELECT count(*) FROM event")
    await adapter.push_event("STORE", make_record("late"))

    assert ["late"] == await reader.follow_to(1)


async def test_a_prepared_transaction_holds_readers_back(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """Until it is committed, also when its connection is closed."""
    name, early, other = f"castore-{uuid4()}", connect(), connect()
    begin(early)
    insert(early, "early")
    early.execute(f"PREPARE TRANSACTION '{name}'".encode())
    early.close()
    try:
        await adapter.push_event("STORE", make_record("late"))
        assert [] == await reader.follow()
        assert timedelta() < await adapter.get_oldest_transaction_age()
    finally:
        other.execute(f"COMMIT PREPARED '{name}'".encode())

    assert ["early", "late"] == await reader.follow_to(2)


async def test_savepoints(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """Subtransactions have ids of their own, but events that of the whole transaction."""
    early, other = connect(), connect()
    begin(early)
    insert(early, "a")
    early.execute("SAVEPOINT s")
    insert(early, "lost")
    begin(other)
    insert(other, "z")
    early.execute("ROLLBACK TO SAVEPOINT s")
    insert(early, "b")
    early.execute("SAVEPOINT t")
    insert(early, "c")
    early.execute("RELEASE SAVEPOINT t")
    other.execute("COMMIT")
    assert [] == await reader.follow()

    early.execute("COMMIT")
    await adapter.push_event("STORE", make_record("end"))
    assert ["a", "b", "c", "z", "end"] == await reader.follow_to(5)


async def test_a_first_write_in_a_savepoint(
    adapter: SQLEventStorageAdapter, connect: Connect, reader: Reader
) -> None:
    """The whole transaction gets its id before the subtransaction does."""
    early = connect()
    early.execute("BEGIN")
    early.execute("SAVEPOINT s")
    insert(early, "early")
    await adapter.push_event("STORE", make_record("late"))
    early.execute("RELEASE SAVEPOINT s")
    assert [] == await reader.follow()

    early.execute("COMMIT")
    assert ["early", "late"] == await reader.follow_to(2)


async def test_pushes_inside_a_transaction_of_the_user(
    adapter: SQLEventStorageAdapter, engine: AsyncEngine, reader: Reader
) -> None:
    """They hold other readers back, and are in the log after the commit alone."""
    async with engine.begin() as connection:
        inner = adapter.within(connection)
        await inner.push_event("STORE", make_record("inner"))
        await adapter.push_event("STORE", make_record("late"))

        assert [] == await reader.follow()
        assert [] == list((await inner.read_events()).entries)
        assert timedelta() < await adapter.get_oldest_transaction_age()
    assert ["inner", "late"] == await reader.follow_to(2)


async def test_a_replaced_event_keeps_its_position(
    adapter: SQLEventStorageAdapter, reader: Reader
) -> None:
    """Readers that have passed it do not read it again."""
    for each in ("a", "b"):
        await adapter.push_event("STORE", make_record(each))
    assert ["a", "b"] == await reader.follow_to(2)

    await adapter.push_event("STORE", make_record("a"), force=True)
    await adapter.push_event("STORE", make_record("c"))

    assert ["a", "b", "c"] == await reader.follow_to(3)
    assert reader.entries[0].position == await adapter.find_position("STORE", "a", 1)


async def test_a_wait_ends_when_nothing_holds_the_event_back(
    adapter: SQLEventStorageAdapter, connect: Connect
) -> None:
    """It goes on while the event is committed, but not to be read yet."""
    early = connect()
    begin(early)
    await adapter.push_event("STORE", make_record("late"))
    started = time.monotonic()

    await adapter.wait_for_events(LOG_START, 0.3)
    assert time.monotonic() - started >= 0.3
    waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, PATIENCE))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    early.execute("COMMIT")
    await waiting
    assert time.monotonic() - started < PATIENCE


@pytest.fixture
def stranger(database: ServerDatabase) -> Iterator[str]:
    """Give the name of a user that may use the database, and is no superuser."""
    name = f"castore_{uuid4().hex[:12]}"
    database.run(f"CREATE ROLE {name} LOGIN")
    yield name
    database.run(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def wait_for_age(adapter: SQLEventStorageAdapter, expected: timedelta) -> timedelta:
    """Return the age of the oldest transaction when it is at most so much."""
    end = time.monotonic() + PATIENCE
    while (age := await adapter.get_oldest_transaction_age()) > expected:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    return age


async def test_the_age_of_the_oldest_transaction(
    adapter: SQLEventStorageAdapter, connect: Connect
) -> None:
    """It counts from the beginning of the oldest one that writes; without any, it is zero."""
    assert timedelta() == await wait_for_age(adapter, timedelta())
    reading, old, young = connect(), connect(), connect()
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM event")
    assert timedelta() == await wait_for_age(adapter, timedelta())

    begin(old)
    await asyncio.sleep(0.2)
    begin(young)
    assert timedelta(seconds=0.2) <= await adapter.get_oldest_transaction_age()

    old.execute("COMMIT")
    age = await wait_for_age(adapter, timedelta(seconds=0.2))
    assert timedelta() < age
    young.execute("COMMIT")
    assert timedelta() == await wait_for_age(adapter, timedelta())


async def test_a_user_sees_the_age_of_its_own_transactions(
    engine: AsyncEngine, connect: Connect, stranger: str
) -> None:
    """Without pg_monitor the sessions of others show no time, though they hold readers back."""
    own_engine = create_async_engine(engine.url.set(username=stranger), poolclass=NullPool)
    adapter = SQLEventStorageAdapter(own_engine)
    begin(connect())
    assert timedelta() == await adapter.get_oldest_transaction_age()

    begin(connect(user=stranger))
    assert timedelta() < await adapter.get_oldest_transaction_age()


async def test_a_monitor_sees_the_age_of_all_transactions(
    engine: AsyncEngine, connect: Connect, stranger: str, database: ServerDatabase
) -> None:
    """The role pg_monitor is enough."""
    database.run(f"GRANT pg_monitor TO {stranger}")
    own_engine = create_async_engine(engine.url.set(username=stranger), poolclass=NullPool)
    begin(connect())

    age = await SQLEventStorageAdapter(own_engine).get_oldest_transaction_age()

    assert timedelta() < age
