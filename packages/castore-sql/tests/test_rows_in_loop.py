"""A few events are read in the thread of the event loop, more of them in another one."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from castore_core import EventRecord, GroupedRecord
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
EVENTS = 10


@pytest.fixture
async def full(adapter: SQLEventStorageAdapter) -> SQLEventStorageAdapter:
    """Give an adapter to an aggregate ``a`` of ten events."""
    for version in range(1, EVENTS + 1):
        await adapter.push_event("STORE", EventRecord("a", version, "PUSHED", MOMENT))
    return adapter


@pytest.fixture
def readers(engine: Engine) -> Iterator[list[str]]:
    """Give the names of the threads in which SQLite runs a SELECT."""
    names: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith("SELECT"):
            names.append(threading.current_thread().name)

    def listen(connection: Any, _: object) -> None:
        connection.set_trace_callback(note)

    event.listen(engine, "connect", listen)
    yield names
    event.remove(engine, "connect", listen)


def is_in_loop(names: list[str]) -> bool:
    """Tell whether all was read in the thread of the event loop."""
    return {threading.current_thread().name} == set(names)


@pytest.mark.parametrize(
    ("rows_in_loop", "expected"),
    [
        (0, False),
        (1, False),
        (EVENTS - 1, False),
        (EVENTS, True),
        (EVENTS + 1, True),
        (sys.maxsize, True),
    ],
)
async def test_the_bound(
    readers: list[str],
    engine: Engine,
    full: SQLEventStorageAdapter,
    *,
    rows_in_loop: int,
    expected: bool,
) -> None:
    """As many as ``rows_in_loop`` are read in the thread of the loop, and not one more."""
    assert full
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=rows_in_loop)
    readers.clear()

    found = await adapter.get_events("STORE", "a")

    assert list(range(1, EVENTS + 1)) == [each.version for each in found]
    assert expected == is_in_loop(readers)


async def test_none_is_never(
    readers: list[str], engine: Engine, full: SQLEventStorageAdapter
) -> None:
    """With 0 the thread of the loop does not even look."""
    assert full
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=0)
    readers.clear()

    assert [] == await adapter.get_events("STORE", "nobody")
    assert ["castore-sql-reader"] == readers


@pytest.mark.parametrize("rows_in_loop", [0, 1, 3, 10, 11])
async def test_the_same_is_read_anywhere(
    engine: Engine, full: SQLEventStorageAdapter, rows_in_loop: int
) -> None:
    """Whatever is asked for, the thread in which it is read makes no difference."""
    assert full
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=rows_in_loop)
    bounds = [(None, None), (3, None), (None, 5), (3, 6), (7, 6)]

    for (first, last), limit, reverse in product(bounds, [None, 1, 3, 4, 10, 11], [False, True]):
        found = await adapter.get_events(
            "STORE", "a", min_version=first, max_version=last, limit=limit, reverse=reverse
        )

        versions = list(range(first or 1, (last or EVENTS) + 1))
        expected = (versions[::-1] if reverse else versions)[:limit]
        assert expected == [each.version for each in found]


async def test_a_limit_within_the_bound_is_read_in_the_loop(
    readers: list[str], engine: Engine, full: SQLEventStorageAdapter
) -> None:
    """It is what is asked for that counts, and not what there is."""
    assert full
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=2)
    readers.clear()

    found = await adapter.get_events("STORE", "a", limit=2, reverse=True)

    assert [10, 9] == [each.version for each in found]
    assert is_in_loop(readers)


@pytest.mark.parametrize(
    ("size", "expected"), [(10_000, True), (100_000, False), (5_000_000, False)]
)
@pytest.mark.parametrize("field", ["payload", "metadata"])
async def test_large_events_are_read_in_a_thread(
    readers: list[str], adapter: SQLEventStorageAdapter, size: int, field: str, *, expected: bool
) -> None:
    """The loop stops at a quarter of a megabyte, and gives the read to a thread."""
    for version in (1, 2, 3, 4):
        record = EventRecord("large", version, "PUSHED", MOMENT)._replace(**{field: "x" * size})
        await adapter.push_event("STORE", record)
    readers.clear()

    assert [1, 2, 3, 4] == [each.version for each in await adapter.get_events("STORE", "large")]
    assert expected == is_in_loop(readers)


async def test_the_first_read_opens_no_connection_in_the_loop(
    readers: list[str], engine: Engine, full: SQLEventStorageAdapter
) -> None:
    """Where no connection is idle a thread opens one, and the loop reads on it from then on."""
    assert full
    engine.dispose()
    readers.clear()
    assert EVENTS == len(await full.get_events("STORE", "a"))
    assert "castore-sql-reader" in readers

    readers.clear()
    assert EVENTS == len(await full.get_events("STORE", "a"))
    assert is_in_loop(readers)


async def test_a_locked_database_does_not_stop_the_loop(
    full: SQLEventStorageAdapter, engine: Engine, path: Path
) -> None:
    """While a read waits for somebody who keeps readers out, other tasks go on."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.005)
            beats += 1

    engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("PRAGMA journal_mode = DELETE")  # or else readers never wait
        assert EVENTS == len(await full.get_events("STORE", "a"))
        lock.execute("BEGIN EXCLUSIVE")
        heart = asyncio.ensure_future(beat())
        read = asyncio.ensure_future(full.get_events("STORE", "a"))
        await asyncio.sleep(0.3)
        assert not read.done()
        assert beats > 10
        lock.execute("COMMIT")
        assert EVENTS == len(await read)
        heart.cancel()


