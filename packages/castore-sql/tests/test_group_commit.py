"""Pushes share commits, and each has an outcome of its own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    StorageError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def make_record(aggregate_id: str, version: int = 1, payload: JSONValue = None) -> EventRecord:
    """Return an event that tells by its payload who pushed it."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, payload)


async def gather(*pushes: Any) -> list[Any]:
    """Return what became of each of some pushes at a time."""
    return await asyncio.gather(*pushes, return_exceptions=True)


async def read_ids(adapter: SQLEventStorageAdapter) -> list[str]:
    """Return the aggregate ids of all events, in the order of the log."""
    entries = (await adapter.read_events(limit=10_000)).entries
    return [entry.record.aggregate_id for entry in entries]


@pytest.fixture
def lock(path: Path, adapter: SQLEventStorageAdapter) -> Iterator[sqlite3.Connection]:
    """Give the connection of somebody else, who may lock the database for writing."""
    assert adapter
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
async def picky(adapter: SQLEventStorageAdapter, engine: Engine) -> SQLEventStorageAdapter:
    """Give an adapter to a table that takes no event of the aggregate ``refused``."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER pick BEFORE INSERT ON event WHEN new.aggregate_id = 'refused' "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    return adapter


@pytest.fixture(params=["sync", "async"])
async def counted(
    path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[SQLEventStorageAdapter, list[str]]]:
    """Give an adapter, and the list of all statements that SQLite runs for it."""
    statements: list[str] = []
    if request.param == "sync":
        engine = create_engine(f"sqlite:///{path}")

        @event.listens_for(engine, "connect")
        def _(connection: sqlite3.Connection, _: object) -> None:
            connection.set_trace_callback(statements.append)

        yield SQLEventStorageAdapter(engine), statements
        engine.dispose()
    else:
        async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

        @event.listens_for(async_engine.sync_engine, "connect")
        def _(connection: Any, _: object) -> None:
            trace = connection.driver_connection.set_trace_callback
            connection.run_async(lambda _: trace(statements.append))  # pyright: ignore[reportUnknownLambdaType]

        yield SQLEventStorageAdapter(async_engine), statements
        await async_engine.dispose()


async def test_concurrent_pushes_share_commits(
    counted: tuple[SQLEventStorageAdapter, list[str]],
) -> None:
    """SQLite commits far less often than 32 writers push."""
    adapter, statements = counted
    await adapter.create_tables()
    statements.clear()

    async def push_many(writer: int) -> None:
        for version in range(1, 11):
            await adapter.push_event("STORE", make_record(f"writer-{writer}", version))

    await asyncio.gather(*(push_many(writer) for writer in range(32)))

    assert 320 == len((await adapter.read_events(limit=1000)).entries)
    assert 320 == sum(each.startswith("INSERT INTO event") for each in statements)
    assert 320 / 8 >= statements.count("COMMIT") > 0


async def test_one_push_is_one_commit(
    counted: tuple[SQLEventStorageAdapter, list[str]],
) -> None:
    """A push that returned is committed: nothing waits for more to come."""
    adapter, statements = counted
    await adapter.create_tables()
    statements.clear()

    for version in (1, 2, 3):
        await adapter.push_event("STORE", make_record("a", version))
        assert version == statements.count("COMMIT")


async def test_a_conflict_fails_one_push_of_a_batch(adapter: SQLEventStorageAdapter) -> None:
    """Of a batch, exactly the pushes whose version is taken fail."""
    await adapter.push_event("STORE", make_record("taken"))

    outcomes = await gather(
        *(adapter.push_event("STORE", make_record(each)) for each in ("a", "taken", "b", "a", "c"))
    )

    assert [None, ("STORE", "taken", 1), None, ("STORE", "a", 1), None] == [
        each and each.args for each in outcomes
    ]
    assert {EventAlreadyExistsError, type(None)} == {type(each) for each in outcomes}
    assert ["taken", "a", "b", "c"] == await read_ids(adapter)


async def test_a_conflict_fails_one_group_of_a_batch(adapter: SQLEventStorageAdapter) -> None:
    """A group whose last event clashes leaves nothing behind, and its neighbours are written."""
    await adapter.push_event("STORE", make_record("taken"))
    group = [
        GroupedRecord("STORE", make_record(each), adapter) for each in ("in", "group", "taken")
    ]

    outcomes = await gather(
        adapter.push_event("STORE", make_record("before")),
        adapter.push_event_group(group),
        adapter.push_event("STORE", make_record("in")),
    )

    assert [type(None), EventAlreadyExistsError, type(None)] == [type(each) for each in outcomes]
    assert ("STORE", "taken", 1) == outcomes[1].args
    assert ["taken", "before", "in"] == await read_ids(adapter)


async def test_racing_pushes_of_one_version_have_one_winner(
    adapter: SQLEventStorageAdapter,
) -> None:
    """Of 50 pushes of one version one is written, and it is the one that was told so."""
    outcomes = await gather(
        *(adapter.push_event("STORE", make_record("a", 1, who)) for who in range(50))
    )

    assert [EventAlreadyExistsError] * 49 == [type(each) for each in outcomes if each is not None]
    assert [outcomes.index(None)] == [
        each.payload for each in await adapter.get_events("STORE", "a")
    ]


async def test_a_refused_push_fails_alone(picky: SQLEventStorageAdapter) -> None:
    """A push that the database refuses raises StorageError, and its neighbours are written."""
    await picky.push_event("STORE", make_record("taken"))

    outcomes = await gather(
        *(
            picky.push_event("STORE", make_record(each))
            for each in ("a", "refused", "taken", "b", "refused")
        )
    )

    assert [
        type(None),
        StorageError,
        EventAlreadyExistsError,
        type(None),
        StorageError,
    ] == [type(each) for each in outcomes]
    assert ["taken", "a", "b"] == await read_ids(picky)


async def test_a_refused_push_without_neighbours_fails(picky: SQLEventStorageAdapter) -> None:
    """The database's own error is the cause of what the caller gets."""
    with pytest.raises(StorageError, match="not this one") as caught:
        await picky.push_event("STORE", make_record("refused"))

    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


