"""Projections on PostgreSQL, MariaDB and MySQL, with each driver."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from accounts import Closed, Deposited, Opened, SQLWorld, eventually
from castore_projections import Projection, ProjectionContext
from sql_servers import KINDS, ServerDatabase, dispose, using_servers

PATIENCE = 30.0  # seconds: transactions of other tests hold back readers of a log


@pytest.fixture(params=KINDS)
def database(
    request: pytest.FixtureRequest, find_server: Callable[[str], str]
) -> Iterator[ServerDatabase]:
    """Give an empty database for each driver."""
    server = KINDS[request.param].server
    database = ServerDatabase(server, find_server(server))
    database.create()
    with using_servers(alone=False):
        yield database
    database.drop()


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, database: ServerDatabase
) -> AsyncIterator[SQLWorld]:
    """Give a world in the database."""
    kind = KINDS[request.node.callspec.params["database"]]
    engine = database.make_engine(kind)
    yield await SQLWorld.make(engine)
    await dispose(engine)


async def wait_for_sums(world: SQLWorld, expected: dict[str, int]) -> None:
    """Wait until the read model is as expected."""

    async def is_there() -> bool:
        return expected == await world.read()

    await eventually(is_there, within=PATIENCE)


async def wait_for_owner(projection: Projection[Any]) -> None:
    """Wait until a projection runs."""

    async def is_running() -> bool:
        return (await projection.status()).is_running

    await eventually(is_running, within=PATIENCE)


async def test_events_are_handled(world: SQLWorld) -> None:
    """The read model follows the events of several tasks, over several partitions."""
    async with world.project(partitions=2, poll_interval=0.1) as projection:
        await asyncio.gather(*(world.push(f"a{number}", 1, 2, 3) for number in range(10)))
        await wait_for_sums(world, {f"a{number}": 6 for number in range(10)})
        await projection.wait_for(Deposited("a0", 4, payload={"amount": 3}), timeout=PATIENCE)
    status = await projection.status()
    assert [0, 0] == [each.events_behind for each in status.partitions]
    assert not status.is_running


async def test_failures(world: SQLWorld) -> None:
    """A failed event takes nothing back, is parked, and is handled when it is retried."""
    projection = world.project(poll_interval=0.1)
    is_broken = True

    @projection.on(Closed)
    async def close(event: Closed, context: ProjectionContext[Any]) -> None:
        await world.add(context, event.aggregate_id, 100)
        if is_broken:
            raise ValueError(event.version)

    for each in ("a", "b"):
        await world.push(each, 1)
        await world.accounts.push_event(Closed(each, 3))
        await world.push(each, 10)
    async with projection:
        await wait_for_sums(world, {"a": 1, "b": 1})

        async def are_parked() -> bool:
            status = await projection.status()
            return (status.failed, status.waiting) == (2, 2)

        await eventually(are_parked, within=PATIENCE)
        is_broken = False
        assert 2 == await projection.retry_parked_events()
        await wait_for_sums(world, {"a": 111, "b": 111})


async def test_rebuild(world: SQLWorld) -> None:
    """A second version takes over from the first one, which runs, and ends by itself."""
    old = world.project(poll_interval=0.1)
    effects: list[tuple[int, str]] = []

    def note_effects(projection: Projection[Any]) -> None:
        @projection.on(Opened)
        async def note(event: Opened, context: ProjectionContext[Any]) -> None:
            if not context.is_replay:
                effects.append((projection.version, event.aggregate_id))

    new = world.project(version=2, poll_interval=0.1)
    note_effects(old)
    note_effects(new)
    running = asyncio.create_task(old.run())
    await wait_for_owner(old)
    async with new:
        for number in range(5):
            await world.push(f"a{number}")
        await old.wait_for(Opened("a4", 1), timeout=PATIENCE)
        await new.switch(timeout=PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await running
        await world.push("last")
        await new.wait_for(Opened("last", 1), timeout=PATIENCE)
    assert [*((1, f"a{number}") for number in range(5)), (2, "last")] == effects
