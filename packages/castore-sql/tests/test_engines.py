"""Any engine of the user's will do, of any pool, and stays the user's."""

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    NullPool,
    Pool,
    SingletonThreadPool,
    StaticPool,
    create_engine,
    make_url,
)
from sqlalchemy.dialects import mssql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    StorageError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 10}
ENGINES: dict[str, tuple[str, dict[str, Any]]] = {
    "file": ("sqlite:///{path}", {}),
    "file, one connection": ("sqlite:///{path}", ONE_CONNECTION),
    "file, no pool": ("sqlite:///{path}", {"poolclass": NullPool}),
    "file, a connection for each thread": ("sqlite:///{path}", {"poolclass": SingletonThreadPool}),
    "file, autocommit": ("sqlite:///{path}", {"isolation_level": "AUTOCOMMIT"}),
    "memory": ("sqlite://", {}),
    "memory, shared": (
        "sqlite://",
        {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}},
    ),
    "async file": ("sqlite+aiosqlite:///{path}", {}),
    "async file, one connection": ("sqlite+aiosqlite:///{path}", ONE_CONNECTION),
    "async file, no pool": ("sqlite+aiosqlite:///{path}", {"poolclass": NullPool}),
    "async memory": ("sqlite+aiosqlite://", {}),
}

POOLED = ("async file", "async file, one connection")  # whose pool belongs to one event loop


def make_record(aggregate_id: str, version: int = 1, payload: JSONValue = None) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, payload)


async def read_places(adapter: SQLEventStorageAdapter) -> list[tuple[str, int]]:
    """Return the aggregate id and version of all events, sorted."""
    entries = (await adapter.read_events(limit=10_000)).entries
    return sorted((entry.record.aggregate_id, entry.record.version) for entry in entries)


async def push_next(adapter: SQLEventStorageAdapter, aggregate_id: str) -> None:
    """Push the next event of an aggregate, as often as somebody else is faster."""
    while True:
        last = await adapter.get_events("STORE", aggregate_id, reverse=True, limit=1)
        try:
            version = last[0].version + 1 if last else 1
            return await adapter.push_event("STORE", make_record(aggregate_id, version))
        except EventAlreadyExistsError:
            continue


@pytest.fixture(params=ENGINES)
async def any_engine(
    path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Engine | AsyncEngine]:
    """Give an engine of each kind."""
    url, options = ENGINES[request.param]
    if "aiosqlite" in url:
        async_engine = create_async_engine(url.format(path=path), **options)
        yield async_engine
        await async_engine.dispose()
    else:
        engine = create_engine(url.format(path=path), **options)
        yield engine
        engine.dispose()


async def test_writers_and_readers_at_a_time(any_engine: Engine | AsyncEngine) -> None:
    """Twelve writers that race for two aggregates, and read in between, leave no gap."""
    adapter = SQLEventStorageAdapter(any_engine)
    await adapter.create_tables()

    await asyncio.gather(*(push_next(adapter, "ab"[number % 2]) for number in range(12)))

    assert [(each, version) for each in "ab" for version in range(1, 7)] == await read_places(
        adapter
    )


async def test_groups_at_a_time(any_engine: Engine | AsyncEngine) -> None:
    """Groups that race are written as a whole or not at all."""
    adapter = SQLEventStorageAdapter(any_engine)
    await adapter.create_tables()
    groups = [
        [GroupedRecord("STORE", make_record(f"{each}{number}"), adapter) for each in "abc"]
        for number in (1, 2, 2, 3, 3, 3)
    ]

    outcomes = await asyncio.gather(
        *(adapter.push_event_group(each) for each in groups), return_exceptions=True
    )

    assert 3 == sum(isinstance(each, EventAlreadyExistsError) for each in outcomes)
    assert [(f"{each}{number}", 1) for each in "abc" for number in (1, 2, 3)] == await read_places(
        adapter
    )


async def test_two_adapters_on_one_engine(any_engine: Engine | AsyncEngine) -> None:
    """They see the same events, and neither disturbs a push of the other."""
    first, second = SQLEventStorageAdapter(any_engine), SQLEventStorageAdapter(any_engine)
    await first.create_tables()

    await asyncio.gather(
        *(push_next(each, "a") for each in (first, second) for _ in range(5)),
    )

    assert [("a", version) for version in range(1, 11)] == await read_places(second)


