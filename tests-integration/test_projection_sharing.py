"""Processes share the partitions of a projection, and one version follows another."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from accounts import eventually
from castore_projections import ProjectionRetiredError
from counting import Counting
from projection_processes import Processes

PATIENCE = 30.0  # seconds


def owned(counting: Counting, partitions: int) -> Callable[[], Awaitable[list[int]]]:
    """Return a function that tells how many partitions each process has, the fewest first."""
    projection = counting.project(partitions=partitions)

    async def get() -> list[int]:
        status = await projection.status()
        owners = [each.owner for each in status.partitions]
        return sorted(Counter(each for each in owners if each is not None).values())

    return get


@asynccontextmanager
async def pushing(counting: Counting) -> AsyncGenerator[None]:
    """Push events to thirty aggregates, of all partitions, for the time of a block."""
    is_over = asyncio.Event()

    async def push(name: str) -> None:
        while not is_over.is_set():
            await counting.push(name)
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(push(f"{number}-{number}")) for number in range(30)]
    try:
        yield
    finally:
        is_over.set()
        await asyncio.gather(*tasks)


def has_all(counting: Counting, version: int = 1) -> Callable[[], Awaitable[bool]]:
    """Return a check that the read model has all events."""

    async def check() -> bool:
        return await counting.read_events() == await counting.read_counts(version)

    return check


@pytest.mark.parametrize("partitions", [4, 6])
@pytest.mark.parametrize("place", ["asyncpg"], indirect=True)
async def test_processes_share_partitions(
    counting: Counting, processes: Processes, partitions: int
) -> None:
    """Newcomers get their share, that of one that is killed is taken over, and order is kept."""
    get = owned(counting, partitions)
    pids: list[int] = []

    async def is_shared() -> bool:
        low, rest = divmod(partitions, len(pids))
        shares = [low] * (len(pids) - rest) + [low + 1] * rest
        return await get() == [each for each in shares if each]

    async def have_all_worked() -> bool:
        return len(pids) == len({each.pid for each in await counting.read_notes()})

    async with pushing(counting):
        for _ in range(3):
            options = {"lease": 1.5, "partitions": partitions}
            pids.append(await asyncio.to_thread(processes.start, "run", **options))
            await eventually(is_shared, within=PATIENCE)
        await eventually(have_all_worked, within=PATIENCE)
        processes.signal(pids.pop(), signal.SIGKILL)
        await eventually(is_shared, within=PATIENCE)
    await eventually(has_all(counting), within=PATIENCE)

    assert [] == await counting.find_faults()
    assert 3 == len({each.pid for each in await counting.read_notes()})


@pytest.mark.parametrize("place", ["asyncpg", "sqlite"], indirect=True)
@pytest.mark.parametrize(("old", "new"), [(1, 1), (3, 2)])
async def test_a_switch_loses_and_doubles_no_side_effect(
    counting: Counting, processes: Processes, old: int, new: int
) -> None:
    """Each event is no replay exactly once, in either version, while others push."""
    await counting.push("0-0", 20)
    options = {"lease": 2, "partitions": old}
    before = [await asyncio.to_thread(processes.start, "run", **options) for _ in range(2)]
    async with pushing(counting):
        await asyncio.sleep(0.5)
        options = {"lease": 2, "partitions": new, "version": 2}
        await asyncio.to_thread(processes.start, "run", **options)
        await asyncio.sleep(0.5)
        switcher = await asyncio.to_thread(processes.start, "switch", **options)
        await asyncio.to_thread(processes.listen, "switched", pid=switcher)
        for pid in before:
            if not any(each.get("ended") and each["pid"] == pid for each in processes.hear()):
                await asyncio.to_thread(processes.listen, "ended", pid=pid)
        await asyncio.sleep(0.5)
    await eventually(has_all(counting, 2), within=PATIENCE)

    assert [] == await counting.find_faults(2)
    effects = Counter(each[1:3] for each in await counting.read_notes() if not each.is_replay)
    assert {1} == set(effects.values())
    assert sum((await counting.read_events()).values()) == len(effects)
    with pytest.raises(ProjectionRetiredError, match="version 2 is live"):
        await counting.project(partitions=old).switch()
    with pytest.raises(ProjectionRetiredError, match="version 2 is live"):
        await counting.project(partitions=old).run_once()


@pytest.mark.parametrize("place", ["asyncpg"], indirect=True)
async def test_a_switcher_that_is_killed_changes_nothing(
    counting: Counting, processes: Processes
) -> None:
    """The live version goes on once the claim has run out, and another switch succeeds."""
    await counting.push("a", 5)
    await asyncio.to_thread(processes.start, "run", lease=1)
    await eventually(has_all(counting))
    runner = await asyncio.to_thread(processes.start, "run", lease=3, version=2)
    await eventually(has_all(counting, 2))
    processes.signal(runner, signal.SIGSTOP)  # and so the switcher waits for its lease
    switcher = await asyncio.to_thread(processes.start, "switch", lease=1, version=2)

    async def is_halfway() -> bool:
        bookmark = await counting.bookmarks.get_bookmark("projection/counts/v1/0-of-1")
        return f":{switcher}:" in (bookmark.owner or "")

    await eventually(is_halfway)
    processes.kill(switcher)
    processes.kill(runner)
    await counting.push("a", 5)
    await eventually(has_all(counting))

    new = counting.project(version=2, lease=1)
    await new.switch(timeout=10)
    await new.run_once()
    assert [] == await counting.find_faults(2)
    assert 2 == await new.get_live_version()
    notes = await counting.read_notes()
    assert [True] * 10 == [each.is_replay for each in notes if each.projection_version == 2]