async def test_a_refused_group_leaves_nothing(picky: SQLEventStorageAdapter) -> None:
    """A group whose last event the database refuses is not written, and a neighbour is."""
    group = [GroupedRecord("STORE", make_record(each), picky) for each in ("a", "b", "refused")]

    outcomes = await gather(
        picky.push_event_group(group), picky.push_event("STORE", make_record("c"))
    )

    assert [StorageError, type(None)] == [type(each) for each in outcomes]
    assert ["c"] == await read_ids(picky)


async def test_what_the_driver_cannot_write_fails_alone(adapter: SQLEventStorageAdapter) -> None:
    """A text that is no Unicode, which the core would have refused, harms no neighbour."""
    outcomes = await gather(
        *(adapter.push_event("STORE", make_record(each)) for each in ("a", "\ud800", "b"))
    )

    assert [type(None), StorageError, type(None)] == [type(each) for each in outcomes]
    assert ["a", "b"] == await read_ids(adapter)


async def test_a_push_that_is_cancelled_while_it_waits_is_not_written(
    adapter: SQLEventStorageAdapter, lock: sqlite3.Connection
) -> None:
    """Cancelling a push whose commit has not begun takes it back, and no other one."""
    lock.execute("BEGIN IMMEDIATE")
    pushes = [asyncio.ensure_future(adapter.push_event("STORE", make_record("under way")))]
    await asyncio.sleep(0.05)
    pushes += [
        asyncio.ensure_future(adapter.push_event("STORE", make_record(each))) for each in "abcd"
    ]
    await asyncio.sleep(0.05)
    pushes[2].cancel()
    pushes[4].cancel()
    lock.execute("COMMIT")

    outcomes = await gather(*pushes)

    assert [2, 4] == [
        index for index, each in enumerate(outcomes) if isinstance(each, asyncio.CancelledError)
    ]
    assert ["under way", "a", "c"] == await read_ids(adapter)


