"""A table that is restored into another cluster, where transaction ids count anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import LOG_START, EventRecord, LogEntry, LogPosition, StorageError
from castore_sql import SQLEventStorageAdapter
from private_postgresql import PrivatePostgreSQL, private_postgresql

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
FAR = 1_000_000_000
BURNED = 4_000


class Clusters(NamedTuple):
    """One that has given many transaction ids, and a fresh one."""

    old: PrivatePostgreSQL
    fresh: PrivatePostgreSQL


def burn(server: PrivatePostgreSQL, count: int) -> None:
    """Have a cluster give transaction ids."""
    with server.connect() as connection:
        connection.execute(
            f"DO $$BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; "
            "END$$".encode()
        )


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Give both clusters."""
    with private_postgresql() as old, private_postgresql() as fresh:
        burn(old, BURNED)
        yield Clusters(old, fresh)


class Place:
    """A database of the same name in each cluster."""

    def __init__(self, clusters: Clusters, stack: AsyncExitStack, path: Path) -> None:
        self.old, self.fresh = clusters
        self.name = f"castore_{uuid4().hex[:12]}"
        self._stack = stack
        self._path = path
        for server in clusters:
            with server.connect() as connection:
                connection.execute(f"CREATE DATABASE {self.name}".encode())

    def get_adapter(self, server: PrivatePostgreSQL) -> SQLEventStorageAdapter:
        """Return an adapter of the table in a cluster."""
        engine = create_async_engine(server.get_url("postgresql+asyncpg", self.name))
        self._stack.push_async_callback(engine.dispose)
        return SQLEventStorageAdapter(engine, busy_timeout=20)

    def connect(self, server: PrivatePostgreSQL) -> psycopg.Connection[Any]:
        """Open a connection of somebody else."""
        return self._stack.enter_context(server.connect(self.name))

    def restore(self, source: PrivatePostgreSQL, target: PrivatePostgreSQL) -> None:
        """Dump the database of one cluster, and restore it in the other."""
        source.run_client("pg_dump", "--file", self._path, self.name)
        target.run_client(
            *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            *("--file", self._path, self.name),
        )


@pytest.fixture
async def place(clusters: Clusters, tmp_path: Path) -> AsyncIterator[Place]:
    """Give an empty database in each cluster."""
    async with AsyncExitStack() as stack:
        yield Place(clusters, stack, tmp_path / "dump.sql")


def insert(connection: psycopg.Connection[Any], aggregate_id: str, version: int = 1) -> None:
    """Insert an event as Castore does."""
    connection.execute(
        "INSERT INTO event (aggregate_name, aggregate_id, version, type, data, metadata, timestamp)"
        " VALUES ('STORE', %s, %s, 'PUSHED', '{}', NULL, '2024-01-01T00:00:00.000Z')"
        " ON CONFLICT (aggregate_name, aggregate_id, version) DO UPDATE SET data = excluded.data",
        (aggregate_id, version),
    )


def begin(connection: psycopg.Connection[Any]) -> int:
    """Begin a transaction, and return its id."""
    connection.execute("BEGIN")
    row = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


def restore_by_hand(connection: psycopg.Connection[Any], *rows: tuple[str, int | None]) -> None:
    """Insert aggregates with transaction ids of another cluster; `None` is that of this insert."""
    begin(connection)
    for aggregate_id, tx in rows:
        connection.execute(
            "INSERT INTO event (aggregate_name, aggregate_id, version, type, tx) VALUES "
            "('STORE', %s, 1, 'PUSHED', COALESCE(%s, pg_current_xact_id()::text::bigint))",
            (aggregate_id, tx),
        )
    connection.execute("COMMIT")


async def push(adapter: SQLEventStorageAdapter, *aggregate_ids: str) -> None:
    """Push first events."""
    for each in aggregate_ids:
        await adapter.push_event("STORE", EventRecord(each, 1, "PUSHED", MOMENT))


async def read_log(
    adapter: SQLEventStorageAdapter, count: int, after: LogPosition = LOG_START
) -> Sequence[LogEntry]:
    """Read the log, when so many events can be read."""
    entries: Sequence[LogEntry] = []
    for _ in range(500):  # the server's own ANALYZE may hold readers back for a moment
        entries = (await adapter.read_events(after=after)).entries
        if len(entries) >= count:
            break
        await asyncio.sleep(0.02)
    return entries


def to_ids(entries: Sequence[LogEntry]) -> list[str]:
    """Return the aggregates of entries."""
    return [each.record.aggregate_id for each in entries]


