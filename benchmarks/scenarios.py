"""The kinds of work that are measured. Each scenario yields its measurements."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from statistics import median

from contestants import Contestant, Durable, Kinds, Listing, OnFile, check_durability, opened
from idempotency import measure_idempotency
from imports import measure_imports
from measuring import Job, Measurement, Target, interleave
from metadata import measure_metadata
from postgres import POSTGRES_SCENARIOS
from redis_messages import measure_redis
from sizes import BATCH, PAGE, WRITERS, Measurements, Sizes, name_of_size, push_versions
from snapshots import measure_snapshots
from sync_facade import measure_sync
from telemetry import measure_telemetry
from validation import measure_validation
from with_castore import Castore, CastoreAsync, CastoreInLoop, CastoreInMemory
from with_eventsourcing import EventSourcing, EventSourcingInMemory, EventSourcingThreads
from with_sqlite3 import SQLite3, SQLite3GroupCommit, SQLite3Reducer
from workload import make_id

OURS = Castore.name
BARE = SQLite3.name
GROUP_COMMIT = SQLite3GroupCommit.name
REDIS = "redis"
"""The scenario that needs a server of Redis."""

PEERS = (EventSourcing.name, EventSourcingThreads.name)


def get_durable_kinds() -> list[Callable[[], Durable]]:
    """Return those on a file, the bare driver first, less those that are not installed here."""
    kinds: list[Callable[[], Durable]] = [SQLite3, Castore]
    if find_spec("aiosqlite"):
        kinds.append(CastoreAsync)
    kinds.append(EventSourcing)
    if find_spec("eventsource"):
        from with_eventsource_py import EventsourcePy  # noqa: PLC0415 it needs the library

        kinds.append(EventsourcePy)
    return kinds


MEMORY_KINDS: Kinds[OnFile] = [EventSourcingInMemory, CastoreInMemory]
LISTING_KINDS: Kinds[Listing] = [SQLite3, Castore, CastoreInMemory]


async def measure_pushes(sizes: Sizes) -> Measurements:
    """Push one event after the other, each waiting for the disk, as versions of one aggregate."""

    async def run(contestant: Contestant, number: int) -> None:
        await push_versions(contestant, f"push {number}", sizes.pushes)

    title = "push, one by one"
    async with opened([*get_durable_kinds(), CastoreInLoop]) as durable:
        await check_durability(durable)
        jobs = _make_jobs(durable, run)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=sizes.pushes)
    targets = [
        Target(OURS, BARE, 2.0),
        Target(CastoreInLoop.name, BARE, 1.3),
        Target(CastoreInLoop.name, EventSourcing.name, 1.0),
    ]
    if CastoreAsync.name in seconds:
        targets.append(Target(CastoreAsync.name, OURS, 1.5))
    yield Measurement("push", title, seconds, _all_to(BARE, seconds), targets)

    async with opened(MEMORY_KINDS) as contestants:
        jobs = _make_jobs(contestants, run)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=sizes.pushes)
    yield _in_memory("push", title, seconds)


async def measure_writers(sizes: Sizes) -> Measurements:
    """Push from concurrent tasks, each with an aggregate of its own.

    sqlite3 with one commit each works in the event loop's thread, one push after the other;
    eventsourcing takes part twice, so and with threads, and counts with the faster one.
    """

    async def run(contestant: Contestant, number: int) -> None:
        names = [f"writer {number} {writer}" for writer in range(WRITERS)]
        pushes = sizes.pushes_of_a_writer
        await asyncio.gather(*(push_versions(contestant, name, pushes) for name in names))

    title, operations = f"push, {WRITERS} writers", WRITERS * sizes.pushes_of_a_writer
    kinds: Kinds[Durable] = [SQLite3GroupCommit, *get_durable_kinds(), EventSourcingThreads]
    async with opened(kinds) as durable:
        await check_durability(durable)
        jobs = _make_jobs(durable, run)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=operations)
    peer = min(PEERS, key=lambda name: median(seconds[name]))
    targets = [
        Target(OURS, GROUP_COMMIT, 0.7, is_speed=True),
        Target(OURS, peer, 5.0, is_speed=True),
    ]
    baselines = _all_to(GROUP_COMMIT, seconds)
    yield Measurement("writers", title, seconds, baselines, targets, is_rate=True)

    async with opened(MEMORY_KINDS) as contestants:
        jobs = _make_jobs(contestants, run)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=operations)
    yield _in_memory("writers", title, seconds, is_rate=True)


async def measure_loads(sizes: Sizes) -> Measurements:
    """Load aggregates of several lengths."""
    lengths = {10: 50, 100: 10, 1000: 2}  # and how often they are loaded in a round
    ids = {length: make_id(f"load {length}") for length in lengths}

    async def run(length: int, contestant: Contestant, number: int) -> None:  # noqa: ARG001
        for _ in range(lengths[length]):
            version = await contestant.load(ids[length])
            assert version == length

    versions = {ids[length]: length for length in lengths}
    kinds: Kinds[Durable] = [*get_durable_kinds(), SQLite3Reducer]
    async with opened(kinds) as durable, opened(MEMORY_KINDS) as in_memory:
        for each in (*durable, *in_memory):
            await each.fill(versions)
        for length, times in lengths.items():
            title = f"load, {length:,} events"
            jobs = _make_jobs(durable, partial(run, length))
            seconds = await interleave(jobs, rounds=sizes.rounds, operations=times)
            targets = [Target(OURS, BARE, 2.5)]
            if length == max(lengths):
                targets.append(Target(OURS, SQLite3Reducer.name, 1.6))
            yield Measurement("load", title, seconds, _all_to(BARE, seconds), targets)

            jobs = _make_jobs(in_memory, partial(run, length))
            seconds = await interleave(jobs, rounds=sizes.rounds, operations=times)
            yield _in_memory("load", title, seconds)


async def measure_scans(sizes: Sizes) -> Measurements:
    """Read a whole log, as typed events."""
    length = 50
    versions = {make_id(f"scan {number}"): length for number in range(sizes.log // length)}

    async def run(contestant: Contestant, number: int) -> None:  # noqa: ARG001
        count = await contestant.scan(BATCH)
        assert count == sizes.log

    title = f"scan, {sizes.log:,} events (each)"
    async with opened(get_durable_kinds()) as durable:
        for each in durable:
            await each.fill(versions)
        jobs = _make_jobs(durable, run)
        seconds = await interleave(jobs, rounds=sizes.log_rounds, operations=sizes.log)
    yield Measurement("scan", title, seconds, _all_to(BARE, seconds), [Target(OURS, BARE, 2.0)])

    async with opened(MEMORY_KINDS) as in_memory:
        for each in in_memory:
            await each.fill(versions)
        jobs = _make_jobs(in_memory, run)
        seconds = await interleave(jobs, rounds=sizes.log_rounds, operations=sizes.log)
    yield _in_memory("scan", title, seconds)


async def measure_pages(sizes: Sizes) -> Measurements:
    """List a page of ids, in a small and in a large store."""
    times = 20
    small, large = sizes.lists

    async def run(contestant: Listing, cursor: object, number: int) -> None:  # noqa: ARG001
        for _ in range(times):
            count = await contestant.page(cursor, PAGE)
            assert count == PAGE or cursor is not None

    async with opened(LISTING_KINDS) as few, opened(LISTING_KINDS) as many:
        for count, contestants in ((small, few), (large, many)):
            versions = {make_id(f"page {number}"): 1 for number in range(count)}
            for each in contestants:
                await each.fill(versions)
        for place, share in (("first", 0), ("middle", 2)):
            jobs: dict[str, Job] = {}
            baselines: dict[str, str] = {}
            for count, contestants in ((small, few), (large, many)):
                for each in contestants:
                    name = name_of_size(each.name, count)
                    jobs[name] = partial(run, each, await each.seek(share and count // share))
                    baselines[name] = name_of_size(each.name, small)
            seconds = await interleave(jobs, rounds=sizes.rounds, operations=times)
            targets = [
                Target(name_of_size(name, large), name_of_size(name, small), 1.5)
                for name in (OURS, CastoreInMemory.name)
            ]
            title = f"page of {PAGE} ids, {place}"
            yield Measurement("page", title, seconds, baselines, targets)


async def measure_import_cost(sizes: Sizes) -> Measurements:
    """Import the core in fresh processes."""
    seconds = measure_imports(sizes.starts)
    baselines = _all_to("dataclasses", seconds)
    yield Measurement("import", "import, fresh process", seconds, baselines)


SCENARIOS: Mapping[str, Callable[[Sizes], Measurements]] = {
    "push": measure_pushes,
    "writers": measure_writers,
    "load": measure_loads,
    "scan": measure_scans,
    "page": measure_pages,
    "import": measure_import_cost,
    "snapshots": measure_snapshots,
    "telemetry": measure_telemetry,
    "idempotency": measure_idempotency,
    "metadata": measure_metadata,
    "sync": measure_sync,
    "validation": lambda sizes: measure_validation(sizes.rounds),
    REDIS: measure_redis,
    **POSTGRES_SCENARIOS,
}


def _make_jobs(
    contestants: Sequence[Contestant], run: Callable[[Contestant, int], Awaitable[None]]
) -> dict[str, Job]:
    return {each.name: partial(run, each) for each in contestants}


def _in_memory(
    scenario: str, title: str, seconds: Mapping[str, Sequence[float]], *, is_rate: bool = False
) -> Measurement:
    baselines = _all_to(EventSourcingInMemory.name, seconds)
    return Measurement(scenario, f"{title}, in memory", seconds, baselines, is_rate=is_rate)


def _all_to(baseline: str, names: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(names, baseline)
