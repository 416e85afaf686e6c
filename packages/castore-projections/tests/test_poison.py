"""Poison by the hundred, and decisions on parked events by other processes."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from accounts import Deposited, Opened, World, eventually
from castore_core import Lease, LogPosition, StorageError
from castore_projections import (
    CircuitClosed,
    CircuitOpened,
    CircuitOpenError,
    EventParked,
    Projection,
    ProjectionContext,
    ProjectionReport,
    _circuit,
    _reader,
    _runner,
)


class Poison:
    """Events that fail."""

    def __init__(self, *places: tuple[str, int]) -> None:
        self.places = set(places)
        self.fails_all = False
        self.attempted: list[tuple[str, int]] = []
        self.refused: set[tuple[str, int]] = set()
        self._handled: list[tuple[str, int]] = []

    @property
    def handled(self) -> list[tuple[str, int]]:
        """The events that did not fail, in order; those of a step that was undone come once."""
        return list(dict.fromkeys(self._handled))

    def add_to(self, projection: Projection[Any]) -> Projection[Any]:
        """Let events fail in a projection, and note the others."""

        @projection.on(Opened, Deposited)
        async def fail(event: Opened | Deposited, _context: ProjectionContext[Any]) -> None:
            self.attempted.append((event.aggregate_id, event.version))
            if self.fails_all or (event.aggregate_id, event.version) in self.places:
                raise ValueError(f"poison: {event.aggregate_id}")
            if isinstance(event, Deposited) and event.payload["amount"] < 0:
                raise ValueError("below zero")
            self._handled.append((event.aggregate_id, event.version))

        return projection


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look sooner at what others have decided."""
    monkeypatch.setattr(_reader, "PARKED_INTERVAL", 0.05)
    monkeypatch.setattr(_circuit, "_FIRST_DELAY", 0.1)


async def list_parked(projection: Projection[Any]) -> list[tuple[str, int, bool]]:
    """Return what is parked, and whether it has failed."""
    return [
        (each.aggregate_id, each.version, each.failure is not None)
        async for each in projection.iter_parked_events()
    ]


async def test_a_thousand_events_behind_one(world: World) -> None:
    """They wait, more than one move can park, and are handled in their order."""
    poison = Poison(("a", 2))
    projection = poison.add_to(world.project(batch_size=1000))
    await world.push("a", *[1] * 1000)
    await world.push("b", 1)
    await projection.run_once()
    parked = await list_parked(projection)
    assert [("a", version, version == 2) for version in range(2, 1002)] == parked
    assert [("a", 1), ("b", 1), ("b", 2)] == poison.handled
    assert {"b": 1} == {key: value for key, value in (await world.read()).items() if key == "b"}

    poison.places.clear()
    await projection.retry_parked_events()
    await world.push("a", 1)
    await projection.run_once()
    assert [] == await list_parked(projection)
    assert [("a", version) for version in range(1, 1003)] == [
        each for each in poison.handled if each[0] == "a"
    ]
    if world.is_transactional:
        assert {"a": 1001, "b": 1} == await world.read()


@pytest.mark.parametrize("continue_on_error", [False, True])
async def test_an_outage_parks_no_more_than_a_few(world: World, continue_on_error: bool) -> None:
    """The circuit opens when everything fails, and closes by itself when it is over."""
    poison = Poison()
    poison.fails_all = True
    reports: list[ProjectionReport] = []
    for number in range(200):
        await world.accounts.push_event(Opened(f"a{number}", 1))
    projection = poison.add_to(
        world.project(on_report=reports.append, max_attempts=2, continue_on_error=continue_on_error)
    )

    def count(kind: type) -> int:
        return sum(isinstance(each, kind) for each in reports)

    async def is_open() -> bool:
        return count(CircuitOpened) > 1

    async def is_over() -> bool:
        return len(poison.handled) >= (200 - 10 if continue_on_error else 200)

    async with projection:
        await eventually(is_open)
        poison.fails_all = False
        await eventually(is_over)

    assert 1 == count(CircuitClosed)
    assert count(EventParked) < 10
    assert [] == await list_parked(projection)


