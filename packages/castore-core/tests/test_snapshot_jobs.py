"""Snapshots are written in the background: none is lost, and nobody waits for them."""

import asyncio
import gc
import os
from collections.abc import Iterator
from threading import Thread
from typing import Any

import anyio
import pytest

from castore_core import Event, PushedEvent, Snapshots, _background
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from snapshot_stores import (
    SlowSnapshots,
    find_snapshots,
    load_plainly,
    make_event,
    make_store,
    push,
)


def make_snapshots(
    adapter: InMemorySnapshotStorageAdapter, *, every: int = 2, in_background: bool = True
) -> Snapshots:
    """Return snapshots that are written in the background."""
    return Snapshots(adapter, every=every, reducer_version="1", in_background=in_background)


@pytest.fixture(autouse=True)
def unhandled() -> Iterator[list[dict[str, Any]]]:
    """Fail a test after which an event loop has something to complain about."""
    complaints: list[dict[str, Any]] = []
    yield complaints
    gc.collect()
    assert [] == complaints


@pytest.fixture(autouse=True)
async def watched(unhandled: list[dict[str, Any]]) -> None:
    """Note what the event loop of the test complains about."""
    note_complaints(unhandled)


async def test_nobody_waits_for_a_snapshot() -> None:
    """Pushes and loads return before it is written, and `drain` after."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter)
    store = make_store(snapshots)
    await push(store, 1, 2, 3)
    await store.get_aggregate("a1")
    draining = asyncio.ensure_future(snapshots.drain())
    await asyncio.sleep(0.01)
    assert not draining.done()
    adapter.may_write.set()
    await draining
    assert 3 == (await store.get_aggregate("a1")).snapshot_version


async def test_a_context_drains() -> None:
    """At its end, all is written."""
    adapter = InMemorySnapshotStorageAdapter()
    async with make_snapshots(adapter) as snapshots:
        await push(make_store(snapshots), *range(1, 11))
    assert 10 == (await find_snapshots(adapter))[0]


async def test_a_snapshot_is_awaited() -> None:
    """Not in the background, a push returns when its snapshot is there, and after the hook."""
    adapter = SlowSnapshots()
    store = make_store(make_snapshots(adapter, in_background=False))
    pushed: list[int] = []

    async def note(event: PushedEvent[Any, Any]) -> None:
        pushed.append(event.event.version)

    store.on_event_pushed = note
    await push(store, 1)
    pushing = asyncio.ensure_future(push(store, 2))
    await asyncio.sleep(0.01)
    assert ([1, 2], False) == (pushed, pushing.done())
    adapter.may_write.set()
    await pushing
    assert [2] == await find_snapshots(adapter)


@pytest.mark.parametrize("in_background", [True, False])
async def test_a_hook_that_fails_does_not_lose_a_snapshot(in_background: bool) -> None:
    """The event is written, and so is the snapshot."""
    adapter = InMemorySnapshotStorageAdapter()
    snapshots = make_snapshots(adapter, in_background=in_background)
    store = make_store(snapshots)
    await push(store, 1)

    async def fail(_: object) -> None:
        raise LookupError

    store.on_event_pushed = fail
    with pytest.raises(LookupError):
        await push(store, 2)
    await snapshots.drain()
    assert [2] == await find_snapshots(adapter)


async def test_a_cancelled_push_does_not_lose_a_snapshot() -> None:
    """A push that waits for its snapshot is cancelled, again and again: it is written."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter, in_background=False)
    store = make_store(snapshots)
    await push(store, 1)
    pushing = asyncio.ensure_future(push(store, 2))
    await asyncio.sleep(0.01)
    pushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pushing
    with anyio.move_on_after(0.01):
        await push(store, 3, 4)
    adapter.may_write.set()
    await snapshots.drain()
    assert 4 == (await find_snapshots(adapter))[0]


@pytest.mark.parametrize("steps", range(12))
async def test_a_push_is_cancelled_anywhere(steps: int) -> None:
    """Whatever is cancelled, the aggregate is as it is without snapshots."""
    snapshots = make_snapshots(InMemorySnapshotStorageAdapter(), in_background=False)
    store = make_store(snapshots)
    await push(store, 1)
    pushing = asyncio.ensure_future(push(store, 2, 3, 4))
    for _ in range(steps):
        await asyncio.sleep(0)
    pushing.cancel()
    await asyncio.wait([pushing])
    await snapshots.drain()
    assert await load_plainly(store) == (await store.get_aggregate("a1")).aggregate