async def test_the_engine_outlives_its_adapters(any_engine: Engine | AsyncEngine) -> None:
    """An adapter that is gone has not disposed of the engine, nor closed what it is made of."""
    pool = any_engine.pool
    adapter = SQLEventStorageAdapter(any_engine)
    await adapter.create_tables()
    del adapter
    gc.collect()

    assert pool is any_engine.pool
    adapter = SQLEventStorageAdapter(any_engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("a"))
    assert [("a", 1)] == await read_places(adapter)


async def test_a_user_reads_beside_the_adapter(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """The user's own statements see what was pushed, and do not lock it out."""
    await adapter.push_event("STORE", make_record("a"))
    with engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM event")
        await adapter.push_event("STORE", make_record("b"))
        assert 1 == count.scalar_one()


@pytest.mark.parametrize("pool", [SingletonThreadPool, StaticPool])
async def test_a_user_sees_the_same_memory(pool: type[Pool]) -> None:
    """The thread of the event loop shares its database in memory with the adapter."""
    engine = create_engine("sqlite://", poolclass=pool)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await adapter.push_event("STORE", make_record("a"))

    with engine.connect() as connection:
        assert 1 == connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one()
    engine.dispose()


@pytest.mark.parametrize("name", ["file", "memory"])
@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has no eager tasks")
@pytest.mark.may_skip("asyncio has no eager tasks before Python 3.12")
def test_eager_tasks(path: Path, name: str) -> None:
    """An event loop whose tasks begin at once is like any other."""
    url, options = ENGINES[name]
    engine = create_engine(url.format(path=path), **options)
    adapter = SQLEventStorageAdapter(engine)

    async def push_eagerly() -> list[tuple[str, int]]:
        factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 unknown to 3.11
        asyncio.get_running_loop().set_task_factory(factory)
        await adapter.create_tables()
        await asyncio.gather(*(push_next(adapter, each) for each in "aab"))
        return await read_places(adapter)

    assert [("a", 1), ("a", 2), ("b", 1)] == asyncio.run(push_eagerly())
    engine.dispose()


@pytest.mark.parametrize("name", ["file", "memory, shared"])
def test_threads_with_loops_of_their_own(path: Path, name: str) -> None:
    """One adapter serves several threads at a time, each with an event loop."""
    url, options = ENGINES[name]
    engine = create_engine(url.format(path=path), **options)
    adapter = SQLEventStorageAdapter(engine)
    asyncio.run(adapter.create_tables())

    async def push_some() -> None:
        await asyncio.gather(*(push_next(adapter, each) for each in "ab" for _ in range(5)))

    threads = [threading.Thread(target=lambda: asyncio.run(push_some())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert [(each, version) for each in "ab" for version in range(1, 21)] == asyncio.run(
        read_places(adapter)
    )
    engine.dispose()


@pytest.mark.parametrize("name", [each for each in ENGINES if each not in POOLED])
def test_one_loop_after_another(path: Path, name: str) -> None:
    """An adapter goes on in the next event loop, when one has ended."""
    url, options = ENGINES[name]
    make: Any = create_async_engine if "aiosqlite" in url else create_engine
    engine = make(url.format(path=path), **options)
    adapter = SQLEventStorageAdapter(engine)

    async def push_both() -> list[tuple[str, int]]:
        await asyncio.gather(push_next(adapter, "a"), push_next(adapter, "b"))
        return await read_places(adapter)

    asyncio.run(adapter.create_tables())
    for count in (1, 2, 3):
        expected = [(each, version) for each in "ab" for version in range(1, count + 1)]
        assert expected == asyncio.run(push_both())
    if isinstance(engine, AsyncEngine):
        asyncio.run(engine.dispose())
    else:
        engine.dispose()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_another_database_is_refused(kind: str) -> None:
    """An engine of a database that is not known yet is a ValueError at once."""
    dialect = mssql.aioodbc.dialect() if kind == "async" else mssql.dialect()
    sync_engine = Engine(NullPool(_refuse_to_connect), dialect, make_url("mssql://"))
    engine = AsyncEngine(sync_engine) if kind == "async" else sync_engine

    with pytest.raises(ValueError, match="does not know 'mssql': it knows sqlite"):
        SQLEventStorageAdapter(engine)


def _refuse_to_connect() -> Any:
    raise AssertionError


async def test_a_group_over_two_engines_is_refused(
    adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """A group that cannot be one transaction is refused, and nothing of it is written."""
    other_engine = create_engine(f"sqlite:///{path}")
    other = SQLEventStorageAdapter(other_engine)
    group = [
        GroupedRecord("STORE", make_record("a"), adapter),
        GroupedRecord("STORE", make_record("b"), other),
    ]

    with pytest.raises(InvalidEventGroupError, match="different engines"):
        await adapter.push_event_group(group)
    assert [] == await read_places(adapter)
    other_engine.dispose()


async def test_a_group_over_two_tables(adapter: SQLEventStorageAdapter, engine: Engine) -> None:
    """Adapters on two tables of one engine push a group together, each to its table."""
    other = SQLEventStorageAdapter(engine, table_name="other events")
    await other.create_tables()
    group = [
        GroupedRecord("STORE", make_record("a"), adapter),
        GroupedRecord("STORE", make_record("a"), other),
        GroupedRecord("STORE", make_record("b"), other),
    ]

    await adapter.push_event_group(group)

    assert [("a", 1)] == await read_places(adapter)
    assert [("a", 1), ("b", 1)] == await read_places(other)


async def test_a_group_over_two_tables_is_all_or_nothing(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """A conflict in the other table takes back what was written to the first one."""
    other = SQLEventStorageAdapter(engine, table_name="other events")
    await other.create_tables()
    await other.push_event("OTHER", make_record("b"))
    group = [
        GroupedRecord("STORE", make_record("a"), adapter),
        GroupedRecord("OTHER", make_record("b"), other),
    ]

    with pytest.raises(EventAlreadyExistsError) as caught:
        await adapter.push_event_group(group)

    assert ("OTHER", "b", 1) == caught.value.args
    assert [] == await read_places(adapter)
    assert [("b", 1)] == await read_places(other)


async def test_a_forced_group_replaces_in_place(adapter: SQLEventStorageAdapter) -> None:
    """With force, an event of a group takes the place of another, and the rest is added."""
    await adapter.push_event("STORE", make_record("a", 1, "old"))
    await adapter.push_event("STORE", make_record("b", 1, "stays"))
    before = [entry.position for entry in (await adapter.read_events()).entries]
    group = [GroupedRecord("STORE", make_record(each, 1, "new"), adapter) for each in "ac"]

    await adapter.push_event_group(group, force=True)

    entries = (await adapter.read_events()).entries
    assert [("a", "new"), ("b", "stays"), ("c", "new")] == [
        (entry.record.aggregate_id, entry.record.payload) for entry in entries
    ]
    assert before == [entry.position for entry in entries[:2]]


async def test_a_position_is_not_given_again(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """When the last event was deleted by hand, a reader that saw it misses nothing later on."""
    await adapter.push_event("STORE", make_record("a"))
    seen = (await adapter.read_events()).position
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM event")
    await adapter.push_event("STORE", make_record("b"))

    entries = (await adapter.read_events(after=seen)).entries
    assert ["b"] == [entry.record.aggregate_id for entry in entries]


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit attribute")
@pytest.mark.may_skip("sqlite3 has no autocommit attribute before Python 3.12")
async def test_transaction_control_of_python_3_12(path: Path, *, mode: bool) -> None:
    """What was pushed is committed, in either mode of the driver's ``autocommit``."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"autocommit": mode}, pool_size=1)
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await asyncio.gather(*(push_next(adapter, "a") for _ in range(10)))
    group = [GroupedRecord("STORE", make_record(each), adapter) for each in "bca"]
    with pytest.raises(EventAlreadyExistsError):
        await adapter.push_event_group(group)
    with pytest.raises(StorageError):
        await adapter.push_event("STORE", make_record("\ud800"))

    other_engine = create_engine(f"sqlite:///{path}")
    other = SQLEventStorageAdapter(other_engine, busy_timeout=0)
    await other.push_event("STORE", make_record("z"))
    expected = [*(("a", version) for version in range(1, 11)), ("z", 1)]
    assert expected == await read_places(other)
    assert expected == await read_places(adapter)
    engine.dispose()
    other_engine.dispose()
