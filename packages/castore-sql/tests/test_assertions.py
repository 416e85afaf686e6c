"""A group is written if the versions hold that it asserts."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def make_record(aggregate_id: str, version: int = 1, payload: JSONValue = None) -> EventRecord:
    """Return an event."""
    return EventRecord(aggregate_id, version, "PUSHED", MOMENT, payload)


def make_group(
    adapter: SQLEventStorageAdapter, *places: tuple[str, int]
) -> Sequence[GroupedRecord]:
    """Return a group of events of one store."""
    return [GroupedRecord("STORE", make_record(*place), adapter) for place in places]


def assert_versions(
    adapter: SQLEventStorageAdapter, *places: tuple[str, int]
) -> Sequence[AssertedVersion]:
    """Return assertions of aggregates of one store."""
    return [AssertedVersion("STORE", *place, adapter) for place in places]


async def gather(*pushes: Any) -> list[Any]:
    """Return what became of each of some pushes at a time."""
    return await asyncio.gather(*pushes, return_exceptions=True)


async def read_places(adapter: SQLEventStorageAdapter) -> list[tuple[str, int]]:
    """Return the aggregate id and version of all events, in the order of the log."""
    entries = (await adapter.read_events(limit=10_000)).entries
    return [entry.record[:2] for entry in entries]


async def test_versions_that_hold(any_adapter: SQLEventStorageAdapter) -> None:
    """The group is written, and the asserted aggregates stay as they are."""
    await any_adapter.push_event_group(make_group(any_adapter, ("a", 1), ("a", 2), ("b", 1)))

    await any_adapter.push_event_group(
        make_group(any_adapter, ("c", 1), ("b", 2)),
        asserted=assert_versions(any_adapter, ("a", 2), ("nobody", 0)),
    )

    assert [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("b", 2)] == await read_places(any_adapter)


@pytest.mark.parametrize("version", [0, 1, 3])
@pytest.mark.parametrize("force", [False, True])
async def test_a_version_that_does_not_hold(
    any_adapter: SQLEventStorageAdapter, version: int, *, force: bool
) -> None:
    """Nothing is written, also with force, and the error names the asserted version."""
    before = [("a", 1), ("a", 2)]
    await any_adapter.push_event_group(make_group(any_adapter, *before))

    with pytest.raises(VersionAssertionError) as caught:
        await any_adapter.push_event_group(
            make_group(any_adapter, ("b", 1), ("c", 1)),
            asserted=assert_versions(any_adapter, ("nobody", 0), ("a", version)),
            force=force,
        )

    assert ("STORE", "a", version) == caught.value.args
    assert before == await read_places(any_adapter)


async def test_an_aggregate_without_events_is_at_no_version(
    any_adapter: SQLEventStorageAdapter,
) -> None:
    """Neither another store's events, nor another aggregate's, count."""
    await any_adapter.push_event("OTHER", make_record("a"))

    with pytest.raises(VersionAssertionError):
        await any_adapter.push_event_group(
            make_group(any_adapter, ("b", 1)), asserted=assert_versions(any_adapter, ("a", 1))
        )
    await any_adapter.push_event_group(
        make_group(any_adapter, ("b", 1)), asserted=assert_versions(any_adapter, ("a", 0))
    )


async def test_the_greatest_version_counts(any_adapter: SQLEventStorageAdapter) -> None:
    """Where there are gaps, an aggregate is at the version of its last event."""
    for version in (2, 9, 5):
        await any_adapter.push_event("STORE", make_record("a", version), force=True)

    await any_adapter.push_event_group([], asserted=assert_versions(any_adapter, ("a", 9)))
    with pytest.raises(VersionAssertionError):
        await any_adapter.push_event_group([], asserted=assert_versions(any_adapter, ("a", 5)))


async def test_a_group_of_assertions_only(any_adapter: SQLEventStorageAdapter) -> None:
    """They are checked, and nothing is written."""
    await any_adapter.push_event("STORE", make_record("a"))

    await any_adapter.push_event_group(
        [], asserted=assert_versions(any_adapter, ("a", 1), ("b", 0), ("c", 0))
    )
    with pytest.raises(VersionAssertionError) as caught:
        await any_adapter.push_event_group(
            [], asserted=assert_versions(any_adapter, ("a", 1), ("b", 1), ("c", 0))
        )

    assert ("STORE", "b", 1) == caught.value.args
    assert [("a", 1)] == await read_places(any_adapter)


async def test_an_assertion_in_another_table(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """The table of the assertion's adapter is the one that is looked at."""
    other = SQLEventStorageAdapter(engine, table_name="other events")
    await other.create_tables()
    await other.push_event("STORE", make_record("a"))

    await adapter.push_event_group(
        make_group(adapter, ("a", 1)), asserted=assert_versions(other, ("a", 1))
    )
    with pytest.raises(VersionAssertionError):
        await adapter.push_event_group(
            make_group(adapter, ("a", 2)), asserted=assert_versions(other, ("a", 0))
        )

    assert [("a", 1)] == await read_places(adapter)


@pytest.mark.parametrize("is_alone", [True, False])
async def test_an_assertion_in_another_engine_is_refused(
    adapter: SQLEventStorageAdapter, path: Path, *, is_alone: bool
) -> None:
    """What cannot be one transaction is refused, also where nothing is written."""
    engine = create_engine(f"sqlite:///{path}")
    other = SQLEventStorageAdapter(engine)

    with pytest.raises(InvalidEventGroupError, match="different engines"):
        await adapter.push_event_group(
            [] if is_alone else make_group(adapter, ("b", 1)),
            asserted=[*assert_versions(adapter, ("c", 0)), *assert_versions(other, ("a", 0))],
        )

    assert [] == await read_places(adapter)
    engine.dispose()


