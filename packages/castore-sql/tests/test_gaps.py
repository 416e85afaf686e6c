"""A version whose version before is not stored is refused."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from castore_core import (
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    JSONValue,
    StorageError,
    VersionGapError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def make_record(aggregate_id: str, version: int, payload: JSONValue = None) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, payload)


def make_group(
    adapter: SQLEventStorageAdapter, *places: tuple[str, int]
) -> Sequence[GroupedRecord]:
    """Return a group of events of one store."""
    return [GroupedRecord("STORE", make_record(*place), adapter) for place in places]


async def gather(*pushes: Any) -> list[Any]:
    """Return what became of each of some pushes at a time."""
    return await asyncio.gather(*pushes, return_exceptions=True)


async def read_places(adapter: SQLEventStorageAdapter) -> list[tuple[str, int]]:
    """Return the aggregate id and version of all events, in the order of the log."""
    entries = (await adapter.read_events(limit=10_000)).entries
    return [entry.record[:2] for entry in entries]


async def test_a_gap_is_refused(any_adapter: SQLEventStorageAdapter) -> None:
    """Neither a first nor a later event leaves a version out, and the error names it."""
    with pytest.raises(VersionGapError) as caught:
        await any_adapter.push_event("STORE", make_record("a", 2))
    assert ("STORE", "a", 2) == caught.value.args

    await any_adapter.push_event("STORE", make_record("a", 1))
    with pytest.raises(VersionGapError) as caught:
        await any_adapter.push_event("STORE", make_record("a", 3))
    assert ("STORE", "a", 3) == caught.value.args

    await any_adapter.push_event("STORE", make_record("a", 2))
    assert [("a", 1), ("a", 2)] == await read_places(any_adapter)


async def test_the_version_before_is_of_the_same_store_and_aggregate(
    any_adapter: SQLEventStorageAdapter,
) -> None:
    """Events of others fill no gap."""
    await any_adapter.push_event("OTHER", make_record("a", 1))
    await any_adapter.push_event("STORE", make_record("b", 1))

    with pytest.raises(VersionGapError):
        await any_adapter.push_event("STORE", make_record("a", 2))


async def test_a_taken_version_is_no_gap(any_adapter: SQLEventStorageAdapter) -> None:
    """A version that is taken is a conflict, whether the version before is stored or not."""
    await any_adapter.push_event("STORE", make_record("a", 5), force=True)

    with pytest.raises(EventAlreadyExistsError):
        await any_adapter.push_event("STORE", make_record("a", 5))
    with pytest.raises(VersionGapError):
        await any_adapter.push_event("STORE", make_record("a", 4))
    await any_adapter.push_event("STORE", make_record("a", 6))
    assert [("a", 5), ("a", 6)] == await read_places(any_adapter)


async def test_force_leaves_gaps(any_adapter: SQLEventStorageAdapter) -> None:
    """With force, single events and groups are written wherever they are."""
    await any_adapter.push_event("STORE", make_record("a", 7), force=True)
    await any_adapter.push_event_group(make_group(any_adapter, ("b", 3), ("b", 9)), force=True)

    assert [("a", 7), ("b", 3), ("b", 9)] == await read_places(any_adapter)


async def test_an_adapter_may_allow_gaps(adapter: SQLEventStorageAdapter, engine: Engine) -> None:
    """One that does writes any version that is free; one of the same table does not."""
    lax = SQLEventStorageAdapter(engine, allow_gaps=True)
    await lax.push_event("STORE", make_record("a", 7))
    await lax.push_event_group(make_group(lax, ("b", 3), ("b", 9)))

    with pytest.raises(EventAlreadyExistsError):
        await lax.push_event("STORE", make_record("a", 7))
    with pytest.raises(VersionGapError):
        await adapter.push_event("STORE", make_record("a", 9))
    assert [("a", 7), ("b", 3), ("b", 9)] == await read_places(adapter)


async def test_a_group_fills_its_own_gaps(any_adapter: SQLEventStorageAdapter) -> None:
    """Versions that follow each other in a group are written."""
    await any_adapter.push_event("STORE", make_record("a", 1))
    await any_adapter.push_event_group(
        make_group(any_adapter, ("a", 2), ("b", 1), ("a", 3), ("b", 2))
    )

    assert [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2)] == await read_places(any_adapter)


async def test_a_gap_in_a_group_refuses_it(any_adapter: SQLEventStorageAdapter) -> None:
    """Nothing of a group is written of which one event leaves a version out."""
    with pytest.raises(VersionGapError) as caught:
        await any_adapter.push_event_group(make_group(any_adapter, ("a", 1), ("b", 1), ("a", 3)))

    assert ("STORE", "a", 3) == caught.value.args
    assert [] == await read_places(any_adapter)


async def test_each_table_has_gaps_of_its_own(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """An event in one table of a group is not the version before of one in another table."""
    other = SQLEventStorageAdapter(engine, table_name="other events")
    await other.create_tables()

    with pytest.raises(VersionGapError):
        await adapter.push_event_group(
            [*make_group(adapter, ("a", 1)), *make_group(other, ("a", 2))]
        )
    await adapter.push_event_group(
        [*make_group(adapter, ("a", 1)), *make_group(other, ("a", 1), ("a", 2))]
    )
    assert [("a", 1)] == await read_places(adapter)
    assert [("a", 1), ("a", 2)] == await read_places(other)


async def test_two_adapters_of_one_table_share_versions(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """What a group writes through one adapter comes before what it writes through the other."""
    other = SQLEventStorageAdapter(engine)
    await adapter.push_event_group([*make_group(adapter, ("a", 1)), *make_group(other, ("a", 2))])

    with pytest.raises(VersionGapError):
        await adapter.push_event_group(
            [*make_group(adapter, ("a", 4)), *make_group(other, ("a", 3))]
        )
    assert [("a", 1), ("a", 2)] == await read_places(other)


async def test_another_connection_sees_the_version_before(
    adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """Two engines, as of two processes, push an aggregate's versions in turn."""
    engine = create_engine(f"sqlite:///{path}")
    other = SQLEventStorageAdapter(engine)
    for version in range(1, 7):
        pusher = (adapter, other)[version % 2]
        with pytest.raises(VersionGapError):
            await pusher.push_event("STORE", make_record("a", version + 1))
        await pusher.push_event("STORE", make_record("a", version))

    assert [("a", version) for version in range(1, 7)] == await read_places(other)
    engine.dispose()


