"""The kinds of work that are measured on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Protocol

from contestants import Contestant, Lister
from measuring import WARM_UP, Job, Measurement, Target, interleave
from postgres_server import (
    OnServer,
    ServerContestant,
    ServerKinds,
    fill_with_ids,
    opened_on_server,
    opened_schema,
    settle,
)
from projections import (
    AsyncpgProjection,
    CastoreProjection,
    EventSourcingProjection,
    EvtStoreProjection,
    Projecting,
    ProjectingHere,
)
from sizes import BATCH, PAGE, WRITERS, Measurements, Sizes, name_of_size, push_versions
from with_asyncpg import (
    Asyncpg,
    AsyncpgChecked,
    AsyncpgHeld,
    AsyncpgPool,
    AsyncpgReducer,
    SQLAlchemyChecked,
)
from with_castore_postgres import CastoreAsyncpg, CastorePsycopg
from with_eventsourcing import EventSourcingPostgres
from with_node import CastoreOnNode, EvtStoreOnNode, OnNode, find_node
from workload import make_id

OURS = CastoreAsyncpg.name
BARE = Asyncpg.name
REDUCER = AsyncpgReducer.name
PEER = "eventsourcing"
THREADS = 4
PATIENCE = 120  # seconds for transactions of others that hold back the log

EVENTSOURCING: ServerKinds[ServerContestant] = [
    EventSourcingPostgres,
    partial(EventSourcingPostgres, functions=True),
]
EVENTSOURCING_THREADS: ServerKinds[ServerContestant] = [
    partial(EventSourcingPostgres, threads=THREADS),
    partial(EventSourcingPostgres, functions=True, threads=THREADS),
]


class ListingOnServer(OnServer, Lister, Protocol):
    """A contestant that lists the ids of its aggregates."""


def get_kinds(
    bare: ServerKinds[ServerContestant], eventsourcing: ServerKinds[ServerContestant]
) -> ServerKinds[ServerContestant]:
    """Return those of this process, the bare driver first, less those that are not installed."""
    kinds = [*bare, CastoreAsyncpg, CastorePsycopg, *eventsourcing]
    if find_spec("eventsource"):
        from with_eventsource_py import EventsourcePyPostgres  # noqa: PLC0415 it needs the library

        kinds.append(EventsourcePyPostgres)
    return kinds


def get_node_kinds() -> ServerKinds[OnNode]:
    """Return those on Node, where there is one."""
    return [CastoreOnNode, EvtStoreOnNode] if find_node() else []


async def measure_pushes(sizes: Sizes) -> Measurements:
    """Push one event after the other, each waiting for the disk, as versions of one aggregate."""

    async def run(contestant: Contestant, number: int) -> None:
        await push_versions(contestant, f"push {number}", sizes.pushes)

    async def ask(node: OnNode, number: int) -> float:
        return await node.push([make_id(f"push {number}")], sizes.pushes)

    kinds = get_kinds([Asyncpg, AsyncpgChecked, SQLAlchemyChecked], EVENTSOURCING)
    async with (
        opened_on_server(kinds) as contestants,
        opened_on_server(get_node_kinds()) as nodes,
    ):
        jobs = _make_jobs(contestants, run, nodes, ask)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=sizes.pushes)
    targets = [Target(OURS, BARE, 1.5), Target(OURS, SQLAlchemyChecked.name, 1.0)]
    yield _measure("push", "push, one by one", seconds, targets)


async def measure_writers(sizes: Sizes) -> Measurements:
    """Push from concurrent tasks, each with an aggregate of its own."""

    def name_all(number: int) -> list[str]:
        return [f"writer {number} {writer}" for writer in range(WRITERS)]

    pushes = sizes.pushes_of_a_writer

    async def run(contestant: Contestant, number: int) -> None:
        await asyncio.gather(
            *(push_versions(contestant, each, pushes) for each in name_all(number))
        )

    async def ask(node: OnNode, number: int) -> float:
        return await node.push([make_id(each) for each in name_all(number)], pushes)

    kinds = get_kinds([AsyncpgHeld, AsyncpgPool], [*EVENTSOURCING, *EVENTSOURCING_THREADS])
    async with (
        opened_on_server(kinds) as contestants,
        opened_on_server(get_node_kinds()) as nodes,
    ):
        jobs = _make_jobs(contestants, run, nodes, ask)
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=WRITERS * pushes)
    peers = [each for each in seconds if each.startswith(PEER)]
    targets = [
        Target(OURS, AsyncpgHeld.name, 1.5, is_speed=True),
        Target(OURS, AsyncpgPool.name, 2.5, is_speed=True),
        Target(OURS, min(peers, key=lambda each: median(seconds[each])), 6.0, is_speed=True),
    ]
    yield _measure("writers", f"push, {WRITERS} writers", seconds, targets, is_rate=True)


async def measure_loads(sizes: Sizes) -> Measurements:
    """Load aggregates of several lengths."""
    lengths = {10: 50, 100: 10, 1000: 2}  # and how often they are loaded in a round
    limits = {10: 2.0, 100: 1.7, 1000: 1.6}
    ids = {length: make_id(f"load {length}") for length in lengths}

    async def run(length: int, contestant: Contestant, number: int) -> None:  # noqa: ARG001
        for _ in range(lengths[length]):
            assert await contestant.load(ids[length]) == length

    async def ask(length: int, node: OnNode, number: int) -> float:  # noqa: ARG001
        version, seconds = await node.load(ids[length], lengths[length])
        assert version == length
        return seconds

    async with (
        opened_on_server(get_kinds([AsyncpgReducer, Asyncpg], EVENTSOURCING[:1])) as contestants,
        opened_on_server(get_node_kinds()) as nodes,
    ):
        for each in (*contestants, *nodes):
            await each.fill({ids[length]: length for length in lengths})
        await settle()
        for length, times in lengths.items():
            jobs = _make_jobs(contestants, partial(run, length), nodes, partial(ask, length))
            seconds = await interleave(jobs, rounds=sizes.rounds, operations=times)
            targets = [Target(OURS, REDUCER, limits[length])]
            if length == max(lengths):
                targets.append(Target(OURS, PEER, 7.0, is_speed=True))
            if nodes:
                targets.append(Target(OURS, CastoreOnNode.name, 1.0))
            yield _measure("load", f"load, {length:,} events", seconds, targets)


async def measure_scans(sizes: Sizes) -> Measurements:
    """Read a whole log, as typed events."""
    length = 50
    versions = {make_id(f"scan {number}"): length for number in range(sizes.log // length)}

    async def run(contestant: Contestant, number: int) -> None:  # noqa: ARG001
        assert await contestant.scan(BATCH) == sizes.log

    async def ask(node: OnNode, number: int) -> float:  # noqa: ARG001
        count, seconds = await node.scan(BATCH)
        assert count == sizes.log
        return seconds

    node_kinds = [each for each in get_node_kinds() if each is EvtStoreOnNode]
    async with (
        opened_on_server(get_kinds([Asyncpg], EVENTSOURCING[:1])) as contestants,
        opened_on_server(node_kinds) as nodes,
    ):
        for each in (*contestants, *nodes):
            await each.fill(versions)
        await settle()
        await _wait_for_log(contestants, sizes.log)
        jobs = _make_jobs(contestants, run, nodes, ask)
        seconds = await interleave(jobs, rounds=sizes.log_rounds, operations=sizes.log)
    targets = [Target(OURS, BARE, 1.7), Target(OURS, PEER, 3.0, is_speed=True)]
    yield _measure("scan", f"scan, {sizes.log:,} events (each)", seconds, targets)


async def measure_pages(sizes: Sizes) -> Measurements:
    """List a page of ids, in a small and in a large store, each of one table that all read."""
    times = 20
    counts = sizes.server_lists
    small, large = counts
    kinds: ServerKinds[ListingOnServer] = [Asyncpg, CastoreAsyncpg, CastorePsycopg]

    async def run(contestant: Lister, cursor: object, number: int) -> None:  # noqa: ARG001
        for _ in range(times):
            assert await contestant.page(cursor, PAGE) == PAGE

    async with AsyncExitStack() as stack:
        all_: dict[int, list[ListingOnServer]] = {}
        for count in counts:
            schema = await stack.enter_async_context(opened_schema())
            all_[count] = await stack.enter_async_context(opened_on_server(kinds, schema))
            await fill_with_ids(schema, count)
        await settle()
        for place, share in (("first", 0), ("middle", 2)):
            jobs: dict[str, Job] = {}
            baselines: dict[str, str] = {}
            for count, contestants in all_.items():
                for each in contestants:
                    name = name_of_size(each.name, count)
                    jobs[name] = partial(run, each, await each.seek(share and count // share))
                    baselines[name] = name_of_size(each.name, small)
            seconds = await interleave(jobs, rounds=sizes.rounds, operations=times)
            targets = [
                Target(name_of_size(name, large), name_of_size(name, small), 1.5)
                for name in (OURS, CastorePsycopg.name)
            ]
            title = f"page of {PAGE} ids, {place}, on PostgreSQL"
            yield Measurement("postgres-page", title, seconds, baselines, targets)


async def measure_projections(sizes: Sizes) -> Measurements:
    """Handle a whole log, each event with a statement that writes a row of the read model.

    Each turn begins with the first event. It takes so long that nobody has to warm up.
    """
    events, aggregates = sizes.projected, sizes.projected_aggregates
    length = events // aggregates
    versions = {make_id(f"project {number}"): length for number in range(aggregates)}
    kinds: ServerKinds[ProjectingHere] = [
        AsyncpgProjection,
        CastoreProjection,
        EventSourcingProjection,
    ]

    async def run(contestant: Projecting, number: int) -> float:
        if number == WARM_UP:
            return 0.0
        await contestant.read_model.reset()
        seconds = await contestant.project(events)
        await contestant.read_model.check(aggregates, events)
        return seconds

    async with (
        opened_on_server(kinds) as contestants,
        opened_on_server([EvtStoreProjection] if find_node() else []) as nodes,
    ):
        for each in (*contestants, *nodes):
            await each.fill(versions)
        await settle()
        await _wait_for_log(contestants, events)
        jobs: dict[str, Job] = {each.name: partial(run, each) for each in (*contestants, *nodes)}
        seconds = await interleave(jobs, rounds=sizes.projection_rounds, operations=events)
    peers = [PEER, *(each.name for each in nodes)]
    targets = [Target(OURS, each, 3.0, is_speed=True) for each in peers]
    yield _measure("project", f"projection, {events:,} events (each)", seconds, targets)


POSTGRES_SCENARIOS: Mapping[str, Callable[[Sizes], Measurements]] = {
    "postgres-push": measure_pushes,
    "postgres-writers": measure_writers,
    "postgres-load": measure_loads,
    "postgres-scan": measure_scans,
    "postgres-page": measure_pages,
    "postgres-project": measure_projections,
}


async def _wait_for_log(contestants: Sequence[Contestant], count: int) -> None:
    """Wait until the transactions have ended which began before the log was written."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    for each in contestants:
        while await each.scan(BATCH) < count:
            if loop.time() > end:
                raise RuntimeError("a long transaction holds the log back: see pg_stat_activity")
            await asyncio.sleep(0.5)


def _make_jobs(
    contestants: Sequence[Contestant],
    run: Callable[[Contestant, int], Awaitable[None]],
    nodes: Sequence[OnNode],
    ask: Callable[[OnNode, int], Awaitable[float]],
) -> dict[str, Job]:
    jobs: dict[str, Job] = {each.name: partial(run, each) for each in contestants}
    return jobs | {each.name: partial(ask, each) for each in nodes}


def _measure(
    scenario: str,
    title: str,
    seconds: Mapping[str, Sequence[float]],
    targets: Sequence[Target],
    *,
    is_rate: bool = False,
) -> Measurement:
    """Compare all with the first, which is the bare driver."""
    baselines = dict.fromkeys(seconds, next(iter(seconds)))
    title = f"{title}, on PostgreSQL"
    return Measurement(f"postgres-{scenario}", title, seconds, baselines, targets, is_rate=is_rate)
