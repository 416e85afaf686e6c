"""However a projection ends, it leaves no task, no lease and no connection behind."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts import Deposited, InMemoryWorld, Opened, SQLWorld, World, eventually
from castore_core import Lease, LogPosition
from castore_projections import Projection, ProjectionContext, ProjectionReport

Work: TypeAlias = Callable[[], Coroutine[Any, Any, object]]

BOOKMARK = "projection/sums/v1/0-of-1"


class SlowBookmarks:
    """Bookmarks whose answers take a while, once the storage has done its work.

    Args:
        bookmarks: the storage.
        slow: the method that is slow.
    """

    def __init__(self, bookmarks: Any, slow: str) -> None:
        self._bookmarks = bookmarks
        self._slow = slow
        self.is_waiting = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bookmarks, name)

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take a lease, and answer late."""
        lease: Lease | None = await self._bookmarks.acquire_lease(bookmark_id, owner, duration)
        await self._wait("acquire_lease")
        return lease

    @asynccontextmanager
    async def move_bookmark(
        self, lease: Lease, position: LogPosition, **options: Any
    ) -> AsyncGenerator[Any]:
        """Move a bookmark, and answer late."""
        async with self._bookmarks.move_bookmark(lease, position, **options) as transaction:
            yield transaction
        await self._wait("move_bookmark")

    async def _wait(self, name: str) -> None:
        if self._slow == name:
            self.is_waiting.set()
            await asyncio.sleep(0.1)


def add_slow_handler(projection: Projection[Any]) -> asyncio.Event:
    """Let the opening of an account take for ever, and return an event that is set meanwhile."""
    is_waiting = asyncio.Event()

    @projection.on(Opened)
    async def wait(_event: Opened, _context: ProjectionContext[Any]) -> None:
        is_waiting.set()
        await asyncio.sleep(60)

    return is_waiting


async def check_nothing_is_left(world: World) -> None:
    """Look for tasks, leases and connections, and let another projection handle all events."""
    await asyncio.sleep(0)
    assert {asyncio.current_task()} == asyncio.all_tasks()
    if isinstance(world, SQLWorld):
        pool: Any = (
            world.engine.sync_engine if isinstance(world.engine, AsyncEngine) else world.engine
        ).pool
        assert 0 == pool.checkedout()
    assert None is (await world.bookmarks.get_bookmark(BOOKMARK)).owner
    await world.project().run_once()
    if world.is_transactional:
        assert {"a": 3} == await world.read()


async def cancel_by_anyio(work: Work, moment: asyncio.Event) -> None:
    """Cancel work at a moment by a scope, which cancels at each await."""
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await moment.wait()
        group.cancel_scope.cancel()


async def cancel_by_task(work: Work, moment: asyncio.Event) -> None:
    """Cancel work at a moment, several times."""
    task = asyncio.ensure_future(work())
    await moment.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancel", [cancel_by_anyio, cancel_by_task])
@pytest.mark.parametrize("method", ["run", "run_once"])
@pytest.mark.parametrize("moment", ["handler", "acquire_lease", "move_bookmark"])
async def test_cancelled(
    world: World,
    cancel: Callable[[Work, asyncio.Event], Awaitable[None]],
    method: str,
    moment: str,
) -> None:
    """A cancellation in a handler, at a commit, and while the lease is taken."""
    await world.push("a", 1, 2)
    bookmarks = SlowBookmarks(world.bookmarks, moment)
    projection = world.project(grace_period=0, bookmarks=bookmarks)
    is_waiting = bookmarks.is_waiting
    if moment == "handler":
        is_waiting = add_slow_handler(projection)
    await cancel(getattr(projection, method), is_waiting)

    await check_nothing_is_left(world)


@pytest.mark.parametrize("cancel", [cancel_by_anyio, cancel_by_task])
async def test_cancelled_while_idle(
    world: World,
    cancel: Callable[[Work, asyncio.Event], Awaitable[None]],
) -> None:
    """A cancellation while there is nothing to do."""
    await world.push("a", 1, 2)
    is_idle = asyncio.Event()

    def note(_report: ProjectionReport) -> None:
        is_idle.set()

    projection = world.project(on_report=note)
    await cancel(projection.run, is_idle)

    await check_nothing_is_left(world)
    assert {"a": 3} == await world.read()


