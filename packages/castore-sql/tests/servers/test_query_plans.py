"""The queries use the indexes of PostgreSQL: the cost of a page does not grow with the table."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import psycopg
import pytest
from sqlalchemy import Engine, event

from castore_core import AssertedVersion, EventRecord, GroupedRecord, ListedAggregate
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, ServerDatabase, using_servers

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MIDDLE = MOMENT + timedelta(seconds=3_000)
CURSOR = ListedAggregate("aggregate-3000", MIDDLE).to_cursor()
POSITION = f"{350:016x}{10_000:016x}"
Query: TypeAlias = Callable[[SQLEventStorageAdapter], Awaitable[Any]]

UNIQUE = "event_aggregate_name_aggregate_id_version_key"
INITIAL = "idx_event_initial_events"
LOG = "idx_event_log"
PAGE = [UNIQUE, UNIQUE, INITIAL]  # it looks up where it begins, and where it ends

# Transaction ids that every cluster has given: it begins above 700.
FILL = """
INSERT INTO event (aggregate_name, aggregate_id, version, type, data, timestamp, tx)
SELECT
  CASE WHEN g = 3888 THEN 'RARE' WHEN mod(g, 5) < 3 THEN 'BIG' ELSE 'SMALL-' || mod(g, 40) END,
  'aggregate-' || g, version, 'PUSHED', '{"name": "Pikachu"}',
  TIMESTAMPTZ '2024-01-01T00:00:00Z' + g * INTERVAL '1 second', g * 700 / 10000
FROM generate_series(0, 9999) AS g, generate_series(1, 2) AS version
ORDER BY g, version
"""


@dataclass(frozen=True)
class Case:
    """A query, the index of each of its statements, and how many rows it may look at."""

    query: Query
    indexes: Sequence[str]
    most: int = 12


def make_record(aggregate_id: str, version: int) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def push_group(adapter: SQLEventStorageAdapter) -> None:
    """Push two events in a statement."""
    await adapter.push_event_group(
        [
            GroupedRecord("BIG", make_record(aggregate_id, version), adapter)
            for aggregate_id, version in (("group-1", 1), ("aggregate-3001", 3))
        ]
    )


CASES: dict[str, Case] = {
    "events": Case(lambda each: each.get_events("BIG", "aggregate-3000"), [UNIQUE]),
    "events backwards": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", reverse=True), [UNIQUE]
    ),
    "the last event": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", reverse=True, limit=1), [UNIQUE], 1
    ),
    "events in bounds": Case(
        lambda each: each.get_events("BIG", "aggregate-3000", min_version=1, max_version=5),
        [UNIQUE],
    ),
    "the first page": Case(lambda each: each.list_aggregate_ids("BIG", limit=10), PAGE),
    "the first page backwards": Case(
        lambda each: each.list_aggregate_ids("BIG", limit=10, reverse=True), PAGE
    ),
    "a page": Case(lambda each: each.list_aggregate_ids("BIG", limit=10, cursor=CURSOR), PAGE),
    "a page backwards": Case(
        lambda each: each.list_aggregate_ids("BIG", limit=10, cursor=CURSOR, reverse=True),
        PAGE,
    ),
    "a page in bounds": Case(
        lambda each: each.list_aggregate_ids(
            "BIG", limit=10, initial_event_after=MIDDLE, initial_event_before=MIDDLE
        ),
        PAGE,
    ),
    "the log": Case(lambda each: each.read_events(limit=10), [LOG]),
    "the log in pages of 100": Case(lambda each: each.read_events(), [LOG], 100),
    "the log in pages of 1,000": Case(lambda each: each.read_events(limit=1000), [LOG], 1000),
    "the log from a position": Case(lambda each: each.read_events(after=POSITION, limit=10), [LOG]),
    "the log of a store of many events": Case(
        lambda each: each.read_events(["BIG"], POSITION, 10), [LOG, LOG], 30
    ),
    "the log of a store among many": Case(
        lambda each: each.read_events(["SMALL-3"], POSITION), [LOG, LOG], 5_000
    ),
    "the log of a rare store": Case(lambda each: each.read_events(["RARE"]), [LOG, LOG], 20_000),
    "the log of several stores": Case(
        lambda each: each.read_events(["BIG", "RARE", "NONE"], POSITION, 10), [LOG, LOG], 30
    ),
    "the log backwards": Case(lambda each: each.read_events_backwards(limit=10), [LOG]),
    "the log from a position backwards": Case(
        lambda each: each.read_events_backwards(before=POSITION, limit=10), [LOG]
    ),
    "the log of no store": Case(lambda each: each.read_events([], POSITION), [LOG], 1),
    "the end of the log": Case(lambda each: each.get_last_position(), [LOG], 1),
    "a position": Case(lambda each: each.find_position("BIG", "aggregate-3000", 1), [UNIQUE], 1),
    "a push": Case(
        lambda each: each.push_event("BIG", make_record("aggregate-3000", 3)), [UNIQUE], 1
    ),
    "a group": Case(push_group, [UNIQUE]),
    "an assertion": Case(
        lambda each: each.push_event_group(
            [], asserted=[AssertedVersion("BIG", "aggregate-3000", 2, each)]
        ),
        [UNIQUE, UNIQUE],
    ),
}


class Watch:
    """Has the server explain each statement of an engine.

    Args:
        plan_cache_mode: of the server.
    """

    def __init__(self, plan_cache_mode: str) -> None:
        self.plans: list[dict[str, Any]] = []
        self._mode = plan_cache_mode

    def connect(self, connection: Any, _: object) -> None:
        """Watch a new connection."""
        driver = cast("psycopg.Connection[Any]", connection)
        driver.add_notice_handler(self._note)
        for each in (
            "LOAD 'auto_explain'",
            f"SET plan_cache_mode = {self._mode}",
            "SET client_min_messages = notice",
            "SET auto_explain.log_level = notice",
            "SET auto_explain.log_format = json",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_min_duration = 0",
        ):
            driver.execute(each.encode())
        driver.commit()

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        _, found, plan = message.partition("plan:\n")
        if found and "event" in plan:
            self.plans.append(json.loads(plan)["Plan"])


def find_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return all the nodes of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from find_nodes(each)


def find_scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a plan that read the table."""
    return [
        each
        for each in find_nodes(plan)
        if each.get("Relation Name") == "event" and each["Node Type"] != "ModifyTable"
    ]


