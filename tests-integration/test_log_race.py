"""Many writers race on a server, while a reader follows the log: it loses nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import LOG_START, LogEntry
from castore_sql import SQLEventStorageAdapter
from sql_servers import KINDS, Kind, ServerDatabase, using_servers

PROGRAM = Path(__file__).parent / "log_writers.py"
PROCESSES = 4  # of eight writers each
IS_LARGE = os.environ.get("CASTORE_LARGE_RACES") == "1"
TRANSACTIONS = 12_000 if IS_LARGE else 3_000
RACES = range(10 if IS_LARGE else 1)

SERVERS = {
    "postgres": KINDS["asyncpg"],
    "mariadb": KINDS["asyncmy"],
    "mysql": KINDS["asyncmy-mysql"],
}

Place = tuple[str, str, int]


@dataclass(frozen=True)
class Raced:
    """What was committed, and what the two readers have read."""

    committed: Sequence[Place]
    reports: Sequence[dict[str, Any]]
    entries: Sequence[LogEntry]
    naive: Sequence[int]

    @property
    def places(self) -> list[Place]:
        """The events that the reader of the log has read."""
        return [(each.event_store_id, *each.record[:2]) for each in self.entries]

    def count(self, what: str) -> int:
        """Return the sum of a count over all processes."""
        return sum(each[what] for each in self.reports)


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Give each server, and how it is read."""
    return SERVERS[request.param]


@pytest.fixture
def database(find_server: Callable[[str], str], kind: Kind) -> Iterator[ServerDatabase]:
    """Give an empty database on a server that nobody else uses."""
    with using_servers(alone=True):
        database = ServerDatabase(kind.server, find_server(kind.server))
        database.create()
        yield database
        database.drop()


@pytest.fixture
async def engine(kind: Kind, database: ServerDatabase) -> AsyncIterator[AsyncEngine]:
    """Give an engine for the readers."""
    engine = cast("AsyncEngine", database.make_engine(kind))
    yield engine
    await engine.dispose()


class Writers:
    """The processes that write."""

    def __init__(self, stack: ExitStack, kind: Kind, database: ServerDatabase) -> None:
        url = database.get_url(kind.driver).render_as_string()
        connect_args = json.dumps(database.get_connect_args(kind.driver))
        share = str(TRANSACTIONS // PROCESSES)
        self._processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, PROGRAM, f"process-{number}", url, connect_args, share],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(PROCESSES)
        ]
        for each in self._processes:
            stack.callback(each.kill)

    def start(self) -> None:
        """Have them begin at the same time."""
        for each in self._processes:
            assert each.stdout is not None
            assert "ready\n" == each.stdout.readline()
        for each in self._processes:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()

    def wait(self) -> list[dict[str, Any]]:
        """Return the reports of all, when they have ended."""
        return [json.loads(each.communicate()[0]) for each in self._processes]


async def read_log(adapter: SQLEventStorageAdapter, done: asyncio.Event) -> list[LogEntry]:
    """Follow the log from its start to its end."""
    entries: list[LogEntry] = []
    position = LOG_START
    while True:
        is_done = done.is_set()
        found = await adapter.read_events(None, position, 50)
        entries += found.entries
        if is_done and position == found.position == await adapter.get_last_position():
            return entries
        position = found.position


async def read_naively(engine: AsyncEngine, done: asyncio.Event) -> list[int]:
    """Follow the ids of the rows, as if they were committed in their order."""
    ids: list[int] = []
    select = text(
        "SELECT id FROM event WHERE id > :checkpoint AND aggregate_name <> '' ORDER BY id LIMIT 50"
    )
    checkpoint = 0
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        while True:
            is_done = done.is_set()
            found = list(await connection.scalars(select, {"checkpoint": checkpoint}))
            if not found and is_done:
                return ids
            ids += found
            checkpoint = max([checkpoint, *found])


async def run_race(engine: AsyncEngine, kind: Kind, database: ServerDatabase) -> Raced:
    """Run all writers and both readers, and return when the readers have come to the end."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    done = asyncio.Event()
    with ExitStack() as stack:
        writers = Writers(stack, kind, database)
        await asyncio.to_thread(writers.start)
        readers = asyncio.gather(read_log(adapter, done), read_naively(engine, done))
        try:
            reports = await asyncio.to_thread(writers.wait)
        finally:
            done.set()
        entries, naive = await readers
    committed = [tuple(place) for each in reports for place in each.pop("committed")]
    return Raced(committed, reports, entries, naive)


@pytest.mark.alone
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", RACES)
async def test_a_reader_loses_no_event_of_32_writers(
    engine: AsyncEngine,
    kind: Kind,
    database: ServerDatabase,
    number: int,
) -> None:
    """It reads each event once, in the order of positions and versions; a naive one loses some."""
    raced = await run_race(engine, kind, database)

    stored = Counter(
        (store, aggregate_id, version)
        for store, aggregate_id, version in database.run(
            "SELECT aggregate_name, aggregate_id, version FROM event WHERE aggregate_name <> ''"
        )
    )
    lost = len(raced.committed) - len(set(raced.naive))
    counts = {
        each: raced.count(each)
        for each in ("transactions", "rolled_back", "held", "conflicts", "failed")
    }
    closed = database.run("SELECT COUNT(*) FROM event WHERE aggregate_name = ''")[0][0]
    counts["closed_holes"] = closed  # of MySQL
    print(f"race {number}: {len(raced.committed)} events, {lost} lost naively, {counts}")  # noqa: T201 pytest shows it with -rP
    assert stored == Counter(raced.committed)
    assert stored == Counter(raced.places)
    positions = [each.position for each in raced.entries]
    assert sorted(set(positions)) == positions
    versions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for store, aggregate_id, version in raced.places:
        versions[store, aggregate_id].append(version)
    assert [] == [
        (key, found) for key, found in versions.items() if [*range(1, len(found) + 1)] != found
    ]
    assert TRANSACTIONS == raced.count("transactions")
    assert raced.count("rolled_back") > TRANSACTIONS // 400
    assert raced.count("failed") < TRANSACTIONS // 100
    assert lost > 0