@pytest.mark.parametrize("rows_in_loop", [0, 3, 100])
def test_loops_in_several_threads(engine: Engine, rows_in_loop: int) -> None:
    """Event loops that run at a time read and write through one adapter, and see their own."""
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=rows_in_loop)
    asyncio.run(adapter.create_tables())
    seen: dict[str, list[int]] = {}

    async def push_and_read(name: str) -> None:
        for version in range(1, EVENTS + 1):
            await adapter.push_event("STORE", EventRecord(name, version, "PUSHED", MOMENT))
            found = await adapter.get_events("STORE", name)
            seen.setdefault(name, []).append(len(found))

    def run(name: str) -> Callable[[], None]:
        return lambda: asyncio.run(push_and_read(name))

    threads = [threading.Thread(target=run(each)) for each in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert {each: list(range(1, EVENTS + 1)) for each in "abcd"} == seen


async def test_a_forced_group_is_read_whole_or_not_at_all(
    full: SQLEventStorageAdapter, engine: Engine
) -> None:
    """A reader of more than ``rows_in_loop`` never sees a part of a group."""
    adapter = SQLEventStorageAdapter(engine, rows_in_loop=3)
    done = False

    async def replace() -> None:
        nonlocal done
        for number in range(50):
            group = [
                GroupedRecord("STORE", EventRecord("a", version, "PUSHED", MOMENT, number), full)
                for version in range(1, EVENTS + 1)
            ]
            await full.push_event_group(group, force=True)
        done = True

    replacing = asyncio.ensure_future(replace())
    reads = 0
    while not done:
        found = await adapter.get_events("STORE", "a")
        reads += 1
        assert list(range(1, EVENTS + 1)) == [each.version for each in found]
        assert 1 == len({str(each.payload) for each in found})
    await replacing
    assert reads > 1


@pytest.mark.parametrize("rows_in_loop", [-1, True, 1.0, "1", None])
def test_what_is_no_number_of_rows(engine: Engine, rows_in_loop: Any) -> None:
    """The error says what is wanted."""
    with pytest.raises(ValueError, match="rows_in_loop is not 0 or more"):
        SQLEventStorageAdapter(engine, rows_in_loop=rows_in_loop)
