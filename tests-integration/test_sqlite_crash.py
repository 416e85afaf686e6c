"""Several processes push to one SQLite file, and are killed at it: nothing is lost or torn."""

import asyncio
import json
import os
import queue
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import create_engine

from castore_core import LOG_START, EventRecord, LogEntry, parse_position
from castore_sql import SQLEventStorageAdapter

PROGRAM = Path(__file__).parent / "sqlite_pushers.py"
MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
MOST_KILLS_TO_NOTICE = 40

each_driver = pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])


class Acknowledgement(NamedTuple):
    """What a pusher said that it had pushed."""

    places: Sequence[tuple[str, str, int]]
    token: str


class Pushers:
    """Starts and kills processes that push, and gathers what they say."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledgement] = []
        self.statuses: list[int] = []
        self._running: set[int] = set()
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of their own
        )
        self._reader = threading.Thread(target=self._read)  # or else the pipe fills up
        self._reader.start()

    def start(self, kind: str, url: str) -> None:
        """Start a pusher, and return when it runs."""
        self._command(f"start {kind} {url}")
        while "started" not in (line := self._lines.get(timeout=60)):
            self._note(line)
        self._running.add(line["started"])

    def listen(self, word: str) -> None:
        """Wait until a pusher says that it ``pushed``, or has ``locked`` the database."""
        while word not in (line := self._lines.get(timeout=60)):
            self._note(line)
        self._note(line)

    def kill(self) -> None:
        """Kill all pushers, and note what they had said."""
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait until all pushers have ended, and note what they said."""
        self._command("wait")
        while "waited" not in (line := self._lines.get(timeout=60)):
            self._note(line)

    def close(self) -> None:
        """End it all, whatever became of the test."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join()
        with self._process:  # closes the pipes
            pass

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def _note(self, line: dict[str, Any]) -> None:
        if "pushed" in line:
            places = [(store, aggregate, version) for store, aggregate, version in line["pushed"]]
            self.acknowledged.append(Acknowledgement(places, line["token"]))
        if "ended" in line:
            self._running.remove(line["ended"])
            self.statuses.append(line["status"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))


class Row(NamedTuple):
    """A row of the event table."""

    position: int
    event_store_id: str
    aggregate_id: str
    version: int
    token: str


def read_rows(path: Path) -> list[Row]:
    """Read the event table without castore."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id, aggregate_name, aggregate_id, version, data FROM event ORDER BY id"
        )
        return [Row._make([*place, json.loads(data)]) for *place, data in rows]