async def test_run_once_gives_up_in_an_outage(world: World) -> None:
    """The rest of the log stays where it is, also where failures are passed over."""
    poison = Poison()
    poison.fails_all = True
    for number in range(50):
        await world.accounts.push_event(Opened(f"a{number}", 1))
    projection = poison.add_to(world.project(continue_on_error=True, max_attempts=1))
    with pytest.raises(CircuitOpenError):
        await projection.run_once()
    poison.fails_all = False
    assert 45 == await projection.run_once()


async def test_another_process_decides_while_it_runs(world: World) -> None:
    """Retries and drops of another object take effect within seconds, in order."""
    poison = Poison(("a", 2), ("b", 2))
    await world.push("a", 1, 2)
    await world.push("b", 1, 2)
    other = world.project()
    async with poison.add_to(world.project()) as projection:

        async def is_parked() -> bool:
            return len(await list_parked(projection)) == 4

        await eventually(is_parked)
        first, *_ = [each async for each in other.iter_parked_events()]
        assert 1 == await other.drop_parked_events(event=first)
        poison.places.clear()
        assert 1 == await other.retry_parked_events()

        async def is_empty() -> bool:
            return not await list_parked(projection)

        await eventually(is_empty)
    assert [("a", 1), ("b", 1), ("a", 3), ("b", 2), ("b", 3)] == sorted(
        poison.handled, key=lambda each: (each[1] != 1, each)
    )


async def test_decisions_while_nothing_runs(world: World) -> None:
    """What is decided while the runner is away is done when it is back."""
    poison = Poison(("a", 2), ("b", 2))
    await world.push("a", 1, 2)
    await world.push("b", 1, 2)
    await poison.add_to(world.project()).run_once()
    away = world.project()
    (failed, *_) = [each async for each in away.iter_parked_events() if each.failure]
    await away.drop_parked_events(event=failed)
    poison.places.clear()
    await away.retry_parked_events()
    back = Poison()
    await back.add_to(world.project()).run_once()
    assert [("a", 3), ("b", 2), ("b", 3)] == sorted(back.handled)
    assert [] == await list_parked(away)


async def test_an_event_is_repaired(world: World) -> None:
    """A poison event is replaced by force, and retried: the new one is handled, then the rest."""
    poison = Poison()
    projection = poison.add_to(world.project())
    await world.push("a", -5, 2)
    await projection.run_once()
    assert [("a", 2, True), ("a", 3, False)] == await list_parked(projection)
    await world.accounts.push_event(Deposited("a", 2, payload={"amount": 5}), force=True)
    await projection.run_once()
    assert [("a", 2, True), ("a", 3, False)] == await list_parked(projection)
    await projection.retry_parked_events()
    await projection.run_once()
    assert [("a", 1), ("a", 2), ("a", 3)] == poison.handled
    if world.is_transactional:
        assert {"a": 7} == await world.read()


async def test_a_retry_that_fails_later_keeps_the_order(world: World) -> None:
    """The first event of an aggregate is mended, and the next one turns out to be poison."""
    poison = Poison(("a", 2))
    projection = poison.add_to(world.project(partitions=2))
    await world.push("a", 1, 2, 3)
    await projection.run_once()
    poison.places = {("a", 3)}
    await projection.retry_parked_events()
    await projection.run_once()
    assert [("a", 3, True), ("a", 4, False)] == await list_parked(projection)
    await world.push("a", 4)
    await projection.run_once()
    poison.places.clear()
    await projection.retry_parked_events()
    await projection.run_once()
    assert [("a", version) for version in range(1, 6)] == poison.handled


