"""A pour is killed at any moment, and goes on: ``CASTORE_KILLS`` says how often."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from notes import make_notes
from pouring import push_notes

SUPPORT = Path(__file__).parent.parent / "tests" / "support"
PROGRAM = Path(__file__).parent / "pourers.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "20"))
BATCH = 5
LONGEST_LIFE = 0.03  # seconds
AGGREGATES = 10
EVENTS = AGGREGATES * max(20, 3 * KILLS)


class Pourers:
    """Starts and kills processes that pour."""

    def __init__(self, directory: Path) -> None:
        self.channel = directory / "channel"
        self.url = f"sqlite:///{directory}/events.db"
        place = {
            "url": self.url,
            "channel": str(self.channel),
            "checkpoint": str(directory / "pour.json"),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", PROGRAM, json.dumps(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of their own
            env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        )

    async def fill(self) -> list[tuple[str, int]]:
        """Push notes at scattered moments, and return their places in the order of these."""
        engine = create_engine(self.url)
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        await SQLBookmarkStorageAdapter(engine).create_tables()
        moments = random.Random(3).sample(range(10 * EVENTS), EVENTS)
        places: list[tuple[str, int, int]] = []
        for number in range(AGGREGATES):
            own = sorted(moments[number::AGGREGATES])
            places += [(f"a{number}", version, each) for version, each in enumerate(own, 1)]
        await push_notes(make_notes(adapter), *places)
        engine.dispose()
        return [each[:2] for each in sorted(places, key=lambda place: place[2])]

    def run_and_kill(self, kind: str, moments: random.Random) -> None:
        """Let one pour for a moment, and kill it."""
        self._command(f"start {kind}")
        pid = self._listen("started")
        self._listen("READY")
        time.sleep(moments.uniform(0, LONGEST_LIFE))
        os.kill(pid, signal.SIGKILL)
        self._command("wait")
        self._listen("waited")

    def run(self, kind: str) -> Any:
        """Let one pour to the end, and return how many events it says that were poured."""
        self._command(f"start {kind}")
        return self._listen("ENDED")

    def read_channel(self) -> list[tuple[str, int]]:
        """Return the places of the messages that arrived."""
        lines = self.channel.read_text().splitlines() if self.channel.exists() else []
        return [(aggregate_id, version) for aggregate_id, version in map(json.loads, lines)]

    def close(self) -> None:
        """End it all, whatever became of the test."""
        os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:  # closes the pipes
            pass

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def _listen(self, word: str) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if word in (values := json.loads(line)):
                return values[word]
        raise AssertionError(f"the processes have ended before one said {word!r}")


@pytest.fixture
def pourers(tmp_path: Path) -> Iterator[Pourers]:
    """Give pourers, none of which is at work."""
    pourers = Pourers(tmp_path)
    yield pourers
    pourers.close()


@pytest.mark.parametrize("kind", ["file", "bookmark"])
async def test_a_killed_pour_goes_on(pourers: Pourers, kind: str) -> None:
    """Each event arrives, in the order of the timestamps, and a kill repeats one batch at most."""
    places = await pourers.fill()
    moments, counts = random.Random(7), [0]
    for _ in range(KILLS):
        pourers.run_and_kill(kind, moments)
        counts.append(len(set(pourers.read_channel())))
    assert counts[-1] < EVENTS, "all was poured before the last kill"
    assert EVENTS == pourers.run(kind)
    arrived = pourers.read_channel()
    assert places == [*dict.fromkeys(arrived)]
    assert KILLS * BATCH >= len(arrived) - EVENTS
    assert EVENTS == pourers.run(kind)
    assert len(arrived) == len(pourers.read_channel())
