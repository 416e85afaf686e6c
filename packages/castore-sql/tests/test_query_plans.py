"""The queries use their indexes: the cost of a page does not grow with the store."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Engine, create_engine, event

from castore_core import EventRecord, ListedAggregate
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MIDDLE = MOMENT + timedelta(milliseconds=50)
CURSOR = ListedAggregate("aggregate-50", MIDDLE).to_cursor()
Query: TypeAlias = Callable[[SQLEventStorageAdapter], Awaitable[Any]]

QUERIES: dict[str, tuple[str, Query]] = {
    "events": (
        "sqlite_autoindex_event_1",
        lambda adapter: adapter.get_events("STORE", "aggregate-50"),
    ),
    "events backwards": (
        "sqlite_autoindex_event_1",
        lambda adapter: adapter.get_events("STORE", "aggregate-50", reverse=True),
    ),
    "the last event": (
        "sqlite_autoindex_event_1",
        lambda adapter: adapter.get_events("STORE", "aggregate-50", reverse=True, limit=1),
    ),
    "events in bounds": (
        "sqlite_autoindex_event_1",
        lambda adapter: adapter.get_events("STORE", "aggregate-50", min_version=1, max_version=5),
    ),
    "the first page": (
        "idx_event_initial_events",
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10),
    ),
    "the first page backwards": (
        "idx_event_initial_events",
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, reverse=True),
    ),
    "a page": (
        "idx_event_initial_events",
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, cursor=CURSOR),
    ),
    "a page backwards": (
        "idx_event_initial_events",
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, cursor=CURSOR, reverse=True),
    ),
    "a page in bounds": (
        "idx_event_initial_events",
        lambda adapter: adapter.list_aggregate_ids(
            "STORE", limit=10, initial_event_after=MIDDLE, initial_event_before=MIDDLE
        ),
    ),
    "the log": ("INTEGER PRIMARY KEY", lambda adapter: adapter.read_events(limit=10)),
    "the log from a position": (
        "INTEGER PRIMARY KEY",
        lambda adapter: adapter.read_events(after_position=50, limit=10),
    ),
    "the log of a store": (
        "INTEGER PRIMARY KEY",
        lambda adapter: adapter.read_events(["STORE"], after_position=50, limit=10),
    ),
    "the log of stores": (
        "INTEGER PRIMARY KEY",
        lambda adapter: adapter.read_events(["STORE", "OTHER"], after_position=50, limit=10),
    ),
}
each_query = pytest.mark.parametrize(("index", "query"), QUERIES.values(), ids=QUERIES)


class Watch:
    """What SQLite was told, and how many steps of its machine it took."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.steps = 0

    def connect(self, connection: sqlite3.Connection, _: object) -> None:
        """Watch a new connection."""
        connection.set_trace_callback(self.statements.append)
        connection.set_progress_handler(self.count, 1)

    def count(self) -> int:
        """Count one step, and go on."""
        self.steps += 1
        return 0

    def reset(self) -> None:
        """Forget what was before."""
        self.statements.clear()
        self.steps = 0


@pytest.fixture
def watch(engine: Engine) -> Watch:
    """Give a watch on the connections of the engine."""
    watch = Watch()
    event.listen(engine, "connect", watch.connect)
    return watch


async def fill(adapter: SQLEventStorageAdapter, numbers: range) -> None:
    """Push two events each of some aggregates of two stores, a millisecond after one another."""
    await asyncio.gather(
        *(
            adapter.push_event(
                store,
                EventRecord(
                    f"aggregate-{number}",
                    version,
                    "PUSHED",
                    MOMENT + timedelta(milliseconds=number),
                ),
            )
            for number in numbers
            for version in (1, 2)
            for store in ("STORE", "OTHER")
        )
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a database with 100 aggregates in each of two stores."""
    path = tmp_path_factory.mktemp("plans") / "events.db"
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)

    async def create() -> None:
        await adapter.create_tables()
        await fill(adapter, range(100))

    asyncio.run(create())
    engine.dispose()
    yield path


@each_query
async def test_a_query_uses_its_index(database: Path, index: str, query: Query) -> None:
    """SQLite searches the index in its order: it scans no table, and sorts nothing."""
    engine = create_engine(f"sqlite:///{database}")
    watch = Watch()
    event.listen(engine, "connect", watch.connect)
    adapter = SQLEventStorageAdapter(engine)
    await query(adapter)
    (statement,) = [each for each in watch.statements if each.startswith("SELECT")]

    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
    engine.dispose()

    plan = [str(row.detail) for row in rows]
    (on_events,) = [each for each in plan if " event" in each]
    assert on_events.startswith("SEARCH event USING ")
    assert index in on_events
    assert [] == [each for each in plan if "TEMP B-TREE" in each]


@each_query
async def test_a_query_costs_the_same_in_a_larger_store(
    adapter: SQLEventStorageAdapter, watch: Watch, index: str, query: Query
) -> None:
    """With ten times the aggregates, SQLite takes as many steps as before."""
    assert index
    await fill(adapter, range(100))
    watch.reset()
    await query(adapter)
    before = watch.steps
    await fill(adapter, range(100, 1000))
    watch.reset()
    await query(adapter)

    assert before > 0
    assert abs(watch.steps - before) <= 5