async def test_concurrent_pushes_follow_each_other(any_adapter: SQLEventStorageAdapter) -> None:
    """What was pushed before, though it has not returned yet, is the version before."""
    await asyncio.gather(
        *(
            any_adapter.push_event("STORE", make_record(aggregate_id, version))
            for version in range(1, 6)
            for aggregate_id in "ab"
        )
    )

    assert [(each, version) for version in range(1, 6) for each in "ab"] == await read_places(
        any_adapter
    )


async def test_a_gap_fails_one_push_of_a_batch(adapter: SQLEventStorageAdapter) -> None:
    """Of pushes that share a commit, each has an outcome of its own."""
    outcomes = await gather(
        *(
            adapter.push_event("STORE", make_record(*place))
            for place in (("a", 1), ("b", 2), ("b", 1), ("b", 3), ("a", 1), ("b", 2), ("a", 2))
        )
    )

    assert [
        None,
        (VersionGapError, "b", 2),
        None,
        (VersionGapError, "b", 3),
        (EventAlreadyExistsError, "a", 1),
        None,
        None,
    ] == [each and (type(each), *each.args[1:]) for each in outcomes]
    assert [("a", 1), ("b", 1), ("b", 2), ("a", 2)] == await read_places(adapter)


async def test_what_depends_on_a_refused_write_is_a_gap(adapter: SQLEventStorageAdapter) -> None:
    """A group of a batch that conflicts is not the version before of what comes after it."""
    await adapter.push_event("STORE", make_record("taken", 1))

    outcomes = await gather(
        adapter.push_event("STORE", make_record("under way", 1)),
        adapter.push_event_group(make_group(adapter, ("a", 1), ("taken", 1))),
        adapter.push_event("STORE", make_record("a", 2)),
        adapter.push_event_group(make_group(adapter, ("b", 1), ("a", 2))),
        adapter.push_event("STORE", make_record("b", 1)),
    )

    assert [
        type(None),
        EventAlreadyExistsError,
        VersionGapError,
        VersionGapError,
        type(None),
    ] == [type(each) for each in outcomes]
    assert [("taken", 1), ("under way", 1), ("b", 1)] == await read_places(adapter)