async def test_cancelling_a_push_under_way_harms_no_other(
    adapter: SQLEventStorageAdapter, lock: sqlite3.Connection
) -> None:
    """The others of the batch are written and told so; what came later, too."""
    lock.execute("BEGIN IMMEDIATE")
    pushes = [
        asyncio.ensure_future(adapter.push_event("STORE", make_record(each))) for each in "abc"
    ]
    await asyncio.sleep(0.05)
    pushes[0].cancel()
    lock.execute("COMMIT")

    outcomes = await gather(*pushes, adapter.push_event("STORE", make_record("d")))

    assert [asyncio.CancelledError, type(None), type(None), type(None)] == [
        type(each) for each in outcomes
    ]
    assert ["b", "c", "d"] == [each for each in await read_ids(adapter) if each != "a"]


def test_a_loop_that_ends_under_way_cancels_the_push(
    adapter: SQLEventStorageAdapter, lock: sqlite3.Connection
) -> None:
    """What waits for a lock when its loop ends is not written, and the next loop can push."""
    lock.execute("BEGIN IMMEDIATE")
    pushes: list[asyncio.Future[None]] = []

    async def begin_and_leave() -> None:
        pushes.extend(
            asyncio.ensure_future(adapter.push_event("STORE", make_record(each))) for each in "ab"
        )
        await asyncio.sleep(0.05)

    async def push_again() -> list[str]:
        await adapter.push_event("STORE", make_record("c"))
        return await read_ids(adapter)

    asyncio.run(begin_and_leave())
    lock.execute("COMMIT")

    assert [True, True] == [each.cancelled() for each in pushes]
    assert ["c"] == asyncio.run(push_again())


async def test_a_push_after_all_tasks_were_cancelled_is_written(
    adapter: SQLEventStorageAdapter, lock: sqlite3.Connection
) -> None:
    """Who pushes when somebody has just cancelled every task of the loop is not cancelled too."""
    lock.execute("BEGIN IMMEDIATE")
    under_way = asyncio.ensure_future(adapter.push_event("STORE", make_record("a")))
    await asyncio.sleep(0.05)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    push = adapter.push_event("STORE", make_record("b"))
    lock.execute("COMMIT")

    await push

    assert under_way.cancelled()
    assert ["b"] == [each for each in await read_ids(adapter) if each != "a"]


async def test_a_cancellation_before_the_first_step_of_a_commit_harms_no_later_push(
    adapter: SQLEventStorageAdapter,
) -> None:
    """A program that ends its tasks cancels the task that would commit what waits, too."""
    mine = asyncio.current_task()

    async def push_and_cancel_all() -> None:
        await adapter.push_event("S", make_record("first"))
        for each in asyncio.all_tasks() - {mine, asyncio.current_task()}:
            each.cancel()  # the task for the second push has begun in this very step

    await gather(push_and_cancel_all(), adapter.push_event("S", make_record("second")))
    await asyncio.wait_for(adapter.push_event("S", make_record("third")), timeout=10)

    assert "third" in await read_ids(adapter)


async def test_a_full_disk_loses_nothing(path: Path) -> None:
    """What does not fit raises StorageError, what was acknowledged stays, and it goes on later."""
    most_pages = 40
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {most_pages}")

    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    ids = [f"aggregate-{number}" for number in range(100)]

    outcomes = await gather(
        *(adapter.push_event("STORE", make_record(each, 1, "x" * 3000)) for each in ids)
    )

    written = [each for each, outcome in zip(ids, outcomes, strict=True) if outcome is None]
    assert 0 < len(written) < 100
    assert {StorageError, type(None)} == {type(each) for each in outcomes}
    assert written == await read_ids(adapter)

    most_pages = 4000
    await adapter.push_event("STORE", make_record("later"))
    assert [*written, "later"] == await read_ids(adapter)
