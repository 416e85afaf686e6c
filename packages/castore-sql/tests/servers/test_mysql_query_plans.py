"""The queries use the indexes of MySQL and MariaDB: a page costs the same in any table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import pymysql
import pytest
from pymysql.cursors import Cursor
from sqlalchemy import Engine, event

from castore_core import (
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    ListedAggregate,
    format_position,
)
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase, using_servers

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MIDDLE = MOMENT + timedelta(seconds=3_000)
CURSOR = ListedAggregate("aggregate-3000", MIDDLE).to_cursor()
POSITION = format_position(10_000)
Query: TypeAlias = Callable[[SQLEventStorageAdapter], Awaitable[Any]]

UNIQUE = "event_version"
INITIAL = "initial_events"
LOG = "PRIMARY"
AGAIN = 2_100  # ids that a read of the log looks at before it reads

FILL = """
INSERT INTO event (id, aggregate_name, aggregate_id, version, type, data, timestamp)
WITH RECURSIVE
  d AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM d WHERE n < 9),
  g AS (
    SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS seq
    FROM d AS a JOIN d AS b JOIN d AS c JOIN d
  ),
  v AS (SELECT 1 AS seq UNION ALL SELECT 2)
SELECT
  2 * (g.seq - 1) + v.seq,
  CASE WHEN g.seq = 3888 THEN 'RARE' WHEN g.seq % 5 < 3 THEN 'BIG'
    ELSE CONCAT('SMALL-', g.seq % 40) END,
  CONCAT('aggregate-', g.seq), v.seq, 'PUSHED', '{"name": "Pikachu"}',
  DATE_FORMAT(TIMESTAMPADD(SECOND, g.seq, '2024-01-01'), '%Y-%m-%dT%T.000Z')
FROM g JOIN v ORDER BY g.seq, v.seq
"""


@dataclass(frozen=True)
class Case:
    """A query, the indexes that its statements use, and how many rows they may read."""

    query: Query
    indexes: set[str]
    most: int = 12


def make_record(aggregate_id: str, version: int) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def push_group(adapter: SQLEventStorageAdapter) -> None:
    """Push two events in a statement."""
    await adapter.push_event_group(
        [
            GroupedRecord("BIG", make_record(aggregate_id, version), adapter)
            for aggregate_id, version in (("group-1", 1), ("aggregate-3000", 3))
        ]
    )


CASES: dict[str, Case] = {
    "events": Case(lambda each: each.get_events("BIG", "aggregate-3000"), {UNIQUE}),
    "events backwards": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", reverse=True), {UNIQUE}
    ),
    "the last event": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", reverse=True, limit=1), {UNIQUE}, 2
    ),
    "events in bounds": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", min_version=1, max_version=5),
        {UNIQUE},
    ),
    "the first page": Case(lambda each: each.list_aggregate_ids("BIG", limit=10), {INITIAL}),
    "the first page backwards": Case(
        lambda each: each.list_aggregate_ids("BIG", limit=10, reverse=True), {INITIAL}
    ),
    "a page": Case(lambda each: each.list_aggregate_ids("BIG", limit=10, cursor=CURSOR), {INITIAL}),
    "a page backwards": Case(
        lambda each: each.list_aggregate_ids("BIG", limit=10, cursor=CURSOR, reverse=True),
        {INITIAL},
    ),
    "a page in bounds": Case(
        lambda each: each.list_aggregate_ids(
            "BIG", limit=10, initial_event_after=MIDDLE, initial_event_before=MIDDLE
        ),
        {INITIAL},
    ),
    "the log": Case(lambda each: each.read_events(limit=10), {LOG}, AGAIN),
    "the log in pages of 1,000": Case(
        lambda each: each.read_events(limit=1000), {LOG}, AGAIN + 1000
    ),
    "the log from a position": Case(
        lambda each: each.read_events(after=POSITION, limit=10), {LOG}, AGAIN
    ),
    "the log of a store of many events": Case(
        lambda each: each.read_events(["BIG"], POSITION, 10), {LOG}, AGAIN
    ),
    "the log of a store among many": Case(
        lambda each: each.read_events(["SMALL-3"], POSITION), {LOG}, 2 * AGAIN
    ),
    "the log of a rare store": Case(lambda each: each.read_events(["RARE"]), {LOG}, 2 * AGAIN),
    "the log of several stores": Case(
        lambda each: each.read_events(["BIG", "RARE", "NONE"], POSITION, 10), {LOG}, AGAIN
    ),
    "the log backwards": Case(lambda each: each.read_events_backwards(limit=10), {LOG}, 20),
    "the log from a position backwards": Case(
        lambda each: each.read_events_backwards(before=POSITION, limit=10), {LOG}, 20
    ),
    "the log of no store": Case(lambda each: each.read_events([], POSITION), {LOG}, AGAIN),
    "the end of the log": Case(lambda each: each.get_last_position(), {LOG}, 4),
    "a wait": Case(lambda each: each.wait_for_events(POSITION, 10), {LOG}, 4),
    "a position": Case(lambda each: each.find_position("BIG", "aggregate-3000", 1), {UNIQUE}, 1),
    "a push": Case(
        lambda each: each.push_event("BIG", make_record("aggregate-3000", 3)), {UNIQUE}, 5
    ),
    "a forced push": Case(
        lambda each: each.push_event("BIG", make_record("aggregate-3000", 2), force=True),
        {UNIQUE},
        2,
    ),
    "a group": Case(push_group, {UNIQUE}, 5),
    "an assertion": Case(
        lambda each: each.push_event_group(
            [], asserted=[AssertedVersion("BIG", "aggregate-3000", 2, each)]
        ),
        {UNIQUE},
        8,
    ),
}


class Watch:
    """The statements of the sessions of an engine, and what they cost."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._connection: pymysql.Connection[Any] | None = None

    def connect(self, connection: Any, _: object) -> None:
        """Watch a new connection."""
        watch, self._connection = self, connection

        class WatchedCursor(Cursor):
            def execute(self, query: Any, args: Any = None) -> int:
                watch.statements.append(self.mogrify(query, args))
                return super().execute(query, args)

        connection.cursorclass = WatchedCursor

    def read_counts(self) -> dict[str, int]:
        """Return how often the one session has read a row, scanned a table or sorted."""
        assert self._connection is not None
        with Cursor(self._connection) as cursor:
            cursor.execute(
                "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%' OR Variable_name "
                "IN ('Sort_rows', 'Sort_scan', 'Sort_range', 'Select_full_join')"
            )
            return {name: int(value) for name, value in cast("Sequence[Any]", cursor.fetchall())}


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def filled(
    find_server: Callable[[str], str], request: pytest.FixtureRequest
) -> Iterator[ServerDatabase]:
    """Give a database with 20,000 events in 18 stores, of which one has two events."""
    with using_servers(alone=False):
        database = ServerDatabase(request.param, find_server(request.param))
        database.create()
        engine = cast("Engine", database.make_engine(KINDS["pymysql"]))
        asyncio.run(SQLEventStorageAdapter(engine).create_tables())
        engine.dispose()
        database.run(FILL.replace("%", "%%"), "ANALYZE TABLE event")
        yield database
        database.drop()


