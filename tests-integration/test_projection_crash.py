"""Processes that run a projection are killed and stopped: each event is counted exactly once.

``CASTORE_KILLS=500`` kills so many times.
"""

import asyncio
import os
import random
import signal
import time

import pytest

from accounts import eventually
from counting import Counting
from projection_processes import Processes

KILLS = int(os.environ.get("CASTORE_KILLS", "50"))
KILLS_OF_A_SECOND_DRIVER = max(5, KILLS // 5)
MOST_KILLS_TO_NOTICE = 40
LONGEST_LIFE = 0.1  # seconds, from the moment in which the lease is had
LEASE = 0.15  # seconds; the next runner waits for it after a kill


@pytest.fixture
def moments() -> random.Random:
    """Give a source of random moments, whose seed a failing test shows."""
    seed = random.randrange(2**32)
    print(f"seed: {seed}")  # noqa: T201 to run it again
    return random.Random(seed)


def run_and_kill(processes: Processes, moments: random.Random, *, is_apart: bool = False) -> None:
    """Let a runner work for a moment, and kill it."""
    pid = processes.start("run", lease=LEASE, is_apart=is_apart)
    processes.listen("report", pid=pid, value="LeaseTaken")
    time.sleep(moments.uniform(0, LONGEST_LIFE))
    processes.kill(pid)


async def finish(counting: Counting) -> None:
    """Handle what is left, once the lease of a runner that was killed has run out."""
    await asyncio.sleep(LEASE)
    while await counting.project().run_once():
        pass


@pytest.mark.timeout(60 + 2 * KILLS)
@pytest.mark.parametrize(
    ("place", "kills"),
    [
        ("sqlite", KILLS),
        ("asyncpg", KILLS),
        ("sqlite+aiosqlite", KILLS_OF_A_SECOND_DRIVER),
        ("psycopg-sync", KILLS_OF_A_SECOND_DRIVER),
    ],
    indirect=["place"],
)
async def test_killed_runners_count_each_event_once(
    counting: Counting, processes: Processes, moments: random.Random, kills: int
) -> None:
    """After kills at random moments, while events are pushed, the counts are those of the log."""
    writers = [await asyncio.to_thread(processes.start, "write", pause=0.05) for _ in range(2)]
    totals = {0}
    for _ in range(kills):
        await asyncio.to_thread(run_and_kill, processes, moments)
        totals.add(sum((await counting.read_counts()).values()))
    for pid in writers:
        processes.kill(pid)
    await finish(counting)

    assert [] == await counting.find_faults()
    assert kills / 3 < len(totals), "the runners were killed before they had counted anything"
    print(f"{sum((await counting.read_events()).values())} events, {kills} kills")  # noqa: T201


@pytest.mark.parametrize("place", ["sqlite", "asyncpg"], indirect=True)
async def test_a_bookmark_that_moves_apart_is_caught(
    counting: Counting, processes: Processes, moments: random.Random
) -> None:
    """This test would tell if the bookmark moved in a transaction of its own."""
    await asyncio.to_thread(processes.start, "write", pause=0.05)
    for _ in range(MOST_KILLS_TO_NOTICE):
        await asyncio.to_thread(run_and_kill, processes, moments, is_apart=True)
        if any(each.startswith("order of ") for each in await counting.find_faults()):
            return  # an event came twice
    pytest.fail(f"the runners counted each event once, in spite of {MOST_KILLS_TO_NOTICE} kills")


@pytest.mark.parametrize("place", ["asyncpg", "psycopg-sync"], indirect=True)
async def test_a_runner_that_was_stopped_in_a_step_commits_nothing(
    counting: Counting, processes: Processes
) -> None:
    """Another runner takes over; the one that wakes finds its lease lost, and stands by."""
    await counting.push("a", 3)
    first = await asyncio.to_thread(processes.start, "run", lease=1, stands="before")
    await eventually(lambda: _has_all(counting))
    await counting.push("a", 1, "slow")
    await asyncio.to_thread(processes.listen, "standing", pid=first)
    processes.signal(first, signal.SIGSTOP)
    second = await asyncio.to_thread(processes.start, "run", lease=1)
    await asyncio.to_thread(processes.listen, "report", pid=second, value="LeaseTaken")

    await eventually(lambda: _has_all(counting))
    processes.signal(first, signal.SIGCONT)
    await asyncio.to_thread(processes.listen, "report", pid=first, value="LeaseLost")
    await counting.push("b", 5)
    processes.kill(second)
    await asyncio.to_thread(processes.listen, "report", pid=first, value="LeaseTaken")
    await counting.push("a", 5)
    await eventually(lambda: _has_all(counting))

    assert [] == await counting.find_faults()
    assert [second] == [each.pid for each in await counting.read_notes() if each[1:3] == ("a", 4)]


@pytest.mark.parametrize("place", ["asyncpg"], indirect=True)
async def test_a_runner_that_was_stopped_with_locks_holds_up_and_doubles_nothing(
    counting: Counting, processes: Processes
) -> None:
    """Its row locks hold up the next runner; once it wakes, its transaction is rolled back."""
    await counting.push("a", 1, "slow")
    first = await asyncio.to_thread(processes.start, "run", lease=1, stands="after")
    await asyncio.to_thread(processes.listen, "standing", pid=first)
    processes.signal(first, signal.SIGSTOP)
    second = await asyncio.to_thread(processes.start, "run", lease=1)
    await asyncio.to_thread(processes.listen, "report", pid=second, value="LeaseTaken")
    await asyncio.sleep(0.3)
    assert {} == await counting.read_counts()
    processes.signal(first, signal.SIGCONT)
    await asyncio.to_thread(processes.listen, "report", pid=first, value="LeaseLost")
    await eventually(lambda: _has_all(counting))

    assert [second] == [each.pid for each in await counting.read_notes()]


@pytest.mark.parametrize("place", ["sqlite", "sqlite+aiosqlite", "asyncpg"], indirect=True)
async def test_a_runner_that_was_stopped_while_idle_is_replaced(
    counting: Counting, processes: Processes
) -> None:
    """It reports that it has lost its lease, though it has nothing to handle, and stands by."""
    await counting.push("a", 3)
    first = await asyncio.to_thread(processes.start, "run", lease=0.5)
    await eventually(lambda: _has_all(counting))
    processes.signal(first, signal.SIGSTOP)
    second = await asyncio.to_thread(processes.start, "run", lease=0.5)
    await asyncio.to_thread(processes.listen, "report", pid=second, value="LeaseTaken")
    await counting.push("a", 3)
    await eventually(lambda: _has_all(counting))
    processes.signal(first, signal.SIGCONT)
    await asyncio.to_thread(processes.listen, "report", pid=first, value="LeaseLost")
    await counting.push("a", 3)
    await eventually(lambda: _has_all(counting))
    processes.kill(second)
    await asyncio.to_thread(processes.listen, "report", pid=first, value="LeaseTaken")
    await counting.push("a", 3)
    await eventually(lambda: _has_all(counting))

    assert [] == await counting.find_faults()
    expected = [first] * 3 + [second] * 6 + [first] * 3
    assert expected == [each.pid for each in await counting.read_notes()]


async def _has_all(counting: Counting) -> bool:
    return await counting.read_events() == await counting.read_counts()