async def test_a_dump_that_is_restored_into_a_fresh_cluster(place: Place) -> None:
    """The log goes on after the positions of the old cluster, which stay."""
    old = place.get_adapter(place.old)
    await old.create_tables()
    early = place.connect(place.old)
    begin(early)
    await push(old, "a", "b")
    insert(early, "early")
    early.execute("COMMIT")
    await push(old, "c")
    before = await read_log(old, 4)
    bookmark, middle = before[-1].position, before[1].position

    place.restore(place.old, place.fresh)

    adapter, castore = place.get_adapter(place.fresh), place.connect(place.fresh)
    refused: list[Callable[[], Awaitable[object]]] = [
        lambda: push(adapter, "refused"),
        lambda: adapter.read_events(after=bookmark),
        lambda: adapter.read_events(["STORE"], bookmark),
        adapter.get_last_position,
        lambda: adapter.find_position("STORE", "a", 1),
    ]
    for each in refused:
        with pytest.raises(StorageError, match=r"restored .* upgrade_tables\(\)"):
            await each()
    assert ["a"] == [each.aggregate_id for each in await adapter.get_events("STORE", "a")]
    insert(castore, "raw-1")
    insert(castore, "a")  # replaces one
    insert(castore, "raw-2")
    insert(castore, "raw-1")  # replaces one that is new

    await adapter.upgrade_tables()

    after = await read_log(adapter, 6)
    assert [each.position for each in before] == [each.position for each in after[:4]]
    assert to_ids(before) == to_ids(after)[:4]
    assert ["raw-1", "raw-2"] == to_ids(await read_log(adapter, 2, bookmark))
    await push(adapter, "new")
    insert(castore, "raw-3")
    found = await read_log(adapter, 4, bookmark)
    assert ["raw-1", "raw-2", "new", "raw-3"] == to_ids(found)
    assert 2 + 4 == len(await read_log(adapter, 6, middle))
    assert found[2].position == await adapter.find_position("STORE", "new", 1)

    await adapter.upgrade_tables()
    await place.get_adapter(place.fresh).upgrade_tables()

    assert found == await read_log(adapter, 4, bookmark)


async def test_a_restore_into_a_cluster_that_is_ahead(place: Place) -> None:
    """Nothing is to be done where transaction ids are greater already."""
    fresh = place.get_adapter(place.fresh)
    await fresh.create_tables()
    await push(fresh, "a", "b")
    before = await read_log(fresh, 2)

    place.restore(place.fresh, place.old)

    adapter = place.get_adapter(place.old)
    await push(adapter, "c")
    assert [*before] == [*(await read_log(adapter, 3))[:2]]
    assert ["c"] == to_ids(await read_log(adapter, 1, before[-1].position))


async def test_a_transaction_that_is_older_than_the_upgrade(place: Place) -> None:
    """It may push after it, and comes after all old positions, though its id is the lower."""
    adapter = place.get_adapter(place.fresh)
    await adapter.create_tables()
    restore_by_hand(place.connect(place.fresh), ("a", FAR), ("b", FAR + 5))
    old, castore = place.connect(place.fresh), place.connect(place.fresh)
    begin(old)
    burn(place.fresh, 50)
    insert(castore, "raw")

    await adapter.upgrade_tables()
    insert(old, "old")
    old.execute("COMMIT")
    await push(adapter, "new")

    entries = await read_log(adapter, 5)
    assert ["a", "b"] == to_ids(entries[:2])
    assert f"{FAR + 5:016x}" == entries[1].position[:16]
    assert {"raw", "old", "new"} == set(to_ids(entries[2:]))


async def test_a_restored_row_with_the_id_of_the_restoring_transaction(place: Place) -> None:
    """It was not pushed since, and keeps its position."""
    adapter = place.get_adapter(place.fresh)
    await adapter.create_tables()
    castore = place.connect(place.fresh)
    restore_by_hand(castore, ("a", 3), ("b", None), ("c", FAR))
    insert(castore, "raw")
    rows = [
        *castore.execute("SELECT tx, id FROM event WHERE aggregate_id <> 'raw' ORDER BY tx, id")
    ]

    await adapter.upgrade_tables()

    entries = await read_log(adapter, 4)
    assert ["a", "b", "c", "raw"] == to_ids(entries)
    assert [f"{tx:016x}{number:016x}" for tx, number in rows] == [
        each.position for each in entries[:3]
    ]


async def test_a_second_restore(place: Place) -> None:
    """The offset of the first one is raised again."""
    adapter = place.get_adapter(place.fresh)
    await adapter.create_tables()
    castore = place.connect(place.fresh)
    restore_by_hand(castore, ("a", FAR))
    await adapter.upgrade_tables()
    await push(adapter, "b")
    restore_by_hand(castore, ("c", 2 * FAR))
    insert(castore, "raw")

    again = place.get_adapter(place.fresh)
    with pytest.raises(StorageError, match=r"upgrade_tables\(\)"):
        await push(again, "refused")
    await again.upgrade_tables()
    await push(again, "d")

    assert ["a", "b", "c", "raw", "d"] == to_ids(await read_log(again, 5))


async def test_several_upgrades_at_once_after_a_restore(place: Place) -> None:
    """One of them raises the offset; all of them succeed."""
    adapters = [place.get_adapter(place.fresh) for _ in range(4)]
    await adapters[0].create_tables()
    castore = place.connect(place.fresh)
    restore_by_hand(castore, ("a", FAR))
    insert(castore, "raw")

    await asyncio.gather(*(each.upgrade_tables() for each in adapters))
    await push(adapters[0], "new")

    entries = await read_log(adapters[0], 3)
    assert ["a", "raw", "new"] == to_ids(entries)
    assert int(entries[-1].position[:16], 16) < FAR + 5_000