@pytest.fixture
def watch() -> Watch:
    """Watch an engine."""
    return Watch()


@pytest.fixture
async def adapter(filled: ServerDatabase, watch: Watch) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter that is watched, has one connection, and has seen the end of the log."""
    engine = cast("Engine", filled.make_engine(KINDS["pymysql"], pool_size=1, max_overflow=0))
    event.listen(engine, "connect", watch.connect)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.get_last_position()
    watch.statements.clear()
    yield adapter
    engine.dispose()
    filled.run(
        "DELETE FROM event WHERE version > 2 OR LEFT(aggregate_id, 5) = 'group'",
        "ALTER TABLE event AUTO_INCREMENT = 1",
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_query_uses_its_index(
    adapter: SQLEventStorageAdapter, watch: Watch, filled: ServerDatabase, case: Case
) -> None:
    """The server searches the index in its order, reads few rows, and sorts nothing."""
    before = watch.read_counts()
    await case.query(adapter)
    after = watch.read_counts()

    counts = {name: after[name] - count for name, count in before.items()}
    assert [0, 0, 0, 0] == [value for name, value in counts.items() if "read" not in name]
    assert case.most >= sum(counts.values()), counts

    used: set[str] = set()
    for each in watch.statements:
        if not each.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            continue
        for row in filled.run(f"EXPLAIN FORMAT=TRADITIONAL {each.replace('%', '%%')}"):
            if row.table in {"event", "found"} and row.type and row.select_type != "INSERT":
                assert row.type in {"const", "range", "ref", "eq_ref", "system"}, (each, row)
                used.add(row.key)
            assert "filesort" not in (row.Extra or ""), (each, row)
            assert "temporary" not in (row.Extra or ""), (each, row)
    assert case.indexes >= used - {LOG}
