"""What type checkers know of bookmarks. Checked by pyright and mypy, and never run."""

from typing import Any, assert_type

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    BookmarkStorageAdapter,
    EventStorageAdapter,
    Lease,
    ReversibleEventLog,
    SnapshotStorageAdapter,
)
from castore_sql import (
    SQLBookmarkStorageAdapter,
    SQLEventStorageAdapter,
    SQLSnapshotStorageAdapter,
)


def check_protocols(
    events: SQLEventStorageAdapter,
    snapshots: SQLSnapshotStorageAdapter,
    bookmarks: SQLBookmarkStorageAdapter[Connection],
) -> tuple[
    EventStorageAdapter,
    ReversibleEventLog,
    SnapshotStorageAdapter,
    BookmarkStorageAdapter[Connection],
]:
    """Take the adapters for what they implement."""
    return events, events, snapshots, bookmarks


async def check_async_block(engine: AsyncEngine, lease: Lease) -> None:
    """Give an async connection on an async engine."""
    bookmarks = SQLBookmarkStorageAdapter(engine)
    assert_type(bookmarks, SQLBookmarkStorageAdapter[AsyncConnection])
    async with bookmarks.move_bookmark(lease, "7") as connection:
        assert_type(connection, AsyncConnection)
        await connection.exec_driver_sql("DELETE FROM pokedex")


async def check_block(engine: Engine, lease: Lease) -> None:
    """Give a connection on a synchronous engine, with any options."""
    bookmarks = SQLBookmarkStorageAdapter(engine, table_name="place", busy_timeout=1)
    assert_type(bookmarks, SQLBookmarkStorageAdapter[Connection])
    async with bookmarks.move_bookmark(lease, "7") as connection:
        assert_type(connection, Connection)
        connection.exec_driver_sql("DELETE FROM pokedex")


async def check_block_of_any_storage(
    bookmarks: BookmarkStorageAdapter[AsyncConnection], lease: Lease
) -> None:
    """Know the connection also through the protocol."""
    async with bookmarks.move_bookmark(lease, "7") as connection:
        assert_type(connection, AsyncConnection)


async def check_block_of_either(
    bookmarks: SQLBookmarkStorageAdapter[Connection | AsyncConnection], lease: Lease
) -> None:
    """Leave the kind open where it is not known."""
    async with bookmarks.move_bookmark(lease, "7") as connection:
        assert_type(connection, Connection | AsyncConnection)


def check_kinds_are_one_of_both(
    bookmarks: SQLBookmarkStorageAdapter[AsyncConnection],
) -> SQLBookmarkStorageAdapter[Connection | AsyncConnection]:
    """Take an adapter of one kind for one of either."""
    return bookmarks


async def check_block_of_no_kind(bookmarks: SQLBookmarkStorageAdapter, lease: Lease) -> None:
    """Let an adapter be of any kind where none is named."""
    async with bookmarks.move_bookmark(lease, "7") as connection:
        assert_type(connection, Any)


def check_another_transaction(
    bookmarks: SQLBookmarkStorageAdapter[Connection],
) -> BookmarkStorageAdapter[AsyncConnection]:
    """Refuse it where blocks are given another kind of connection."""
    return bookmarks  # type: ignore[return-value]


def check_no_engine() -> None:
    """Refuse what is no engine."""
    SQLBookmarkStorageAdapter("sqlite://")  # type: ignore[call-overload]