@pytest.mark.parametrize("allow_gaps", [False, True])
async def test_what_a_group_writes_through_another_adapter_cannot_be_asserted(
    adapter: SQLEventStorageAdapter, engine: Engine, *, allow_gaps: bool
) -> None:
    """Two adapters of one table are one storage, whatever the other one is set to."""
    other = SQLEventStorageAdapter(engine, allow_gaps=allow_gaps)

    with pytest.raises(InvalidEventGroupError, match="asserts the version of 'a', and writes it"):
        await adapter.push_event_group(
            make_group(adapter, ("a", 1)), asserted=assert_versions(other, ("a", 0))
        )
    with pytest.raises(InvalidEventGroupError, match="two events of version 1 of 'a'"):
        await adapter.push_event_group(
            [*make_group(adapter, ("a", 1)), *make_group(other, ("a", 1))]
        )

    assert [] == await read_places(adapter)


async def test_other_errors_beside_assertions(any_adapter: SQLEventStorageAdapter) -> None:
    """With versions that hold, an event that is taken or leaves a gap refuses the group."""
    await any_adapter.push_event("STORE", make_record("a"))
    held = assert_versions(any_adapter, ("z", 0))

    with pytest.raises(EventAlreadyExistsError) as caught:
        await any_adapter.push_event_group(
            make_group(any_adapter, ("b", 1), ("a", 1)), asserted=held
        )
    assert EventAlreadyExistsError is type(caught.value)
    with pytest.raises(VersionGapError):
        await any_adapter.push_event_group(
            make_group(any_adapter, ("b", 1), ("a", 3)), asserted=held
        )

    assert [("a", 1)] == await read_places(any_adapter)


async def test_assertions_share_commits(adapter: SQLEventStorageAdapter) -> None:
    """In a batch, an assertion sees what stands before it, and fails its own group only."""
    outcomes = await gather(
        adapter.push_event("STORE", make_record("under way")),
        adapter.push_event_group(
            make_group(adapter, ("early", 1)), asserted=assert_versions(adapter, ("a", 1))
        ),
        adapter.push_event("STORE", make_record("a")),
        adapter.push_event_group(
            make_group(adapter, ("b", 1)), asserted=assert_versions(adapter, ("a", 1))
        ),
        adapter.push_event_group(
            make_group(adapter, ("c", 1), ("d", 1)), asserted=assert_versions(adapter, ("b", 0))
        ),
        adapter.push_event_group([], asserted=assert_versions(adapter, ("b", 1), ("c", 0))),
        adapter.push_event("STORE", make_record("a", 2)),
        adapter.push_event_group(
            make_group(adapter, ("late", 1)), asserted=assert_versions(adapter, ("a", 1))
        ),
    )

    assert [
        None,
        (VersionAssertionError, "a", 1),
        None,
        None,
        (VersionAssertionError, "b", 0),
        None,
        None,
        (VersionAssertionError, "a", 1),
    ] == [each and (type(each), *each.args[1:]) for each in outcomes]
    assert [("under way", 1), ("a", 1), ("b", 1), ("a", 2)] == await read_places(adapter)


async def test_many_assertions_share_few_commits(
    adapter: SQLEventStorageAdapter, engine: Engine
) -> None:
    """Groups with assertions wait for each other as other pushes do."""
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(statements.append)

    engine.dispose()  # so that the adapter opens a new connection
    event.listen(engine, "connect", trace)
    await asyncio.gather(
        *(
            adapter.push_event_group(
                make_group(adapter, (f"a{each}", 1)),
                asserted=assert_versions(adapter, ("nobody", 0)),
            )
            for each in range(100)
        )
    )

    assert 100 == len(await read_places(adapter))
    assert 0 < statements.count("COMMIT") < 10


async def test_two_groups_that_assert_each_others_aggregate(
    adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """Of two that each write what the other asserts, one at most is written (no write skew)."""
    engine = create_engine(f"sqlite:///{path}")
    adapters = (adapter, SQLEventStorageAdapter(engine))
    for number in range(50):
        places = ((f"left {number}", 1), (f"right {number}", 1))
        outcomes = await gather(
            *(
                each.push_event_group(
                    make_group(each, mine), asserted=assert_versions(each, (theirs[0], 0))
                )
                for each, mine, theirs in zip(adapters, places, places[::-1], strict=True)
            )
        )
        assert {VersionAssertionError, type(None)} == {type(each) for each in outcomes}

    assert 50 == len(await read_places(adapter))
    engine.dispose()


async def test_a_group_that_is_cancelled_while_it_waits(
    adapter: SQLEventStorageAdapter, path: Path
) -> None:
    """It is not written, and the assertions of others do not see it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        pushes = [
            asyncio.ensure_future(adapter.push_event_group(group, asserted=asserted))
            for group, asserted in (
                (make_group(adapter, ("under way", 1)), ()),
                (make_group(adapter, ("a", 1)), assert_versions(adapter, ("z", 0))),
                (make_group(adapter, ("b", 1)), assert_versions(adapter, ("a", 0))),
                (make_group(adapter, ("c", 1)), assert_versions(adapter, ("a", 1))),
            )
        ]
        await asyncio.sleep(0.05)
        pushes[1].cancel()
        lock.execute("COMMIT")
        outcomes = await gather(*pushes)

    assert [type(None), asyncio.CancelledError, type(None), VersionAssertionError] == [
        type(each) for each in outcomes
    ]
    assert [("under way", 1), ("b", 1)] == await read_places(adapter)