def find_faults(path: Path, acknowledged: Sequence[Acknowledgement]) -> list[str]:
    """Return what is wrong with a file, after pushes that were acknowledged and others."""
    rows = read_rows(path)
    tokens = {row[1:4]: row.token for row in rows}
    versions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    stores: defaultdict[tuple[str, int], set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        versions[row.event_store_id, row.aggregate_id].append(row.version)
        if row.aggregate_id.startswith("group"):
            stores[row.aggregate_id, row.version].add((row.event_store_id, row.token))

    faults = [
        f"lost: {place} of {token}"
        for places, token in acknowledged
        for place in places
        if tokens.get(place) != token
    ]
    # Each aggregate has one writer or a lock of the database, so that it grows as the log does.
    faults += [
        f"gap: {key}" for key, found in versions.items() if found != [*range(1, len(found) + 1)]
    ]
    faults += [
        f"half a group: {key}"
        for key, found in stores.items()
        if {store for store, _ in found} != {"LEFT", "RIGHT"} or len({t for _, t in found}) > 1
    ]
    with closing(sqlite3.connect(path)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    return faults if integrity == "ok" else [*faults, integrity]


@pytest.fixture
def pushers() -> Iterator[Pushers]:
    """Give a starter of processes."""
    pushers = Pushers()
    yield pushers
    pushers.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a database that is not there yet."""
    return tmp_path / "events.db"


@pytest.fixture
def moments() -> random.Random:
    """Give a source of random moments, whose seed a failing test shows."""
    seed = random.randrange(2**32)
    print(f"seed: {seed}")  # noqa: T201 to run it again
    return random.Random(seed)


async def follow(path: Path, entries: list[LogEntry]) -> None:
    """Read the log on from where one has come."""
    engine = create_engine(f"sqlite:///{path}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    position = entries[-1].position if entries else LOG_START
    while (found := await adapter.read_events(after=position, limit=1000)).entries:
        entries += found.entries
        position = found.position
    engine.dispose()


def run_and_kill(pushers: Pushers, kind: str, url: str, seconds: float) -> None:
    """Let a pusher push for a while."""
    pushers.start(kind, url)
    time.sleep(seconds)
    pushers.kill()


@pytest.mark.parametrize(("driver", "kills"), [("sqlite", 50), ("sqlite+aiosqlite", 10)])
def test_kills_lose_and_tear_nothing(
    pushers: Pushers, path: Path, moments: random.Random, driver: str, kills: int
) -> None:
    """After kills at random moments, what was acknowledged is there, and groups are whole."""
    entries: list[LogEntry] = []

    for number in range(kills):
        run_and_kill(pushers, "sound", f"{driver}:///{path}", moments.uniform(0.03, 0.3))
        if number % 5 == 0:
            asyncio.run(follow(path, entries))

    assert [-signal.SIGKILL] * kills == pushers.statuses
    assert len(pushers.acknowledged) > kills
    assert [] == find_faults(path, pushers.acknowledged)
    # A reader that followed the log all along has seen the same as one that comes now.
    asyncio.run(follow(path, entries))
    seen = [
        (parse_position(entry.position), entry.event_store_id, *entry.record[:2])
        for entry in entries
    ]
    assert [row[:4] for row in read_rows(path)] == seen
    print(f"{len(pushers.acknowledged)} pushes acknowledged in {kills} runs")  # noqa: T201


@pytest.mark.parametrize(("kind", "fault"), [("too-early", "lost"), ("torn", "half a group")])
def test_kills_show_what_is_wrong(
    pushers: Pushers, path: Path, moments: random.Random, kind: str, fault: str
) -> None:
    """A pusher that acknowledges before the commit, or commits half a group, is found out."""
    for _ in range(MOST_KILLS_TO_NOTICE):
        pushers.start(kind, f"sqlite:///{path}")
        pushers.listen("pushed")
        time.sleep(moments.uniform(0, 0.05))
        pushers.kill()
        if faults := find_faults(path, pushers.acknowledged):
            assert {fault} == {each.partition(":")[0] for each in faults}
            return
    pytest.fail("nobody noticed")


@each_driver
@pytest.mark.parametrize("kind", ["contending", "leaping"])
def test_several_processes_contend(pushers: Pushers, path: Path, driver: str, kind: str) -> None:
    """Four processes race for two aggregates: every push is written once, and leaves no gap."""
    for _ in range(4):
        pushers.start(kind, f"{driver}:///{path}")
    pushers.wait()

    assert [0] * 4 == pushers.statuses
    places = [place for places, _ in pushers.acknowledged for place in places]
    assert sorted(places) == [
        ("LEFT", each, version)
        for each in ("contended-1", "contended-2")
        for version in range(1, 201)
    ]
    assert [] == find_faults(path, pushers.acknowledged)


def test_several_processes_create_tables(pushers: Pushers, path: Path) -> None:
    """Eight processes that begin on a new file at the same moment all come through."""
    for _ in range(8):
        pushers.start("creating", f"sqlite:///{path}")
    pushers.wait()

    assert [0] * 8 == pushers.statuses
    assert [] == read_rows(path)


@each_driver
def test_kills_of_one_process_harm_no_other(
    pushers: Pushers, path: Path, moments: random.Random, driver: str
) -> None:
    """While others are killed all around it, a process finishes what it has to push."""
    url = f"{driver}:///{path}"
    survivors = Pushers()
    survivors.start("contending", url)
    for _ in range(8):
        run_and_kill(pushers, "sound", url, moments.uniform(0.03, 0.15))
    survivors.wait()
    survivors.close()

    assert [0] == survivors.statuses
    assert 100 == len(survivors.acknowledged)
    assert [] == find_faults(path, [*survivors.acknowledged, *pushers.acknowledged])


async def test_a_lock_dies_with_its_process(pushers: Pushers, path: Path) -> None:
    """A push waits for a process that holds the lock, also when that one is killed."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0.1})
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    pushers.start("locking", f"sqlite:///{path}")
    await asyncio.to_thread(pushers.listen, "locked")

    push = asyncio.ensure_future(adapter.push_event("LEFT", EventRecord("a", 1, "T", MOMENT, "x")))
    await asyncio.sleep(1.5)
    assert not push.done()
    await asyncio.to_thread(pushers.kill)
    await push

    assert [(1, "LEFT", "a", 1, "x")] == read_rows(path)
    engine.dispose()