async def test_a_cancelled_drain_leaves_the_writes_alone() -> None:
    """They go on, and can be waited for again."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter)
    await push(make_store(snapshots), 1, 2)
    with anyio.move_on_after(0.01) as scope:
        await snapshots.drain()
    assert scope.cancelled_caught
    adapter.may_write.set()
    await snapshots.drain()
    assert [2] == await find_snapshots(adapter)


async def test_a_few_are_written_at_a_time() -> None:
    """A burst of pushes takes few connections; of one aggregate, the last snapshot counts."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter, every=1)
    store = make_store(snapshots)
    for version in (1, 2, 3):
        for number in range(20):
            await store.push_event(make_event(version, aggregate_id=f"a{number}"))
    await asyncio.sleep(0.01)
    assert 4 == adapter.puts
    adapter.may_write.set()
    await snapshots.drain()
    found = [(await find_snapshots(adapter, aggregate_id=f"a{each}"))[0] for each in range(20)]
    assert [3] * 20 == found
    assert snapshots.counts["written"] < 30


async def test_what_is_too_much_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded where the storage of snapshots does not keep up."""
    monkeypatch.setattr(_background, "_MOST_WAITING", 5)
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter, every=1)
    store = make_store(snapshots)
    for number in range(20):
        await store.push_event(make_event(1, aggregate_id=f"a{number}"))
    adapter.may_write.set()
    await snapshots.drain()
    assert {"dropped": 11, "written": 9} == snapshots.counts


async def test_the_storage_of_a_push_counts() -> None:
    """A storage adapter that is set meanwhile, as tests do, is not read for the snapshot."""
    adapter = InMemorySnapshotStorageAdapter()
    snapshots = make_snapshots(adapter)
    store = make_store(snapshots)
    await push(store, 1, 2)
    events, store.storage_adapter = store.storage_adapter, InMemoryEventStorageAdapter()
    await snapshots.drain()
    store.storage_adapter = events
    assert 2 == (await store.get_aggregate("a1")).snapshot_version


def note_complaints(unhandled: list[dict[str, Any]]) -> None:
    """Note what the running event loop complains about."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))


def test_an_event_loop_that_ends(unhandled: list[dict[str, Any]]) -> None:
    """Its writes end with it, without a word; another loop goes on."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter)
    store = make_store(snapshots)

    async def begin() -> None:
        note_complaints(unhandled)
        for number in range(10):
            await store.push_event(make_event(1, aggregate_id=f"b{number}"))
        await push(store, 1, 2)
        for number in range(10):
            await store.push_event(make_event(2, aggregate_id=f"b{number}"))
        await asyncio.sleep(0)

    asyncio.run(begin())

    async def go_on() -> None:
        adapter.may_write = asyncio.Event()
        adapter.may_write.set()
        async with snapshots:
            await push(store, 3, 4)
        assert [4] == await find_snapshots(adapter)

    asyncio.run(go_on())


def test_several_event_loops(unhandled: list[dict[str, Any]]) -> None:
    """Each loop writes its own, and waits for its own."""
    adapter = InMemorySnapshotStorageAdapter()
    snapshots = make_snapshots(adapter, every=5)
    store = make_store(snapshots)

    async def work(name: str) -> None:
        note_complaints(unhandled)
        async with snapshots:
            for version in range(1, 21):
                await store.push_event(make_event(version, aggregate_id=name))

    def run(name: str) -> None:
        asyncio.run(work(name))

    threads = [Thread(target=run, args=[f"t{each}"]) for each in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    async def check() -> None:
        for each in range(3):
            assert 20 == (await find_snapshots(adapter, aggregate_id=f"t{each}"))[0]

    asyncio.run(check())


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process() -> None:
    """A child does not wait for the writes of its parent, and does its own."""
    adapter = SlowSnapshots()
    snapshots = make_snapshots(adapter)
    store = make_store(snapshots)

    async def in_child() -> None:
        adapter.may_write = asyncio.Event()
        adapter.may_write.set()
        async with asyncio.timeout(5):
            await snapshots.drain()
            await push(store, 3, 4)
            await snapshots.drain()
        assert 4 == (await find_snapshots(adapter))[0]

    async def in_parent() -> int:
        await push(store, 1, 2)
        await asyncio.sleep(0)
        child = os.fork()
        if child == 0:
            asyncio._set_running_loop(None)
            try:
                asyncio.run(in_child())
            except BaseException:  # noqa: BLE001 it must not go on as a test run
                os._exit(1)
            os._exit(0)
        adapter.may_write.set()
        await snapshots.drain()
        return child

    child = asyncio.run(in_parent())
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_the_policy_of_a_push_sees_the_event() -> None:
    """It is called in the task of the push."""
    seen: list[Event] = []
    store = make_store(
        Snapshots(
            InMemorySnapshotStorageAdapter(),
            policy=lambda occasion: bool(seen.append(occasion.event)),
            reducer_version="1",
        )
    )
    event = make_event(1)
    await store.push_event(event)
    assert [event] == seen
