"""Projections and relays in synchronous programs."""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from accounts import Closed, InMemoryWorld, SQLWorld, World
from castore_core import NotificationMessageQueue
from castore_core.sync import EventLoopThread, SyncEventStore
from castore_projections import (
    EventParkedError,
    Projection,
    ProjectionContext,
    ProjectionWaitTimeoutError,
    Relay,
)
from castore_projections.sync import SyncProjection, SyncRelay
from recording_channel import RecordingChannelAdapter


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Give an event loop thread."""
    with EventLoopThread() as event_loop:
        yield event_loop


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine."""
    engine = create_engine(f"sqlite:///{tmp_path}/events.db")
    yield engine
    engine.dispose()


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, engine: Engine, event_loop: EventLoopThread) -> World:
    """Return a world of each kind."""
    if request.param == "memory":
        return InMemoryWorld()
    return event_loop.run(SQLWorld.make(engine))


def test_run_once(world: World, event_loop: EventLoopThread) -> None:
    """A façade handles the events that are there, begins anew, and tells how far it is."""
    sums = SyncProjection(world.project(on_clear=world.clear), event_loop=event_loop, timeout=60)
    event_loop.run(world.push("a", 1, 2))

    assert 2 == sums.run_once()
    assert 0 == sums.run_once()
    assert [0] == [each.events_behind for each in sums.status().partitions]
    sums.reset()
    assert 2 == sums.run_once()
    assert {"a": 3} == event_loop.run(world.read())
    assert ("sums", 1, 1) == (sums.name, sums.version, sums.get_live_version())


def test_in_the_background(world: World, event_loop: EventLoopThread) -> None:
    """``with`` runs it, and a request waits until it can read what it has written."""
    accounts = SyncEventStore(world.accounts, event_loop=event_loop)
    event_loop.run(world.push("a", 5))
    with SyncProjection(world.project(), event_loop=event_loop) as sums:
        pushed = accounts.push_event(Closed("a", 3))
        assert sums.wait_for(pushed)
        assert {"a": 5} == event_loop.run(world.read())
    later = accounts.push_event(Closed("a", 4))

    with pytest.raises(ProjectionWaitTimeoutError):
        sums.wait_for(later, timeout=0.1)


def test_parked_events(world: World, event_loop: EventLoopThread) -> None:
    """Parked events are listed, retried and dropped."""
    projection = world.project()
    is_broken = True

    @projection.on(Closed)
    async def close(_event: Closed, _context: ProjectionContext[Any]) -> None:
        if is_broken:
            raise ValueError("no")

    sums = SyncProjection(projection, event_loop=event_loop)
    accounts = SyncEventStore(world.accounts, event_loop=event_loop)
    event_loop.run(world.push("a"))
    event_loop.run(world.push("b"))
    pushed = accounts.push_event(Closed("a", 2))
    accounts.push_event(Closed("b", 2))
    sums.run_once()

    assert ["a", "b"] == [each.aggregate_id for each in sums.iter_parked_events()]
    (group,) = sums.group_parked_events()
    with pytest.raises(EventParkedError):
        sums.wait_for(pushed)
    is_broken = False
    assert 1 == sums.retry_parked_events(event=next(sums.iter_parked_events()))
    assert 1 == sums.drop_parked_events(kind=group.kind)
    sums.run_once()

    assert 2 == group.count
    assert [] == list(sums.iter_parked_events())


def test_run_until_it_is_cancelled(world: World, event_loop: EventLoopThread) -> None:
    """A timeout, as Ctrl-C does, ends `run` in good order: the lease is given back."""
    sums = SyncProjection(world.project(), event_loop=event_loop)
    event_loop.run(world.push("a", 1))
    with pytest.raises(TimeoutError):
        sums.with_timeout(0.5).run()

    assert {"a": 1} == event_loop.run(world.read())
    assert 0 == sums.run_once()


def test_a_relay(world: World, event_loop: EventLoopThread) -> None:
    """A relay publishes the stored events."""
    adapter = RecordingChannelAdapter()
    queue = NotificationMessageQueue(
        "QUEUE", source_event_stores=[world.accounts], message_channel_adapter=adapter
    )
    relay = Relay(
        "relay", event_stores=[world.accounts], channels=[queue], bookmarks=world.bookmarks
    )
    event_loop.run(world.push("a", 1))

    assert 2 == SyncRelay(relay, event_loop=event_loop).run_once()
    assert [("a", 1), ("a", 2)] == adapter.places


async def test_a_running_loop(world: World) -> None:
    """A call inside an event loop is refused."""
    with pytest.raises(RuntimeError, match="an event loop runs in this thread"):
        SyncProjection(world.project()).run_once()
    await asyncio.sleep(0)


@pytest.mark.parametrize(("original", "facade"), [(Projection, SyncProjection), (Relay, SyncRelay)])
def test_nothing_is_missing(original: type, facade: type) -> None:
    """A façade has every public method, and none is a coroutine function."""
    names = {each for each in dir(original) if not each.startswith("_")} - {"on"}

    assert set() == names - set(dir(facade))
    assert [] == [each for each in names if inspect.iscoroutinefunction(getattr(facade, each))]
