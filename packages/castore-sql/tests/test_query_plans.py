"""The queries use their indexes: the cost of a page does not grow with the store."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import create_engine, event

from castore_core import (
    LOG_START,
    AssertedVersion,
    EventRecord,
    ListedAggregate,
    format_position,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MIDDLE = MOMENT + timedelta(milliseconds=50)
CURSOR = ListedAggregate("aggregate-50", MIDDLE).to_cursor()
Query: TypeAlias = Callable[[SQLEventStorageAdapter], Awaitable[Any]]

UNIQUE = "sqlite_autoindex_event_1"
INITIAL = "idx_event_initial_events"
LOG = "INTEGER PRIMARY KEY"
END = "SEARCH event"  # the last row
HALF = format_position(50)

QUERIES: dict[str, tuple[Sequence[str], Query]] = {
    "events": (
        [UNIQUE],
        lambda adapter: adapter.get_events("STORE", "aggregate-50"),
    ),
    "events backwards": (
        [UNIQUE],
        lambda adapter: adapter.get_events("STORE", "aggregate-50", reverse=True),
    ),
    "the last event": (
        [UNIQUE],
        lambda adapter: adapter.get_events("STORE", "aggregate-50", reverse=True, limit=1),
    ),
    "events in bounds": (
        [UNIQUE],
        lambda adapter: adapter.get_events("STORE", "aggregate-50", min_version=1, max_version=5),
    ),
    "the first page": (
        [INITIAL],
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10),
    ),
    "the first page backwards": (
        [INITIAL],
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, reverse=True),
    ),
    "a page": (
        [INITIAL],
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, cursor=CURSOR),
    ),
    "a page backwards": (
        [INITIAL],
        lambda adapter: adapter.list_aggregate_ids("STORE", limit=10, cursor=CURSOR, reverse=True),
    ),
    "a page in bounds": (
        [INITIAL],
        lambda adapter: adapter.list_aggregate_ids(
            "STORE", limit=10, initial_event_after=MIDDLE, initial_event_before=MIDDLE
        ),
    ),
    "the log": ([LOG], lambda adapter: adapter.read_events(limit=10)),
    "the log from a position": (
        [LOG],
        lambda adapter: adapter.read_events(after=HALF, limit=10),
    ),
    "the log of a store": (
        [END, LOG],
        lambda adapter: adapter.read_events(["STORE"], after=HALF, limit=10),
    ),
    "the log of stores": (
        [END, LOG],
        lambda adapter: adapter.read_events(["STORE", "OTHER"], after=HALF, limit=10),
    ),
    "the log backwards": ([LOG], lambda adapter: adapter.read_events_backwards(limit=10)),
    "the log of a store backwards": (
        [LOG],
        lambda adapter: adapter.read_events_backwards(["STORE"], HALF, limit=10),
    ),
    "the log of no store": ([END], lambda adapter: adapter.read_events([], after=HALF)),
    "the end of the log": ([END], lambda adapter: adapter.get_last_position()),
    "a wait": ([END], lambda adapter: adapter.wait_for_events(HALF, 10)),
    "a position": ([UNIQUE], lambda adapter: adapter.find_position("STORE", "aggregate-50", 2)),
    "a push": (
        [UNIQUE],
        lambda adapter: adapter.push_event("STORE", EventRecord("aggregate-50", 3, "T", MOMENT)),
    ),
    "an assertion": (
        [UNIQUE],
        lambda adapter: adapter.push_event_group(
            [], asserted=[AssertedVersion("STORE", "aggregate-50", 2, adapter)]
        ),
    ),
}


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


async def fill(adapter: SQLEventStorageAdapter, count: int) -> None:
    """Push two events each of some aggregates of two stores, a millisecond after one another."""
    await adapter.create_tables()
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
            for number in range(count)
            for version in (1, 2)
            for store in ("STORE", "OTHER")
        )
    )


def make_database(path: Path, count: int) -> Path:
    """Make a database with some aggregates in each of two stores."""
    engine = create_engine(f"sqlite:///{path}")
    asyncio.run(fill(SQLEventStorageAdapter(engine), count))
    engine.dispose()
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database of 100 aggregates a store."""
    return make_database(tmp_path_factory.mktemp("small") / "events.db", 100)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database of ten times as many."""
    return make_database(tmp_path_factory.mktemp("large") / "events.db", 1000)


async def watch_query(path: Path, query: Query) -> Watch:
    """Run a query, on a copy of a database and a connection that is watched."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    engine = create_engine(f"sqlite:///{copy}")
    watch = Watch()
    event.listen(engine, "connect", watch.connect)
    await query(SQLEventStorageAdapter(engine))
    engine.dispose()
    return watch


@pytest.mark.parametrize(("expected", "query"), QUERIES.values(), ids=QUERIES)
async def test_a_query_uses_its_index(small: Path, expected: Sequence[str], query: Query) -> None:
    """SQLite searches the index in its order: it scans no table, and sorts nothing."""
    watch = await watch_query(small, query)
    statements = [each for each in watch.statements if each.startswith(("SELECT", "INSERT"))]

    assert len(expected) == len(statements)
    for statement, index in zip(statements, expected, strict=True):
        with closing(sqlite3.connect(small)) as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        plan = [str(row[-1]) for row in rows]
        (on_events,) = [each for each in plan if " event" in each]
        assert on_events.startswith("SEARCH event")
        assert index in on_events
        assert [] == [each for each in plan if "TEMP B-TREE" in each]


@pytest.mark.parametrize("query", [query for _, query in QUERIES.values()], ids=QUERIES)
async def test_a_query_costs_the_same_in_a_larger_store(
    small: Path, large: Path, query: Query
) -> None:
    """With ten times the aggregates, SQLite takes as many steps."""
    watches = [await watch_query(path, query) for path in (small, large)]

    assert 0 < watches[0].steps == watches[1].steps


async def test_a_reader_of_a_quiet_store_does_not_look_again(small: Path, large: Path) -> None:
    """The events of other stores are looked at once, however many there are."""
    steps: list[int] = []

    async def poll(adapter: SQLEventStorageAdapter) -> None:
        position = LOG_START
        for _ in range(2):
            position = (await adapter.read_events(["QUIET"], position)).position
        assert await adapter.get_last_position() == position

    async def poll_once(adapter: SQLEventStorageAdapter) -> None:
        await adapter.read_events(["QUIET"])
        await adapter.get_last_position()

    for path in (small, large):
        once, twice = [(await watch_query(path, query)).steps for query in (poll_once, poll)]
        assert once > 400  # a step for each event, at least
        steps.append(twice - once)

    assert 0 < steps[0] == steps[1] < 100
