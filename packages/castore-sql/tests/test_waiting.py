"""Readers of the log wait for its next event."""

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import (
    LOG_START,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    LogPosition,
    StorageError,
    format_position,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
LONG = 60  # seconds, that no test lets pass
SHORT = 0.5


def make_record(aggregate_id: str, version: int = 1) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT)


async def begin_to_wait(
    adapter: SQLEventStorageAdapter, after: LogPosition = LOG_START, seconds: float = LONG
) -> "asyncio.Task[None]":
    """Return a task that waits, and has looked in vain already."""
    task = asyncio.create_task(adapter.wait_for_events(after, seconds))
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


async def finish(task: "asyncio.Task[None]") -> None:
    """Await what is about to end."""
    await asyncio.wait_for(task, 10)


@pytest.fixture(params=["sync", "async"])
async def file_adapter(
    path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[SQLEventStorageAdapter]:
    """Give an adapter of a file, on either kind of engine."""
    if request.param == "sync":
        engine = create_engine(f"sqlite:///{path}")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield adapter
        engine.dispose()
    else:
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        adapter = SQLEventStorageAdapter(async_engine)
        await adapter.create_tables()
        yield adapter
        await async_engine.dispose()


async def test_an_event_that_follows_already(any_adapter: SQLEventStorageAdapter) -> None:
    """Whoever has something to read does not wait, whichever store it is of."""
    await any_adapter.push_event("STORE", make_record("a"))

    async with asyncio.timeout(10):
        await any_adapter.wait_for_events(LOG_START, LONG)


async def test_a_push_ends_a_wait(any_adapter: SQLEventStorageAdapter) -> None:
    """The event is there to be read as soon as the wait returns."""
    await any_adapter.push_event("STORE", make_record("a"))
    seen = await any_adapter.get_last_position()
    waiting = await begin_to_wait(any_adapter, seen)

    await any_adapter.push_event("STORE", make_record("b"))
    await finish(waiting)

    entries = (await any_adapter.read_events(after=seen)).entries
    assert ["b"] == [each.record.aggregate_id for each in entries]


async def test_a_group_ends_a_wait(any_adapter: SQLEventStorageAdapter) -> None:
    """A push in a group is a push."""
    waiting = await begin_to_wait(any_adapter)

    await any_adapter.push_event_group([GroupedRecord("STORE", make_record("a"), any_adapter)])
    await finish(waiting)


@pytest.mark.parametrize("seconds", [0, -1.5])
async def test_no_time_to_wait(any_adapter: SQLEventStorageAdapter, seconds: float) -> None:
    """A wait of no time returns, whether there is something or not."""
    async with asyncio.timeout(10):
        await any_adapter.wait_for_events(LOG_START, seconds)
        await any_adapter.push_event("STORE", make_record("a"))
        await any_adapter.wait_for_events(LOG_START, seconds)


async def test_the_time_passes(any_adapter: SQLEventStorageAdapter) -> None:
    """Without a push a wait takes as long as it may, and is no error."""
    start = time.monotonic()
    await any_adapter.wait_for_events(LOG_START, SHORT)

    assert SHORT - 0.01 <= time.monotonic() - start < 10


async def test_a_position_beyond_the_end(any_adapter: SQLEventStorageAdapter) -> None:
    """Nothing follows it, whatever is in the log."""
    await any_adapter.push_event("STORE", make_record("a"))
    waiting = await begin_to_wait(any_adapter, format_position(1000))

    waiting.cancel()


async def test_another_adapter_of_the_engine(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """Adapters on one engine wake each other's readers."""
    other = SQLEventStorageAdapter(engine)
    waiting = await begin_to_wait(other)

    await adapter.push_event("STORE", make_record("a"))
    await finish(waiting)


async def test_all_readers_wake(any_adapter: SQLEventStorageAdapter) -> None:
    """One push ends the waits of all."""
    waiting = [await begin_to_wait(any_adapter) for _ in range(5)]

    await any_adapter.push_event("STORE", make_record("a"))
    await asyncio.gather(*(finish(each) for each in waiting))


def test_a_push_in_another_event_loop(engine: Engine) -> None:
    """A thread with an event loop of its own wakes the readers of others."""
    adapter = SQLEventStorageAdapter(engine)
    asyncio.run(adapter.create_tables())
    is_waiting = threading.Barrier(4)

    async def wait() -> None:
        waiting = await begin_to_wait(adapter)
        is_waiting.wait(10)
        await finish(waiting)

    readers = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(3)]
    for each in readers:
        each.start()
    is_waiting.wait(10)
    asyncio.run(adapter.push_event("STORE", make_record("a")))
    for each in readers:
        each.join(20)

    assert [False] * 3 == [each.is_alive() for each in readers]


async def test_a_refused_push_ends_no_wait(any_adapter: SQLEventStorageAdapter) -> None:
    """Where nothing was written there is nothing to read."""
    await any_adapter.push_event("STORE", make_record("a"))
    waiting = await begin_to_wait(any_adapter, await any_adapter.get_last_position())

    with pytest.raises(EventAlreadyExistsError):
        await any_adapter.push_event("STORE", make_record("a"))
    await asyncio.sleep(0.05)

    assert not waiting.done()
    waiting.cancel()


async def test_a_wait_holds_no_connection(path: Path) -> None:
    """A pool of one connection is enough for those who wait and those who push."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=1, max_overflow=0, pool_timeout=5
    )
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    waiting = [await begin_to_wait(adapter) for _ in range(3)]

    await adapter.push_event("STORE", make_record("a"))
    await asyncio.gather(*(finish(each) for each in waiting))
    await engine.dispose()


async def test_a_cancelled_wait(any_adapter: SQLEventStorageAdapter) -> None:
    """It ends at once, and harms neither other readers nor the next push."""
    cancelled, waiting = await begin_to_wait(any_adapter), await begin_to_wait(any_adapter)

    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert not waiting.done()

    await any_adapter.push_event("STORE", make_record("a"))
    await finish(waiting)


@pytest.mark.parametrize("way", ["woken", "timed out", "cancelled", "abandoned"])
def test_a_wait_leaves_nothing_behind(engine: Engine, way: str) -> None:
    """An adapter that outlives the event loop of a reader does not keep it."""
    adapter = SQLEventStorageAdapter(engine)

    async def wait() -> weakref.ref[asyncio.AbstractEventLoop]:
        await adapter.create_tables()
        waiting = await begin_to_wait(adapter, seconds=SHORT if way == "timed out" else LONG)
        if way == "woken":
            await adapter.push_event("STORE", make_record("a"))
        if way == "cancelled":
            waiting.cancel()
        if way != "abandoned":
            await asyncio.wait([waiting])
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(wait())
    gc.collect()

    assert loop() is None


async def test_a_wait_without_a_table(engine: Engine) -> None:
    """What is wrong with the database is told, and does not look like time that passed."""
    with pytest.raises(StorageError, match="no such table"):
        await SQLEventStorageAdapter(engine).wait_for_events(LOG_START, LONG)


@pytest.mark.parametrize("rows_in_loop", [0, 100])
def test_no_push_is_missed(engine: Engine, rows_in_loop: int) -> None:
    """A push at the very moment at which a reader begins to wait ends its wait.

    Reader and writer take turns, so that no later push makes up for a wake-up that was lost.
    """
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=rows_in_loop)
    asyncio.run(adapter.create_tables())
    turns, moments = 1000, random.Random(0)
    is_read = threading.Semaphore(1)
    missed: list[float] = []

    async def push_in_turns() -> None:
        for version in range(1, turns + 1):
            assert is_read.acquire(timeout=LONG)
            time.sleep(moments.uniform(0, 0.0004))  # noqa: ASYNC251 no other task is in this loop
            await adapter.push_event("STORE", make_record("a", version))

    async def read_in_turns() -> None:
        position = LOG_START
        for _ in range(turns):
            start = time.monotonic()
            entries = (await adapter.read_events(["STORE"], position)).entries
            while not entries:
                await adapter.wait_for_events(position, LONG / 4)
                entries = (await adapter.read_events(["STORE"], position)).entries
            position = entries[-1].position
            if time.monotonic() - start > LONG / 5:
                missed.append(time.monotonic() - start)
                break
            is_read.release()

    writer = threading.Thread(target=lambda: asyncio.run(push_in_turns()), daemon=True)
    writer.start()
    asyncio.run(read_in_turns())

    assert [] == missed
    writer.join(LONG)


async def test_a_cancelled_push_that_is_written_ends_a_wait(
    file_adapter: SQLEventStorageAdapter,
) -> None:
    """Whoever pushed may be gone when the commit is done: readers hear of it all the same."""
    # aiosqlite does not close a connection whose opening was cancelled: so there are enough.
    await asyncio.gather(*(file_adapter.get_last_position() for _ in range(5)))
    moments, written = random.Random(0), 0
    for number in range(60):
        position = await file_adapter.get_last_position()
        waiting = asyncio.create_task(file_adapter.wait_for_events(position, LONG))
        push = asyncio.create_task(file_adapter.push_event("STORE", make_record(f"a{number}")))
        await asyncio.sleep(moments.uniform(0, 0.003))
        push.cancel()
        await asyncio.wait([push])
        await asyncio.sleep(0.01)
        if await file_adapter.get_last_position() > position:
            written += 1
            await finish(waiting)
        waiting.cancel()
        await asyncio.wait([waiting])

    assert written > 0


PUSHER = """
import asyncio, sys
from datetime import UTC, datetime
from sqlalchemy import create_engine
from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter

engine = create_engine(f"sqlite:///{sys.argv[1]}")
record = EventRecord("a", 1, "PUSHED", datetime(2024, 1, 1, tzinfo=UTC))
asyncio.run(SQLEventStorageAdapter(engine).push_event("STORE", record))
engine.dispose()
"""


async def test_a_push_of_another_process(adapter: SQLEventStorageAdapter, path: Path) -> None:
    """A wait looks for it again and again, and ends long before its time."""
    waiting = asyncio.create_task(adapter.wait_for_events(LOG_START, 600))
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", PUSHER, path], check=True, timeout=60
    )
    await finish(waiting)

    entries = (await adapter.read_events()).entries
    assert ["a"] == [each.record.aggregate_id for each in entries]