async def test_a_store_that_is_followed_no_longer(world: World) -> None:
    """A parked event of such a store fails again, and ends nothing."""
    poison = Poison(("a", 2))
    stores = [world.accounts, world.others]
    await world.push("a", 1, store=world.others)
    await world.push("b", 1)
    await poison.add_to(world.project(event_stores=stores)).run_once()
    later = world.project()
    await later.retry_parked_events()
    await later.run_once()
    (parked,) = [each async for each in later.iter_parked_events()]
    assert parked.failure is not None
    assert "MissingParkedEventError" in parked.failure.kind


async def test_leases_of_many_partitions_move_while_events_fail(world: World) -> None:
    """Two objects share six partitions, and events fail now and then: each is handled in order."""
    moments = random.Random(7)
    handled: list[tuple[str, int]] = []

    def make() -> Projection[Any]:
        projection = world.project(partitions=6, lease_duration=timedelta(seconds=3))

        @projection.on(Opened, Deposited)
        async def fail(_event: Opened | Deposited, _context: ProjectionContext[Any]) -> None:
            if moments.random() < 0.1:
                raise ValueError("now and then")
            await asyncio.sleep(0)

        @projection.on(Opened, Deposited)
        async def note(event: Opened | Deposited, _context: ProjectionContext[Any]) -> None:
            handled.append((event.aggregate_id, event.version))

        return projection

    async with make() as first, make():
        for number in range(20):
            await world.push(f"a{number}", 1, 2)

        async def is_over() -> bool:
            await first.retry_parked_events()
            status = await first.status()
            return status.events_behind == 0 and not status.failed and not status.waiting

        await eventually(is_over, within=20)
    for number in range(20):
        versions = [version for name, version in handled if name == f"a{number}"]
        assert [1, 2, 3] == sorted(set(versions))


class RefusingBookmarks:
    """Bookmarks that refuse to commit with the writes of some events, or with many."""

    def __init__(self, bookmarks: Any, poison: Poison, most: int) -> None:
        self._bookmarks = bookmarks
        self._poison = poison
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bookmarks, name)

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **options: Any
    ) -> AsyncGenerator[Any]:
        """Move a bookmark, or refuse."""
        before = len(self._poison.attempted)
        async with self._bookmarks.move_bookmark(lease, position, **options) as transaction:
            yield transaction
            attempted = self._poison.attempted[before:]
            if len(attempted) > self._most or self._poison.refused & set(attempted):
                raise StorageError("it does not fit")


@pytest.fixture
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runner, "_LONGEST_DELAY", 0.001)


@pytest.mark.usefixtures("_no_delay")
async def test_events_that_the_storage_refuses(world: World) -> None:
    """They are found out one by one, and parked; too large a batch is split. All others go on."""
    poison = Poison()
    poison.refused = {("a", 3), ("b", 2)}
    bookmarks = RefusingBookmarks(world.bookmarks, poison, most=9)
    for name in "abc":
        await world.push(name, *[1] * 9)
    projection = poison.add_to(world.project(bookmarks=bookmarks, batch_size=20))

    async def is_parked() -> bool:
        return len(await list_parked(projection)) == 8 + 9

    async def is_at_the_end() -> bool:
        return (await projection.status()).events_behind == 0

    async def get_attempts() -> dict[tuple[str, int], int]:
        return {
            (each.aggregate_id, each.version): each.attempts
            async for each in projection.iter_parked_events()
            if each.failure is not None
        }

    async def has_failed_again() -> bool:
        now = await get_attempts()
        return now.keys() == before.keys() and all(now[each] > before[each] for each in before)

    async def is_empty() -> bool:
        return not await list_parked(projection)

    async with projection:
        await eventually(is_parked)
        await eventually(is_at_the_end)
        before = await get_attempts()
        assert poison.refused == before.keys()
        await projection.retry_parked_events()
        await eventually(has_failed_again)
        assert await is_parked()
        poison.refused.clear()
        await projection.retry_parked_events()
        await eventually(is_empty)

    if world.is_transactional:
        assert dict.fromkeys("abc", 9) == await world.read()
