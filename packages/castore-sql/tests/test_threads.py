"""Threads end with the adapters that they work for, and the interpreter can always go."""

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


older_threads: set[threading.Thread] = set()


def count_threads(expected: int) -> int:
    """Return the number of new threads of adapters, after a while if it is not the expected one."""
    deadline = time.monotonic() + 5
    while True:
        gc.collect()  # again and again: a thread that is at work keeps its adapter until it is done
        names = [each.name for each in set(threading.enumerate()) - older_threads]
        count = sum(each.startswith("castore-sql") for each in names)
        if count == expected or time.monotonic() > deadline:
            return count
        time.sleep(0.01)


async def use(engine: Engine) -> None:
    """Push and read with an adapter that is gone afterwards."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await asyncio.gather(
        *(
            adapter.push_event("STORE", EventRecord(each, 1, "PUSHED", MOMENT), force=True)
            for each in "abc"
        ),
        *(adapter.get_events("STORE", each) for each in "abc"),
    )


@pytest.fixture(autouse=True)
def _older_threads() -> None:
    gc.collect()
    older_threads.clear()  # such as those of an example in a README, which keeps its names
    older_threads.update(threading.enumerate())


def test_threads_end_with_their_adapter(engine: Engine) -> None:
    """When the last adapter of an engine is collected, its threads end."""
    asyncio.run(use(engine))

    assert count_threads(0) == 0


def test_threads_are_shared_by_the_adapters_of_an_engine(engine: Engine) -> None:
    """Many adapters have as many threads as one: a writer and at most four readers."""
    adapters = [SQLEventStorageAdapter(engine, table_name=f"event_{each}") for each in "abcdefgh"]

    async def create() -> None:
        await asyncio.gather(*(each.create_tables() for each in adapters))
        await asyncio.gather(*(each.read_events() for each in adapters * 5))

    asyncio.run(create())

    assert 2 <= count_threads(5) <= 5


def test_an_adapter_that_was_not_used_has_no_thread(engine: Engine) -> None:
    """Threads begin with the first use."""
    assert SQLEventStorageAdapter(engine)
    assert count_threads(0) == 0


def test_a_database_in_memory_needs_no_thread() -> None:
    """It is used from the thread of the event loop, whose database it is."""
    engine = create_engine("sqlite://")
    adapter = SQLEventStorageAdapter(engine)
    asyncio.run(adapter.create_tables())

    assert count_threads(0) == 0
    engine.dispose()


def test_an_adapter_dies_with_pushes_under_way(engine: Engine, path: Path) -> None:
    """A loop that ends while the database is locked leaves no thread for ever."""
    asyncio.run(use(engine))

    async def begin_and_leave() -> None:
        adapter = SQLEventStorageAdapter(engine)
        push = adapter.push_event("STORE", EventRecord("d", 1, "PUSHED", MOMENT))
        task = asyncio.ensure_future(push)
        await asyncio.sleep(0.05)
        assert not task.done()

    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        asyncio.run(begin_and_leave())
        lock.execute("COMMIT")

    assert count_threads(0) == 0


def test_an_event_loop_that_ended_is_not_kept(engine: Engine) -> None:
    """An adapter that outlives many event loops does not pile them up."""
    adapter = SQLEventStorageAdapter(engine)

    async def push_some() -> weakref.ref[asyncio.AbstractEventLoop]:
        await adapter.create_tables()
        records = [EventRecord(each, 1, "PUSHED", MOMENT) for each in "abc"]
        await asyncio.gather(*(adapter.push_event("STORE", each) for each in records))
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(push_some())
    gc.collect()

    assert loop() is None


LEAVING = """
import asyncio
import sys
from datetime import UTC, datetime

from castore_core import EventRecord
from castore_sql import SQLEventStorageAdapter
from sqlalchemy import create_engine

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
engine = create_engine(f"sqlite:///{sys.argv[1]}")
adapter = SQLEventStorageAdapter(engine)

async def main():
    await adapter.create_tables()
    tasks = [
        asyncio.ensure_future(adapter.push_event("STORE", EventRecord(str(each), 1, "T", MOMENT)))
        for each in range(1000)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("pushing", sum(each.done() for each in tasks))
    if sys.argv[2] == "exit":
        sys.exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["return", "exit"])
def test_the_interpreter_leaves_while_pushes_wait(path: Path, way: str) -> None:
    """It does so without a word, and what was written is whole."""
    warnings = ["-W", "error", "-W", "ignore::ResourceWarning"]  # nobody disposes the engine
    command = [sys.executable, *warnings, "-c", LEAVING, str(path), way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (0, "pushing 0\n", "") == (done.returncode, done.stdout, done.stderr)
    with closing(sqlite3.connect(path)) as connection:
        assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()
