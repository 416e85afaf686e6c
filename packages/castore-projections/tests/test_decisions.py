"""Drops, resets and waits that meet something else under way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from accounts import Closed, Deposited, InMemoryWorld, Opened, World, eventually
from castore_core import NotificationMessage, StorageError
from castore_projections import (
    EventParkedError,
    Projection,
    ProjectionContext,
    ProjectionRetiredError,
)


async def park_closing(world: World, projection: Projection[Any], *, broken: list[bool]) -> None:
    """Let the closing of ``a`` be parked."""

    @projection.on(Closed)
    async def close(event: Closed, context: ProjectionContext[Any]) -> None:
        if broken[0]:
            raise ValueError(event.version)
        await world.add(context, event.aggregate_id, 100)

    await world.push("a", 1)
    await world.accounts.push_event(Closed("a", 3))


class DroppingBookmarks:
    """Drops all parked events of others as soon as a reader has read that they are there."""

    def __init__(self, bookmarks: Any) -> None:
        self._bookmarks = bookmarks
        self.drops = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bookmarks, name)

    async def get_parked_events(self, bookmark_id: str, *args: Any) -> Any:
        """Read them, and then drop them."""
        found = await self._bookmarks.get_parked_events(bookmark_id, *args)
        if self.drops:
            positions = [each.position for each in found]
            await self._bookmarks.drop_parked_events(bookmark_id, positions)
        return found


async def test_a_drop_by_another_process_holds(world: World) -> None:
    """An event that was dropped since the reader read of it is not tried again."""
    broken = [True]
    bookmarks = DroppingBookmarks(world.bookmarks)
    projection = world.project(bookmarks=bookmarks, max_attempts=1)
    await park_closing(world, projection, broken=broken)
    await projection.run_once()
    await projection.retry_parked_events()
    broken[0] = False

    bookmarks.drops = True
    await projection.run_once()
    bookmarks.drops = False
    await world.push("a", 10)
    await projection.run_once()
    assert 0 == (await projection.status()).failed
    assert {"a": 11} == await world.read()


async def test_a_drop_during_an_attempt_holds() -> None:
    """An event that is dropped while its handler runs is not parked again."""
    world = InMemoryWorld()  # where nothing keeps others from it meanwhile
    projection = world.project(max_attempts=1)
    attempts: list[int] = []

    @projection.on(Closed)
    async def close(_event: Closed, context: ProjectionContext[Any]) -> None:
        attempts.append(context.attempt)
        if len(attempts) > 1:
            (parked,) = [each async for each in world.project().iter_parked_events()]
            await world.bookmarks.drop_parked_events(bookmark_id, [parked.position])
        raise ValueError

    await world.accounts.push_event(Closed("a", 1))
    await projection.run_once()
    bookmark_id = (await projection.status()).partitions[0].bookmark_id
    await projection.retry_parked_events()
    await projection.run_once()
    assert [1, 2] == attempts
    assert 0 == (await projection.status()).failed


async def test_a_reset_that_was_interrupted_is_finished(world: World) -> None:
    """Where a reset fails between two partitions, the next run finishes it first."""
    calls: list[int] = []

    async def clear(transaction: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("killed")
        await world.clear(transaction)

    for number in range(20):
        await world.push(f"a{number}", 1)
    projection = world.project(partitions=2, on_clear=clear)
    await projection.run_once()
    with pytest.raises(RuntimeError, match="killed"):
        await projection.reset()

    await projection.run_once()
    assert {f"a{number}": 1 for number in range(20)} == await world.read()


async def test_retired_versions_reset_nothing(world: World) -> None:
    """A version that was replaced empties no table."""
    await world.push("a", 1)
    old = world.project(on_clear=world.clear)
    await old.run_once()
    await world.project(version=2).switch()
    with pytest.raises(ProjectionRetiredError):
        await old.reset()
    with pytest.raises(ProjectionRetiredError):
        await old.wait_for(Opened("a", 1))


class RefusingBookmarks:
    """Refuses to commit a step that has a certain event, as a deferred constraint does."""

    def __init__(self, bookmarks: Any) -> None:
        self._bookmarks = bookmarks
        self.is_refusing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bookmarks, name)

    @asynccontextmanager
    async def move_bookmark(self, *args: Any, **options: Any) -> AsyncGenerator[Any]:
        """Move it, unless the block has asked for a refusal."""
        self.is_refusing = False
        async with self._bookmarks.move_bookmark(*args, **options) as transaction:
            yield transaction
            if self.is_refusing:
                raise StorageError("a deferred constraint")


async def test_run_once_finds_the_refused_event(world: World) -> None:
    """`run_once` parks the one event whose transaction cannot be committed."""
    if not world.is_transactional:
        return  # nothing is taken back in memory
    bookmarks = RefusingBookmarks(world.bookmarks)
    projection = world.project(bookmarks=bookmarks)

    @projection.on(Closed)
    async def close(event: Closed, _context: ProjectionContext[Any]) -> None:
        bookmarks.is_refusing |= event.aggregate_id == "a"

    for each in ("a", "b"):
        await world.push(each, 1)
        await world.accounts.push_event(Closed(each, 3))
    await projection.run_once()
    assert {"a": 1, "b": 1} == await world.read()
    assert 1 == (await projection.status()).failed


async def test_wait_for_an_aggregate(world: World) -> None:
    """The state that a command returns tells which event to wait for."""
    projection = world.project()
    await world.push("a", 1)
    await projection.run_once()
    loaded = await world.accounts.get_existing_aggregate("a")
    await projection.wait_for(loaded.aggregate)
    with pytest.raises(TypeError, match="neither an event nor an aggregate: str"):
        await projection.wait_for(cast("Any", "a"))


async def test_wait_for_an_event_that_is_retried(world: World) -> None:
    """A caller waits for a retry that is under way, and is told when that failed."""
    broken = [True]
    projection = world.project(poll_interval=0.02)
    await park_closing(world, projection, broken=broken)
    await projection.run_once()
    with pytest.raises(EventParkedError):
        await projection.wait_for(Closed("a", 3))
    broken[0] = False
    await projection.retry_parked_events()
    async with projection:
        await projection.wait_for(Closed("a", 3))
    assert {"a": 101} == await world.read()


async def test_a_projection_without_handlers_does_not_run(world: World) -> None:
    """It would pass over all events for good."""
    projection: Projection[Any] = Projection(
        "empty", event_stores=[world.accounts], bookmarks=world.bookmarks
    )
    with pytest.raises(ValueError, match="has no handlers"):
        await projection.run_once()
    with pytest.raises(ValueError, match="has no handlers"):
        async with asyncio.timeout(5):
            await projection.run()


async def test_messages_of_other_stores_are_refused(world: World) -> None:
    """A message of a store that the projection does not follow is told by name."""
    message = NotificationMessage("OTHERS", Opened("a", 1))
    with pytest.raises(ValueError, match="'OTHERS', and projection 'sums' follows ACCOUNTS"):
        await world.project().handle(message)


async def test_objects_with_an_async_call_are_handlers(world: World) -> None:
    """An object whose ``__call__`` is a coroutine function is a handler, also as a partial."""

    class Handler:
        """Notes events."""

        def __init__(self) -> None:
            self.seen: list[str] = []

        async def __call__(self, event: Opened, _context: ProjectionContext[Any]) -> None:
            """Note one."""
            self.seen.append(event.aggregate_id)

    handler = Handler()
    projection = world.project()
    projection.on(Opened)(handler)
    projection.on(Opened)(partial(handler))
    await world.push("a")
    await projection.run_once()
    assert ["a", "a"] == handler.seen


async def test_a_stand_by_that_tails_skips_nothing(world: World) -> None:
    """Where another one has the lease, a start with ``always_tail_stream`` passes over nothing."""
    projection = world.project(always_tail_stream=True, poll_interval=0.05)
    await projection.run_once()
    bookmark_id = (await projection.status()).partitions[0].bookmark_id
    lease = await world.bookmarks.acquire_lease(bookmark_id, "other", timedelta(minutes=1))
    await world.push("a", 1)
    async with world.project(
        always_tail_stream=True, lease_duration=timedelta(seconds=1)
    ) as stand_by:
        await world.bookmarks.release_lease(lease)
        await stand_by.wait_for(Deposited("a", 2, payload={"amount": 1}))
        assert {"a": 1} == await world.read()


async def test_a_new_version_of_a_tail_begins_where_the_live_one_began(world: World) -> None:
    """A version that is built beside one that lags skips none of its events."""
    await world.push("a", 1)
    await world.project(tail_stream=True).run_once()
    await world.push("a", 2)
    new = world.project(tail_stream=True, version=2)
    await new.switch()
    await new.run_once()
    assert {"a": 2} == await world.read()


async def test_events_that_were_parked_are_no_replays_after_a_reset(world: World) -> None:
    """Their side effects have not taken place before."""
    projection = world.project(max_attempts=1, on_clear=world.clear)
    replays: list[tuple[str, bool]] = []
    is_broken = True

    @projection.on(Opened)
    async def open_(event: Opened, context: ProjectionContext[Any]) -> None:
        if is_broken and event.aggregate_id == "a":
            raise ValueError
        replays.append((event.aggregate_id, context.is_replay))

    await world.push("a")
    await world.push("b")
    await projection.run_once()
    is_broken = False
    await projection.reset()
    await projection.run_once()
    assert [("b", False), ("a", False), ("b", True)] == replays


async def test_changes_of_a_handler_stay_its_own(world: World) -> None:
    """The next attempt, and the next handler, get the event as it is stored."""
    projection = world.project()
    seen: list[int] = []

    @projection.on(Deposited)
    async def take(event: Deposited, context: ProjectionContext[Any]) -> None:
        stored: Any = context.record.payload
        given: Any = event.payload
        assert stored == given
        seen.append(given.pop("amount"))
        stored.clear()
        if context.attempt == 1:
            raise ValueError

    @projection.on(Deposited)
    async def look(event: Deposited, _context: ProjectionContext[Any]) -> None:
        seen.append(event.payload["amount"])

    await world.push("a", 7)
    await projection.run_once()
    assert [7, 7, 7] == seen


async def test_an_error_without_a_text_is_parked(world: World) -> None:
    """An error whose text raises ends no projection."""

    class SilentError(Exception):
        """An error that cannot be printed."""

        def __str__(self) -> str:
            raise AttributeError("detail")

    projection = world.project(max_attempts=1)

    @projection.on(Opened)
    async def fail(_event: Opened, _context: ProjectionContext[Any]) -> None:
        raise SilentError

    await world.push("a")
    await projection.run_once()
    (parked,) = [each async for each in projection.iter_parked_events()]
    assert parked.failure is not None
    assert "its text raises AttributeError" == parked.failure.text


async def test_a_reset_during_an_outage(world: World) -> None:
    """A projection that waits because everything fails notices a reset from elsewhere."""
    projection = world.project(max_attempts=1, circuit_threshold=1, poll_interval=60.0)

    @projection.on(Opened)
    async def fail(_event: Opened, _context: ProjectionContext[Any]) -> None:
        raise ValueError

    for each in ("a", "b", "c", "d", "e", "f"):
        await world.push(each)

    async def is_waiting() -> bool:
        return (await projection.status()).failed >= 3  # the next pause is of four seconds

    async with projection:
        await eventually(is_waiting)
        began = asyncio.get_running_loop().time()
        await world.project().reset(timeout=10)
        assert asyncio.get_running_loop().time() - began < 3.5


def test_on_clear_has_to_be_async(world: World) -> None:
    """A plain function would run, and fail afterwards."""
    with pytest.raises(TypeError, match="on_clear is an async function"):
        world.project(on_clear=print)