async def test_step_ends_within_the_grace_period(world: World) -> None:
    """A scope that cancels at each await does not cut short a step that ends in time."""
    await world.push("a", 1, 2)
    projection = world.project()
    is_waiting = asyncio.Event()

    @projection.on(Opened)
    async def wait(_event: Opened, _context: ProjectionContext[Any]) -> None:
        is_waiting.set()
        await asyncio.sleep(0.2)

    await cancel_by_anyio(projection.run, is_waiting)

    assert {"a": 3} == await world.read()
    assert None is (await world.bookmarks.get_bookmark(BOOKMARK)).owner


async def test_timeout(world: World) -> None:
    """A timeout around a run ends it, and the next one begins at once."""
    await world.push("a", 1, 2)
    projection = world.project(grace_period=0)
    add_slow_handler(projection)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await projection.run()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await projection.run_once()

    await check_nothing_is_left(world)


async def test_handler_that_swallows_its_cancellation(world: World) -> None:
    """It is left alone in the end; its lease runs out, and it commits nothing."""
    await world.push("a", 1, 2)
    projection = world.project(grace_period=0, lease_duration=timedelta(seconds=0.3))
    is_waiting, may_end = asyncio.Event(), asyncio.Event()

    @projection.on(Deposited)
    async def hang(_event: Deposited, _context: ProjectionContext[Any]) -> None:
        is_waiting.set()
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    await cancel_by_task(projection.run, is_waiting)

    async def is_free() -> bool:
        if isinstance(world, InMemoryWorld):
            return (await world.bookmarks.get_bookmark(BOOKMARK)).owner is None
        return True  # the transaction still locks the file of SQLite

    await eventually(is_free)
    may_end.set()

    async def is_over() -> bool:
        return len(asyncio.all_tasks()) == 1

    await eventually(is_over)
    assert LogPosition() == (await world.bookmarks.get_bookmark(BOOKMARK)).position
    await world.project().run_once()
    if world.is_transactional:
        assert {"a": 3} == await world.read()


async def test_stop_from_a_thread(world: World) -> None:
    """Another thread stops it, while it is idle."""
    projection = world.project(poll_interval=60)
    running = asyncio.ensure_future(projection.run())
    await world.push("a", 1, 2)

    async def has_come() -> bool:
        return await world.read() == {"a": 3}

    await eventually(has_come)
    thread = threading.Thread(target=projection.stop)
    thread.start()
    async with asyncio.timeout(5):
        await running
    thread.join()

    await check_nothing_is_left(world)


async def test_stop_from_a_signal_handler(world: World) -> None:
    """A handler of the signal module stops it."""
    projection = world.project(poll_interval=60)

    def stop(_number: int, _frame: object) -> None:
        projection.stop()

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        running = asyncio.ensure_future(projection.run())
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(5):
            await running
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_runs_again_after_an_end(world: World) -> None:
    """A projection that has ended runs again, in either way."""
    projection = world.project()
    for number in range(1, 3):
        async with projection:
            pushed = await world.accounts.push_event(Opened(f"a{number}", 1))
            await projection.wait_for(pushed)
        running = asyncio.ensure_future(projection.run())
        pushed = await world.accounts.push_event(
            Deposited(f"a{number}", 2, payload={"amount": number})
        )
        await projection.wait_for(pushed)
        projection.stop()
        await running

    assert {"a1": 1, "a2": 2} == await world.read()


def test_runs_in_several_event_loops() -> None:
    """An event loop is closed, and the projection runs in another one."""
    world = InMemoryWorld()
    projection = world.project(partitions=3)

    async def handle_one(name: str) -> None:
        async with projection:
            await world.push(name, 1)
            (event,) = await world.accounts.get_events(name, min_version=2)
            await projection.wait_for(event)

    for name in "abc":
        asyncio.run(handle_one(name))
    assert {"a": 1, "b": 1, "c": 1} == asyncio.run(world.read())
