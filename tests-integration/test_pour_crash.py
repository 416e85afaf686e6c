"""A pour is killed at any moment, and goes on. ``CASTORE_KILLS=20`` kills it so many times."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from file_channel import read_channel
from forking import ForkingProgram
from notes import make_notes
from pouring import push_notes

PROGRAM = Path(__file__).parent / "pourers.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "5"))
BATCH = 5
LONGEST_LIFE = 0.03  # seconds
AGGREGATES = 10
EVENTS = AGGREGATES * max(20, 3 * KILLS)


class Pourers:
    """Processes that pour, and the channel that they pour into."""

    def __init__(self, directory: Path) -> None:
        self.channel = directory / "channel"
        self.url = f"sqlite:///{directory}/events.db"
        place = {
            "url": self.url,
            "channel": str(self.channel),
            "checkpoint": str(directory / "pour.json"),
        }
        self.program = ForkingProgram(PROGRAM, place)

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

    def run(self, kind: str) -> int:
        """Let one pour to the end, and return how many events it says that were poured."""
        count: int = self.program.start(kind, until="ENDED")
        return count


@pytest.fixture
def pourers(tmp_path: Path) -> Iterator[Pourers]:
    """Give pourers, none of which is at work."""
    pourers = Pourers(tmp_path)
    yield pourers
    pourers.program.close()


@pytest.mark.parametrize("kind", ["file", "bookmark"])
async def test_a_killed_pour_goes_on(pourers: Pourers, kind: str) -> None:
    """Each event arrives, in the order of the timestamps, and a kill repeats one batch at most."""
    places = await pourers.fill()
    moments, counts = random.Random(7), [0]
    for _ in range(KILLS):
        pourers.program.run_and_kill(kind, moments, LONGEST_LIFE)
        counts.append(len(set(read_channel(pourers.channel))))
    assert counts[-1] < EVENTS, "all was poured before the last kill"
    assert EVENTS == pourers.run(kind)
    arrived = read_channel(pourers.channel)
    assert places == [*dict.fromkeys(arrived)]
    assert KILLS * BATCH >= len(arrived) - EVENTS
    assert EVENTS == pourers.run(kind)
    assert len(arrived) == len(read_channel(pourers.channel))
