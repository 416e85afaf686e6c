"""A reader that counts events is killed at it, and stopped: each event is counted exactly once."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine, text

from castore_core import LOG_START, EventRecord
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from forking import ForkingProgram
from sql_servers import KINDS, SYNC_DRIVERS, ServerDatabase, using_servers

PROGRAM = Path(__file__).parent / "counting_readers.py"
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS = 1500
KILLS = 20
LONGEST_LIFE = 0.06  # seconds
STOP = 0.5  # seconds; longer than a lease


class Place(NamedTuple):
    """Where readers count, and where the test looks."""

    url: str
    connect_args: dict[str, Any]
    sync_url: str
    sync_connect_args: dict[str, Any]


class Counted:
    """The database as the test sees it."""

    def __init__(self, place: Place) -> None:
        self._engine = create_engine(place.sync_url, connect_args=place.sync_connect_args)
        self.events = SQLEventStorageAdapter(self._engine)
        self.bookmarks = SQLBookmarkStorageAdapter(self._engine)

    async def fill(self) -> None:
        """Create the tables, and push the events that are to be counted."""
        await self.events.create_tables()
        await self.bookmarks.create_tables()
        with self._engine.begin() as connection:
            connection.execute(text("CREATE TABLE counted (total INTEGER)"))
            connection.execute(text("INSERT INTO counted VALUES (0)"))
        records = (EventRecord(f"a{each}", 1, "T", MOMENT) for each in range(EVENTS))
        await asyncio.gather(*(self.events.push_event("STORE", each) for each in records))

    def get_total(self) -> int:
        """Return how many events were counted."""
        with self._engine.connect() as connection:
            return connection.execute(text("SELECT total FROM counted")).scalar_one()

    async def get_number_to_the_bookmark(self) -> int:
        """Return how many events the bookmark is past."""
        position = (await self.bookmarks.get_bookmark("counter")).position or LOG_START
        found = await self.events.read_events(limit=EVENTS)
        return sum(each.position <= position for each in found.entries)

    def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> Iterator[Place]:
    """Give a database: a file of SQLite, or a schema of PostgreSQL that no other test holds up."""
    if request.param.startswith("sqlite"):
        path = f"///{tmp_path}/events.db"
        yield Place(f"{request.param}:{path}", {}, f"sqlite:{path}", {})
        return
    driver = KINDS[request.param].driver
    database = ServerDatabase("postgres", find_server("postgres"))
    sync_driver = SYNC_DRIVERS["postgres"]
    with using_servers(alone=True):
        database.create()
        yield Place(
            database.get_url(driver).render_as_string(hide_password=False),
            database.get_connect_args(driver),
            database.get_url(sync_driver).render_as_string(hide_password=False),
            database.get_connect_args(sync_driver),
        )
        database.drop()


@pytest.fixture
def counted(place: Place) -> Iterator[Counted]:
    """Give a database with events, of which none is counted yet."""
    counted = Counted(place)
    asyncio.run(counted.fill())
    yield counted
    counted.dispose()


@pytest.fixture
def readers(place: Place) -> Iterator[ForkingProgram]:
    """Give readers, none of which is at work."""
    readers = ForkingProgram(PROGRAM, {"url": place.url, "connect_args": place.connect_args})
    yield readers
    readers.close()


def finish(readers: ForkingProgram) -> None:
    """Let a reader come to the end of the log."""
    readers.start("finishing")
    readers.listen("finished")
    readers.wait()


@pytest.mark.parametrize("place", ["sqlite", "sqlite+aiosqlite", "asyncpg"], indirect=True)
def test_killed_readers_count_each_event_once(counted: Counted, readers: ForkingProgram) -> None:
    """After 20 kills, and a reader that comes to the end, the count is that of the events."""
    moments, totals = random.Random(7), [0]
    for _ in range(KILLS):
        readers.run_and_kill("together", moments, LONGEST_LIFE)
        totals.append(counted.get_total())
    finish(readers)

    assert EVENTS == counted.get_total()
    assert 5 < len(set(totals)), "the readers were killed before they had counted anything"


@pytest.mark.parametrize("place", ["sqlite", "asyncpg"], indirect=True)
def test_bookmarks_that_move_apart_are_caught(counted: Counted, readers: ForkingProgram) -> None:
    """This test would tell if the bookmark moved in a transaction of its own."""
    moments = random.Random(7)
    for _ in range(KILLS):
        readers.run_and_kill("apart", moments, LONGEST_LIFE)
        with asyncio.Runner() as runner:
            number = runner.run(counted.get_number_to_the_bookmark())
        if counted.get_total() > number:
            return
    pytest.fail(f"the readers counted each event once, in spite of {KILLS} kills")


@pytest.mark.parametrize("place", ["sqlite", "sqlite+aiosqlite"], indirect=True)
def test_a_reader_that_was_stopped_does_not_commit(
    counted: Counted, readers: ForkingProgram
) -> None:
    """It goes on after its lease has run out, finds it lost, and has counted nothing."""
    readers.start("standing")
    readers.signal(signal.SIGSTOP)
    time.sleep(STOP)
    readers.signal(signal.SIGCONT)

    assert str(readers.listen("lost")).startswith("reader-")
    readers.wait()
    assert 0 == counted.get_total()


@pytest.mark.parametrize("place", ["asyncpg", "psycopg-sync"], indirect=True)
async def test_a_reader_that_was_stopped_is_replaced(place: Place, readers: ForkingProgram) -> None:
    """On a server, another reader moves the bookmark meanwhile, and it stays where it is."""
    counted = Counted(place)
    await counted.fill()
    await asyncio.to_thread(readers.start, "standing")
    readers.signal(signal.SIGSTOP)
    await asyncio.sleep(STOP)
    lease = await counted.bookmarks.acquire_lease("counter", "other", timedelta(minutes=1))
    assert lease is not None
    async with counted.bookmarks.move_bookmark(lease, "7"):
        pass
    readers.signal(signal.SIGCONT)
    await asyncio.to_thread(readers.listen, "lost")
    await asyncio.to_thread(readers.wait)

    assert (0, "7") == (
        counted.get_total(),
        (await counted.bookmarks.get_bookmark("counter")).position,
    )
    counted.dispose()