@pytest.fixture(scope="module")
def database(find_server: Callable[[str], str]) -> Iterator[ServerDatabase]:
    """Give a database that all tests of this module share."""
    with using_servers(alone=False):
        database = ServerDatabase("postgres", find_server("postgres"))
        database.create()
        yield database
        database.drop()


@pytest.fixture(scope="module")
def filled(database: ServerDatabase) -> ServerDatabase:
    """Give a database with 20,000 events in 18 stores, of which one has two events."""
    engine = cast("Engine", database.make_engine(KINDS["psycopg-sync"]))
    asyncio.run(SQLEventStorageAdapter(engine).create_tables())
    engine.dispose()
    database.run(FILL, "VACUUM ANALYZE event")
    return database


@pytest.fixture(params=["auto", "force_generic_plan", "force_custom_plan"])
def watch(request: pytest.FixtureRequest) -> Watch:
    """Watch plans for the values of a query, and those for any values, as drivers keep them."""
    return Watch(request.param)


@pytest.fixture
async def adapter(filled: ServerDatabase, watch: Watch) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter that is watched, and prepares each statement."""
    engine = cast(
        "Engine",
        filled.make_engine(KINDS["psycopg-sync"], connect_args={"prepare_threshold": 0}),
    )
    event.listen(engine, "connect", watch.connect)
    adapter = SQLEventStorageAdapter(engine, allow_gaps=False)
    await adapter.find_position("BIG", "", 0)  # it looks at the columns
    watch.plans.clear()
    yield adapter
    engine.dispose()
    filled.run(
        "DELETE FROM event WHERE version > 2",
        "DELETE FROM event WHERE starts_with(aggregate_id, 'group')",
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_query_uses_its_index(
    adapter: SQLEventStorageAdapter, watch: Watch, case: Case
) -> None:
    """The server searches the index in its order, reads no more, and sorts nothing."""
    await case.query(adapter)

    scans = [each for plan in watch.plans for each in find_scans(plan)]
    assert set(case.indexes) == {each.get("Index Name", each["Node Type"]) for each in scans}
    assert len(case.indexes) <= len(scans)
    assert {"Index Scan", "Index Only Scan"} >= {each["Node Type"] for each in scans}
    for each in scans:
        looked_at = each["Actual Rows"] + each.get("Rows Removed by Filter", 0)
        assert looked_at <= case.most
    reads = [each for each in watch.plans if each["Node Type"] != "ModifyTable"]
    assert [] == [
        node["Node Type"]
        for plan in reads
        for node in find_nodes(plan)
        if "Sort" in node["Node Type"]
    ]
