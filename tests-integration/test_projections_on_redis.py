"""A projection with bookmarks and read model in Redis: killed, it counts each event exactly once.

``CASTORE_KILLS=500`` kills so many times.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from projection_processes import Processes
from redis_counting import RedisCounting, RedisPlace

PROGRAM = Path(__file__).parent / "redis_projection_runners.py"
KILLS = int(os.environ.get("CASTORE_KILLS", "20"))
MOST_KILLS_TO_NOTICE = 60
LONGEST_LIFE = 0.06  # seconds, from the moment in which the lease is had
LEASE = 0.15  # seconds; the next runner waits for it after a kill
EVENTS = 20  # that are pushed to an aggregate for each kill
PATIENCE = 60  # seconds


@pytest.fixture(params=["redis", "valkey"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> RedisPlace:
    """Give a database of events, and keys of the test's own."""
    url = find_server(request.param)
    return RedisPlace(f"{tmp_path}/events.db", url, f"test-{uuid4().hex[:12]}")


@pytest.fixture
async def counting(place: RedisPlace) -> AsyncGenerator[RedisCounting]:
    """Give the events and the read model."""
    counting = RedisCounting(place)
    await counting.events.create_tables()
    yield counting
    await counting.aclose()


@pytest.fixture
def processes(place: RedisPlace, counting: RedisCounting) -> Generator[Processes]:  # noqa: ARG001 it has tables
    """Give a starter of processes."""
    processes = Processes(place, PROGRAM)
    yield processes
    processes.close()


def run_and_kill(processes: Processes, moments: random.Random, *, is_apart: bool = False) -> None:
    """Let a runner work for a moment, and kill it."""
    pid = processes.start("run", lease=LEASE, is_apart=is_apart)
    processes.listen("report", pid=pid, value="LeaseTaken")
    time.sleep(moments.uniform(0, LONGEST_LIFE))
    processes.kill(pid)


async def kill_again_and_again(
    counting: RedisCounting, processes: Processes, kills: int, *, is_apart: bool = False
) -> dict[str, int]:
    """Push events while runners are killed, and return how many each aggregate has."""
    seed = random.randrange(2**32)
    print(f"seed: {seed}")  # noqa: T201 to run it again
    moments = random.Random(seed)
    for number in range(kills):
        first = 1 + number * EVENTS
        await counting.push("a", first, EVENTS)
        killing = asyncio.to_thread(run_and_kill, processes, moments, is_apart=is_apart)
        await asyncio.gather(killing, counting.push("b", first, EVENTS))
    return dict.fromkeys("ab", kills * EVENTS)


async def finish(counting: RedisCounting, expected: dict[str, int]) -> None:
    """Handle what is left, once the lease of a runner that was killed has run out."""
    with anyio.fail_after(PATIENCE):
        async with counting.project():
            while sum((await counting.read_counts()).values()) < sum(expected.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)  # for any that would be counted twice


async def test_runners_that_are_killed_count_each_event_once(
    counting: RedisCounting, processes: Processes
) -> None:
    """The counts are those of the events, and each aggregate was handled in its order."""
    expected = await kill_again_and_again(counting, processes, KILLS)
    before = await counting.read_counts()
    await finish(counting, expected)

    assert sum(before.values()) > 0, "the runners that were killed did nothing"
    assert expected == await counting.read_counts()
    for each, count in expected.items():
        assert list(range(1, count + 1)) == await counting.read_versions(each)


@pytest.mark.parametrize("place", ["redis"], indirect=True)
async def test_bookmarks_that_move_apart_would_be_noticed(
    counting: RedisCounting, processes: Processes
) -> None:
    """This test would tell if the bookmark moved in a transaction of its own."""
    expected = await kill_again_and_again(counting, processes, MOST_KILLS_TO_NOTICE, is_apart=True)
    await finish(counting, expected)

    assert expected != await counting.read_counts()