async def test_what_depends_on_a_write_that_the_database_refused_is_a_gap(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """When a batch is written one by one, what follows a failed push does not go through."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER pick BEFORE INSERT ON event WHEN new.data = '\"refused\"' "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )

    outcomes = await gather(
        *(
            adapter.push_event("STORE", record)
            for record in (
                make_record("under way", 1),
                make_record("a", 1, "refused"),
                make_record("a", 2),
                make_record("b", 1),
                make_record("b", 2),
            )
        )
    )

    assert [type(None), StorageError, VersionGapError, type(None), type(None)] == [
        type(each) for each in outcomes
    ]
    assert [("under way", 1), ("b", 1), ("b", 2)] == await read_places(adapter)


async def test_what_depends_on_a_cancelled_push_is_a_gap(
    adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """A push that was taken back while it waited is not the version before."""
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        pushes = [
            asyncio.ensure_future(adapter.push_event("STORE", make_record(*place)))
            for place in (("under way", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 2))
        ]
        await asyncio.sleep(0.05)
        pushes[1].cancel()
        lock.execute("COMMIT")
        outcomes = await gather(*pushes)

    assert [type(None), asyncio.CancelledError, VersionGapError, type(None), type(None)] == [
        type(each) for each in outcomes
    ]
    assert [("under way", 1), ("b", 1), ("b", 2)] == await read_places(adapter)


async def test_a_forced_push_of_a_batch_is_a_version_before(
    adapter: SQLEventStorageAdapter,
) -> None:
    """Pushes with force share commits with others, and neither changes what the others may do."""
    outcomes = await gather(
        adapter.push_event("STORE", make_record("under way", 1)),
        adapter.push_event("STORE", make_record("a", 4), force=True),
        adapter.push_event("STORE", make_record("a", 5)),
        adapter.push_event("STORE", make_record("a", 3)),
    )

    assert [type(None), type(None), type(None), VersionGapError] == [
        type(each) for each in outcomes
    ]
    assert [("under way", 1), ("a", 4), ("a", 5)] == await read_places(adapter)


async def test_racing_pushes_leave_no_gap(any_adapter: SQLEventStorageAdapter) -> None:
    """Writers that push ahead of themselves are refused until the version before is there."""

    async def push_ahead(version: int) -> None:
        while True:
            try:
                return await any_adapter.push_event("STORE", make_record("a", version))
            except VersionGapError:
                await asyncio.sleep(0)

    await asyncio.gather(*(push_ahead(version) for version in range(30, 0, -1)))

    assert [("a", version) for version in range(1, 31)] == await read_places(any_adapter)


async def test_a_column_of_the_user_is_no_gap(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """A value that the user's own column lacks is an error of the database, not of the version."""
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE event")
        connection.exec_driver_sql(
            "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, aggregate_name TEXT, "
            "aggregate_id TEXT, version BIGINT NOT NULL, type TEXT, data TEXT, metadata TEXT, "
            "timestamp TEXT, tenant TEXT NOT NULL, "
            "UNIQUE (aggregate_name, aggregate_id, version))"
        )

    outcomes = await gather(
        *(adapter.push_event("STORE", make_record("a", version)) for version in (1, 1, 2))
    )

    assert [StorageError, StorageError, VersionGapError] == [type(each) for each in outcomes]
    assert "NOT NULL constraint failed: event.tenant" == str(outcomes[0])
