"""A projection meets faults of its database: nothing is lost or doubled, and it recovers."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from accounts import eventually, no_delay
from castore_core import Lease, LogPosition, StorageError
from castore_projections import EventFailed, EventParked, ProjectionReport, ReadingFailed
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from counting import Counted, Counting, Place

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = "
    "'client backend' AND application_name = :name"
)

each_place = pytest.mark.parametrize("place", ["asyncpg", "psycopg-sync"], indirect=True)


class Fault:
    """Connections that are closed by the server, all at once."""

    def __init__(self, place: Place) -> None:
        self.name = place.url[-12:] + "-faulty"
        self._place = place

    def create_engine(self, **options: Any) -> Any:
        """Return an engine whose connections are closed."""
        connect_args = {**self._place.connect_args}
        if "server_settings" in connect_args:
            settings = {**connect_args["server_settings"], "application_name": self.name}
            connect_args["server_settings"] = settings
        else:
            connect_args["application_name"] = self.name
        return self._place._replace(connect_args=connect_args).create_engine(**options)

    async def strike(self, counting: Counting) -> int:
        """Close all of them, and return how many there were."""
        return len(await counting.run(TERMINATE, name=self.name))


@pytest.fixture
def fault(place: Place) -> Fault:
    """Return the closing of connections."""
    return Fault(place)


def has_all(counting: Counting) -> Callable[[], Any]:
    """Return a check that the read model has all events."""

    async def check() -> bool:
        return await counting.read_events() == await counting.read_counts()

    return check


@each_place
@pytest.mark.parametrize("max_attempts", [1, 3])
async def test_connections_that_break_in_a_step(
    counting: Counting, fault: Fault, max_attempts: int
) -> None:
    """The transaction is lost with its connection: the event is no poison, and comes again."""
    faulty = Counting(fault.create_engine())
    reports: list[ProjectionReport] = []
    strikes = 0

    async def strike(event: Counted) -> None:
        nonlocal strikes
        if event.version == 3 and strikes < 3:
            strikes += 1
            assert await fault.strike(counting)

    await counting.push("a", 5)
    await counting.push("b", 5)
    projection = faulty.project(
        before=strike, on_report=reports.append, max_attempts=max_attempts, lease=5
    )
    async with projection:
        await eventually(has_all(counting))
    await faulty.dispose()

    assert [] == await counting.find_faults()
    assert 3 == strikes
    assert 3 == sum(isinstance(each, EventFailed) for each in reports)
    assert [] == [each for each in reports if isinstance(each, EventParked)]


@each_place
async def test_connections_that_break_while_idle(counting: Counting, fault: Fault) -> None:
    """The projection goes on with other connections."""
    faulty = Counting(fault.create_engine())
    async with faulty.project(poll_interval=0.05):
        for number in range(1, 6):
            await counting.push("a", number)
            await eventually(has_all(counting))
            assert await fault.strike(counting)
            await asyncio.sleep(0.1)
    await faulty.dispose()

    assert [] == await counting.find_faults()


@each_place
async def test_a_pool_without_a_free_connection(counting: Counting, place: Place) -> None:
    """The projection waits, reports it, and recovers."""
    engine: Any = place.create_engine(pool_size=1, max_overflow=0, pool_timeout=0.2)
    poor = Counting(engine)
    poor.bookmarks = SQLBookmarkStorageAdapter(engine, busy_timeout=0.2)
    poor.events = SQLEventStorageAdapter(engine, busy_timeout=0.2)
    poor.store.storage_adapter = poor.events
    reports: list[ProjectionReport] = []
    async with poor.project(on_report=reports.append, lease=0.5):
        await counting.push("a", 5)
        await eventually(has_all(counting))
        held = await _hold(engine)
        await counting.push("a", 5)
        await eventually(_has_failed(reports))
        held.close()
        await eventually(has_all(counting))
    await poor.dispose()

    assert [] == await counting.find_faults()


async def _hold(engine: Any) -> Any:
    """Take the only connection of a pool, once it is free."""
    pool: Any = engine.sync_engine.pool if isinstance(engine, AsyncEngine) else engine.pool

    async def is_free() -> bool:
        return bool(pool.checkedin())

    await eventually(is_free)
    return await greenlet_spawn(pool.connect)


def _has_failed(reports: list[ProjectionReport]) -> Callable[[], Any]:
    async def check() -> bool:
        return any(isinstance(each, ReadingFailed) for each in reports)

    return check


@pytest.mark.parametrize("place", ["sqlite", "sqlite+aiosqlite"], indirect=True)
async def test_a_locked_file(counting: Counting, place: Place) -> None:
    """Somebody else locks the file of SQLite for longer than the lease: it recovers."""
    engine = place.create_engine()
    busy = Counting(engine)
    busy.bookmarks = SQLBookmarkStorageAdapter(engine, busy_timeout=0.1)
    reports: list[ProjectionReport] = []
    path = Path(place.url.partition(":///")[2])
    async with busy.project(on_report=reports.append, lease=0.5):
        await counting.push("a", 5)
        await eventually(has_all(counting))
        await counting.push("a", 50)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(1)
            await eventually(_has_failed_or_come(reports, counting))
            other.execute("ROLLBACK")
        await counting.push("a", 5)
        await eventually(has_all(counting))
    await busy.dispose()

    assert [] == await counting.find_faults()


def _has_failed_or_come(reports: list[ProjectionReport], counting: Counting) -> Callable[[], Any]:
    failed, come = _has_failed(reports), has_all(counting)

    async def check() -> bool:
        return await failed() or await come()

    return check


class LosingBookmarks(SQLBookmarkStorageAdapter[Any]):
    """Bookmarks of which each third move is committed, and its answer lost."""

    moves = 0

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **options: Any
    ) -> AsyncGenerator[Any]:
        """Move, and fail then."""
        async with super().move_bookmark(lease, position, **options) as transaction:
            yield transaction
        self.moves += 1
        if self.moves % 3 == 0:
            raise StorageError("the answer was lost")


@pytest.mark.parametrize("place", ["sqlite", "asyncpg"], indirect=True)
async def test_answers_of_commits_that_are_lost(counting: Counting) -> None:
    """The bookmark tells what became of a step: it is not done twice."""
    bookmarks = LosingBookmarks(counting.engine)
    counting.bookmarks = bookmarks
    reports: list[ProjectionReport] = []
    is_broken = True

    async def fail(event: Counted) -> None:
        if event.aggregate_id == "b" and event.version == 2 and is_broken:
            raise ValueError("poison")

    projection = counting.project(
        before=fail, on_report=reports.append, batch_size=2, retry_delay=no_delay
    )
    async with projection:
        for name in "abc":
            await counting.push(name, 7)
        await eventually(_is_parked(projection, 6))
        is_broken = False
        await projection.retry_parked_events()
        await eventually(has_all(counting), within=20)

    assert [] == await counting.find_faults()
    assert bookmarks.moves // 3 <= sum(isinstance(each, ReadingFailed) for each in reports) + 1


def _is_parked(projection: Any, number: int) -> Callable[[], Any]:
    async def check() -> bool:
        return number == len([each async for each in projection.iter_parked_events()])

    return check
