"""The queries for bookmarks and snapshots use the indexes of their tables on SQLite."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import create_engine, event

from castore_core import Lease, Snapshot
from castore_sql import SQLBookmarkStorageAdapter, SQLSnapshotStorageAdapter

MINUTE = timedelta(minutes=1)
STORES = ("STORE", "OTHER")

Use: TypeAlias = Callable[
    [SQLBookmarkStorageAdapter[Any], SQLSnapshotStorageAdapter], Awaitable[Any]
]


async def move(bookmarks: SQLBookmarkStorageAdapter[Any]) -> None:
    """Move a bookmark."""
    lease = Lease("bookmark-5", "owner", 1)
    async with bookmarks.move_bookmark(lease, "7", unparked=["5", "6"]):
        pass


USES: dict[str, Use] = {
    "a bookmark": lambda bookmarks, _: bookmarks.get_bookmark("bookmark-5"),
    "a new bookmark": lambda bookmarks, _: bookmarks.create_bookmark("bookmark-5", "7"),
    "a lease": lambda bookmarks, _: bookmarks.acquire_lease("bookmark-5", "owner", MINUTE),
    "a move": lambda bookmarks, _: move(bookmarks),
    "parked events": lambda bookmarks, _: bookmarks.get_parked_events("bookmark-5", "7"),
    "a parked event that is tried again": lambda bookmarks, _: bookmarks.retry_parked_events(
        "bookmark-5", ["7", "8"]
    ),
    "a parked event that is dropped": lambda bookmarks, _: bookmarks.drop_parked_events(
        "bookmark-5", ["7"]
    ),
    "a release": lambda bookmarks, _: bookmarks.release_lease(Lease("bookmark-5", "owner", 1)),
    "the newest snapshot": lambda _, snapshots: snapshots.get_snapshot(
        "STORE", "a5", reducer_version="1"
    ),
    "a snapshot": lambda _, snapshots: snapshots.get_snapshot(
        "STORE", "a5", reducer_version="1", max_version=4
    ),
    "deleting those of an aggregate": lambda _, snapshots: snapshots.delete_snapshots(
        "STORE", "a5"
    ),
    "the reducers of an aggregate": lambda _, snapshots: snapshots.get_reducer_versions(
        "STORE", "a5"
    ),
    "deleting older ones": lambda _, snapshots: snapshots.delete_snapshots(
        "STORE", "a5", reducer_version="1", max_version=4
    ),
    "deleting those of a store": lambda _, snapshots: snapshots.delete_snapshots("STORE"),
}


@pytest.fixture
async def watched(path: Path) -> list[str]:
    """Give what SQLite is told on new connections to a database with bookmarks and snapshots."""
    engine = create_engine(f"sqlite:///{path}")
    bookmarks = SQLBookmarkStorageAdapter(engine)
    snapshots = SQLSnapshotStorageAdapter(engine)
    await bookmarks.create_tables()
    await snapshots.create_tables()
    for number in range(10):
        await bookmarks.acquire_lease(f"bookmark-{number}", "owner", MINUTE)
        for store in STORES:
            await snapshots.put_snapshot(Snapshot(store, f"a{number}", number, "1", None))
    engine.dispose()
    return []


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_query_uses_the_primary_key(path: Path, watched: list[str], use: Use) -> None:
    """SQLite searches the index in its order: it scans no table, and sorts nothing."""
    engine = create_engine(f"sqlite:///{path}")

    def watch(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(watched.append)

    event.listen(engine, "connect", watch)
    bookmarks: SQLBookmarkStorageAdapter[Any] = SQLBookmarkStorageAdapter(engine)
    await use(bookmarks, SQLSnapshotStorageAdapter(engine))
    engine.dispose()

    statements = [each for each in watched if each.startswith(("SELECT", "UPDATE", "DELETE"))]
    assert statements
    for statement in statements:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        plan = [str(row[-1]) for row in rows]
        assert 1 == len(plan), plan
        assert plan[0].startswith("SEARCH")
        assert "sqlite_autoindex" in plan[0]
