"""Bookmarks and their leases in a SQL database."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Generic, cast, overload

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import TypeVar

from castore_core import (
    LOG_START,
    Bookmark,
    Lease,
    LeaseLostError,
    LogPosition,
    ParkedEvent,
    check_limit,
    check_parked,
)
from castore_sql._blocks import open_block
from castore_sql._checks import check_busy_timeout, check_position, check_table_name, clamp_limit
from castore_sql._connection import Connection as DriverConnection
from castore_sql._database import EngineDatabase, fetch_all, read_briefly
from castore_sql._engines import get_dialect
from castore_sql._queries import fetch

C_co = TypeVar("C_co", bound=Connection | AsyncConnection, covariant=True, default=Any)


class SQLBookmarkStorageAdapter(Generic[C_co]):
    """Keeps bookmarks, their leases and parked events in two tables of a SQL database.

    A bookmark moves in a transaction of the engine that you write your read model in: each event
    changes it exactly once, whenever the process dies. Leases run on the clock of the server, or
    on SQLite on that of the machine.

    Its type parameter is that of the connection which `move_bookmark` gives: an `AsyncConnection`
    where the engine is async, a `Connection` where it is not.

    Args:
        engine: a SQLAlchemy engine of the user's, who disposes of it.
        table_name: the table of the bookmarks.
        parked_table_name: the table of the parked events.
        busy_timeout: for how many seconds, from the call, to wait for a database that somebody else
            keeps locked. Then it raises `StorageError`, and has written nothing. A call inside a
            transaction of the same task that has written, on SQLite, raises at once.

    Raises:
        TypeError: ``engine`` is no engine, or one of an asynchronous driver that was not made with
            ``create_async_engine``.
        ValueError: the engine is of a database that this version does not know, or another option
            is out of bounds.
    """

    @overload
    def __init__(
        self: "SQLBookmarkStorageAdapter[AsyncConnection]",
        engine: AsyncEngine,
        *,
        table_name: str = "bookmark",
        parked_table_name: str = "parked_event",
        busy_timeout: float = 30.0,
    ) -> None: ...

    @overload
    def __init__(
        self: "SQLBookmarkStorageAdapter[Connection]",
        engine: Engine,
        *,
        table_name: str = "bookmark",
        parked_table_name: str = "parked_event",
        busy_timeout: float = 30.0,
    ) -> None: ...

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        table_name: str = "bookmark",
        parked_table_name: str = "parked_event",
        busy_timeout: float = 30.0,
    ) -> None:
        self._dialect = get_dialect(engine)
        check_table_name(table_name)
        check_table_name(parked_table_name, "parked_table_name")
        if table_name == parked_table_name:
            raise ValueError(f"table_name and parked_table_name are the same: {table_name!r}")
        check_busy_timeout(busy_timeout)
        self._engine = engine
        self._table = self._dialect.make_bookmark_table(table_name, engine.dialect)
        self._parked = self._dialect.make_parked_table(parked_table_name, engine.dialect)
        self._database = EngineDatabase(
            engine, self._dialect, timeout=busy_timeout, reads_in_loop=True
        )

    def __repr__(self) -> str:
        return f"SQLBookmarkStorageAdapter({self._engine!r})"

    async def create_tables(self) -> None:
        """Create the tables where they are missing, and switch SQLite to WAL.

        It may be called at any time, also by several processes at once.

        Raises:
            StorageError: the database refused.
        """
        await self._database.transact(self._table.create)
        await self._database.transact(self._parked.create)

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark and its lease.

        ``position`` is ``None`` where the bookmark does not exist. Its moments are of the clock on
        which the leases run.
        """
        query = self._table.select(bookmark_id)
        rows = await read_briefly(self._database, lambda each: fetch(each, query))
        return self._table.to_bookmark(rows[0]) if rows else Bookmark(None)

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is.

        Raises:
            ValueError: the position is no text.
        """
        check_position(position)
        return await self._database.transact(self._table.create_bookmark(bookmark_id, position))

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[C_co]:
        """Move a bookmark, forwards or backwards, together with the writes of a block.

        The context gives a connection of the engine's pool, in a transaction that nobody else has.
        Write your read model with it, and push events with ``event_adapter.within(connection)``;
        do not commit, and do not roll back. At the end of the block, the bookmark moves if the
        lease holds at that moment, and all is committed in one transaction. If the block raises, or
        is cancelled, all is rolled back::

            async with bookmarks.move_bookmark(lease, position) as connection:
                await connection.execute(...)  # of an async engine
                connection.execute(...)  # of a synchronous one

        A synchronous connection is used in the thread of the event loop, which stands still for
        each of its statements and for the commit. On a server, blocks of one event loop that lock
        the same rows need an async engine: a synchronous one would wait for itself.

        On SQLite, the block holds the lock for writing from its beginning, which waits for other
        writers without the loop standing still. Writes of other tasks wait for its end,
        the extension of its lease included. On a server, the transaction is READ COMMITTED, and its
        lease can be extended.

        Events are parked, and parked no longer, in the same transaction.

        Raises:
            LeaseLostError: the lease is another owner's by now, ran out, or was given back.
                Nothing was written. It is raised at the end of the block.
            ValueError: the position is no text, or more than 25 events are parked or unparked, or
                one twice.
            StorageError: no transaction could be had, the block has ended it by itself, its
                connection broke (the error of the block is the cause), or the commit failed. If
                the answer of the commit was lost, the position tells what became of it.
        """
        check_position(position)
        check_parked(parked, unparked)
        move = self._table.move(lease, position)
        park = self._parked.park(lease.bookmark_id, parked, unparked)

        def work(connection: DriverConnection) -> bool:
            if not move(connection):
                return False
            park(connection)
            return True

        async with open_block(self._engine, self._database, self._dialect) as block:
            yield cast("C_co", block.connection)
            if not await block.commit(work):
                raise LeaseLostError(lease.bookmark_id, lease.owner)

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns ``None`` when another owner holds one that has not run out. Durations count in whole
        milliseconds.
        """
        return await self._database.transact(
            self._table.acquire_lease(bookmark_id, owner, duration)
        )

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        await self._database.transact(self._table.release_lease(lease))

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Read the parked events of a bookmark that follow a position, in the order of the log."""
        check_position(after)
        check_limit(limit)
        query = self._parked.select(bookmark_id, after, clamp_limit(limit))
        return await fetch_all(self._database, query, self._parked.to_parked)

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events, which lets their reader try them again."""
        if positions:
            await self._database.transact(self._parked.retry(bookmark_id, positions))

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events for good: their reader never handles them."""
        if positions:
            await self._database.transact(self._parked.drop(bookmark_id, positions))
