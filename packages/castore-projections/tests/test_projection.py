"""Projections: what they handle, in which order, and how often."""

from typing import Any

import pytest

from accounts import Closed, Deposited, Opened, World, eventually
from castore_projections import ProjectionContext


async def test_run_once_handles_all_events(world: World) -> None:
    """The read model has every event that the log had, and each once."""
    projection = world.project()
    await world.push("a", 1, 2)
    await world.push("b", 10)

    assert 3 == await projection.run_once()
    assert 0 == await projection.run_once()
    await world.push("a", 4)
    assert 1 == await projection.run_once()

    assert {"a": 7, "b": 10} == await world.read()


async def test_runs_in_the_background(world: World) -> None:
    """Events that are pushed while it runs are handled."""
    async with world.project() as projection:
        await world.push("a", 1)
        pushed = await world.accounts.push_event(Deposited("a", 3, payload={"amount": 2}))
        await projection.wait_for(pushed)
        assert {"a": 3} == await world.read()


async def test_batches(world: World) -> None:
    """A batch is committed as a whole; nothing is lost between two."""
    projection = world.project(batch_size=3)
    for number in range(10):
        await world.push(f"a{number}", number, 1)
    await projection.run_once()

    assert {f"a{number}": number + 1 for number in range(10)} == await world.read()


async def test_poison_holds_back_its_aggregate_only(world: World) -> None:
    """An event that fails is parked, and so are those behind it."""
    projection = world.project(batch_size=4)
    is_broken = True
    handled: list[tuple[str, int]] = []

    @projection.on(Closed)
    async def close(event: Closed, _context: ProjectionContext[Any]) -> None:
        if is_broken and event.aggregate_id == "a":
            raise ValueError("no")
        handled.append((event.aggregate_id, event.version))

    await world.push("a", 1)
    await world.accounts.push_event(Closed("a", 3))
    await world.push("b", 1)
    await world.push("a", 5)
    await world.accounts.push_event(Closed("b", 3))
    await projection.run_once()

    assert {"a": 1, "b": 1} == await world.read()
    assert [("b", 3)] == handled
    (failed, waiting) = [each async for each in projection.iter_parked_events()]
    assert ("a", 3, 3) == (failed.aggregate_id, failed.version, failed.attempts)
    assert failed.failure is not None
    assert failed.failure.kind.startswith("ValueError in ")
    assert (4, None) == (waiting.version, waiting.failure)
    (group,) = await projection.group_parked_events()
    assert 1 == group.count

    is_broken = False
    assert 1 == await projection.retry_parked_events(kind=group.kind)
    await projection.run_once()
    assert {"a": 6, "b": 1} == await world.read()
    assert [] == [each async for each in projection.iter_parked_events()]


async def test_reset(world: World) -> None:
    """After a reset, the events come again as replays."""
    projection = world.project(on_clear=world.clear)
    replays: list[bool] = []

    @projection.on(Opened)
    async def note(_event: Opened, context: ProjectionContext[Any]) -> None:
        replays.append(context.is_replay)

    await world.push("a", 1)
    await projection.run_once()
    await projection.reset()
    assert {} == await world.read()
    await world.push("b", 1)
    await projection.run_once()

    assert {"a": 1, "b": 1} == await world.read()
    assert [False, True, False] == replays


async def test_status(world: World) -> None:
    """The status tells how far it has come."""
    projection = world.project()
    await world.push("a", 1)
    status = await projection.status()
    assert (2, None) == (status.events_behind, status.partitions[0].owner)
    await projection.run_once()
    status = await projection.status()
    assert (0, 0.0) == (status.events_behind, status.lag.total_seconds())


async def test_rebuild(world: World) -> None:
    """A new version is built beside the live one, which it never passes, and then takes over."""
    old = world.project()
    seen: list[tuple[str, bool]] = []
    await world.push("a", 1)
    await old.run_once()
    await world.push("b", 1)
    new = world.project(version=2)

    @new.on(Opened)
    async def note(event: Opened, context: ProjectionContext[Any]) -> None:
        seen.append((event.aggregate_id, context.is_replay))

    await new.run_once()
    assert [("a", True)] == seen
    await new.switch()
    assert 2 == await new.get_live_version()
    await new.run_once()
    assert [("a", True), ("b", False)] == seen


@pytest.mark.parametrize("partitions", [1, 4])
async def test_partitions(world: World, partitions: int) -> None:
    """Each aggregate is handled by one partition."""
    projection = world.project(partitions=partitions)
    for number in range(20):
        await world.push(f"a{number}", 1)
    async with projection:

        async def is_done() -> bool:
            return len(await world.read()) == 20

        await eventually(is_done)
    assert {f"a{number}": 1 for number in range(20)} == await world.read()


async def test_run_once_tails_at_its_first_call(world: World) -> None:
    """With ``always_tail_stream``, the calls that follow handle all that came since."""
    await world.push("a", 1)
    projection = world.project(always_tail_stream=True)
    assert 0 == await projection.run_once()
    await world.push("a", 2)
    assert 1 == await projection.run_once()

    await world.push("a", 4)
    assert 0 == await world.project(always_tail_stream=True).run_once()
    assert {"a": 2} == await world.read()
