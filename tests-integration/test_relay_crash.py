"""A relay is killed between a publish and its bookmark: every event arrives, in order.

A wrong design takes part as a control: the same checks catch it. The other one, a bookmark outside
the transaction of a read model, is caught in `test_projection_crash`. ``CASTORE_KILLS`` says how
often a relay is killed.
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine

from accounts import Deposited, Opened, make_accounts
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from file_channel import read_channel
from forking import ForkingProgram
from sql_servers import KINDS, SYNC_DRIVERS, ServerDatabase, using_servers

PROGRAM = Path(__file__).parent / "relays.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "50"))
MOST_KILLS_TO_NOTICE = 50
BATCH = 5
AGGREGATES = 20
LONGEST_LIFE = 0.04  # seconds
VERSIONS = max(20, KILLS)  # so many events that no relay comes to the end before the last kill
EVENTS = AGGREGATES * VERSIONS

each_database = pytest.mark.parametrize("database", ["sqlite", "asyncpg"], indirect=True)


class Place(NamedTuple):
    """Where relays work, and where the test looks."""

    arguments: dict[str, Any]
    channel: Path
    sync_url: str
    sync_connect_args: dict[str, Any]


class Database:
    """The database and the channel as the test sees them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._engine = create_engine(place.sync_url, connect_args=place.sync_connect_args)

    async def fill(self) -> None:
        """Create the tables, and push the events, those of all aggregates in turn."""
        events = SQLEventStorageAdapter(self._engine)
        await events.create_tables()
        await SQLBookmarkStorageAdapter(self._engine).create_tables()
        store = make_accounts(events)
        ids = [f"a{each}" for each in range(AGGREGATES)]
        await asyncio.gather(*(store.push_event(Opened(each, 1)) for each in ids))
        for version in range(2, VERSIONS + 1):
            payload: Any = {"amount": 1}
            pushes = (store.push_event(Deposited(each, version, payload=payload)) for each in ids)
            await asyncio.gather(*pushes)

    def read_channel(self) -> list[tuple[str, int]]:
        """Return the places of the messages that arrived."""
        return read_channel(self.place.channel)

    def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()


@pytest.fixture
def database(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> Iterator[Database]:
    """Give a file of SQLite, or a schema of PostgreSQL that no other test holds up, with events."""
    channel = tmp_path / "channel"
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/events.db"
        yield from _open(channel, (url, {}), (url, {}))
        return
    driver, sync_driver = KINDS[request.param].driver, SYNC_DRIVERS["postgres"]
    server = ServerDatabase("postgres", find_server("postgres"))
    with using_servers(alone=True):
        server.create()
        url, sync_url = (
            server.get_url(each).render_as_string(hide_password=False)
            for each in (driver, sync_driver)
        )
        args, sync_args = (server.get_connect_args(each) for each in (driver, sync_driver))
        yield from _open(channel, (url, args), (sync_url, sync_args))
        server.drop()


def _open(
    channel: Path,
    engine: tuple[str, dict[str, Any]],
    sync_engine: tuple[str, dict[str, Any]],
) -> Iterator[Database]:
    arguments = {"url": engine[0], "connect_args": engine[1], "channel": str(channel)}
    database = Database(Place(arguments, channel, *sync_engine))
    asyncio.run(database.fill())
    yield database
    database.dispose()


@pytest.fixture
def relays(database: Database) -> Iterator[ForkingProgram]:
    """Give relays, none of which is at work."""
    relays = ForkingProgram(PROGRAM, database.place.arguments)
    yield relays
    relays.close()


def check_order(places: list[tuple[str, int]]) -> None:
    """Check that no message of an aggregate came before the one that precedes it."""
    last: defaultdict[str, int] = defaultdict(int)
    for aggregate_id, version in dict.fromkeys(places):
        assert last[aggregate_id] + 1 == version, f"{version} of {aggregate_id} came too early"
        last[aggregate_id] = version


def finish(relays: ForkingProgram, kind: str, is_finished: Callable[[], bool]) -> None:
    """Let a process come to the end of the log."""
    relays.start(kind)
    deadline = time.monotonic() + 60
    while not is_finished() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # nothing may follow
    relays.kill()


@each_database
def test_a_killed_relay_loses_nothing(database: Database, relays: ForkingProgram) -> None:
    """Each event arrives, in order, and few come twice: at most one batch for each kill."""
    moments, counts = random.Random(7), [0]
    for _ in range(KILLS):
        relays.run_and_kill("right", moments, LONGEST_LIFE)
        counts.append(len(set(database.read_channel())))
    finish(relays, "right", lambda: len(set(database.read_channel())) == EVENTS)

    places = database.read_channel()
    check_order(places)
    assert EVENTS == len(set(places))
    assert 0 < len(places) - EVENTS <= KILLS * BATCH
    assert KILLS // 2 < len(set(counts)), "the relays were killed before they had published"
    assert counts[-1] < EVENTS, "a relay came to the end before the last kill"


@each_database
def test_a_bookmark_that_moves_before_the_publish_is_caught(
    database: Database, relays: ForkingProgram
) -> None:
    """Control: the test above would tell, as messages are lost then."""
    moments = random.Random(7)
    for _ in range(MOST_KILLS_TO_NOTICE):
        relays.run_and_kill("hasty", moments, LONGEST_LIFE)
        try:
            check_order(database.read_channel())
        except AssertionError:
            return
    pytest.fail(f"nothing was lost, in spite of {MOST_KILLS_TO_NOTICE} kills")
