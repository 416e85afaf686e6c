"""Event storage in a SQL database."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime, timedelta
from typing import Self, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    LOG_START,
    AggregateIdsSlice,
    AssertedVersion,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    ListedAggregate,
    LogPosition,
    LogSlice,
    check_limit,
    check_log_query,
)
from castore_sql._checks import (
    MAX_INTEGER,
    check_busy_timeout,
    check_rows_in_loop,
    check_table_name,
    clamp,
    clamp_limit,
)
from castore_sql._database import (
    Database,
    EngineDatabase,
    InnerDatabase,
    fetch_all,
    fetch_few,
    read_briefly,
)
from castore_sql._dialect import Place
from castore_sql._engines import check_connection, get_dialect
from castore_sql._queries import Query
from castore_sql._waiting import Waiting
from castore_sql._writes import Assertion, Insert, Write, check_write

_MILLISECOND = timedelta(milliseconds=1)


class SQLEventStorageAdapter:
    """Keeps events in a table of a SQL database: SQLite, PostgreSQL, MySQL or MariaDB.

    It is an event storage and an event log. One adapter serves any number of event stores. A push
    returns when its transaction is committed: on SQLite it is on the disk then, on a server as
    durable as the settings of the server say. Concurrent pushes share a commit.

    Args:
        engine: a SQLAlchemy engine of the user's, who disposes of it. On a server prefer an async
            one; connections come from its pool. On SQLite a synchronous one is the faster by far.
            It is used from threads of the adapter's own, or where its pool keeps to one connection
            or one for each thread (a database in memory), from the thread of the event loop. The
            threads keep connections of their own on SQLite, at most five, that do not count against
            the size of the pool; ``engine.dispose()`` closes them. An async one belongs to one
            event loop at a time.
        table_name: the table of the events. Adapters of one engine with other tables can push a
            group together.
        busy_timeout: for how many seconds, from the call, a push or a read waits for a database
            that somebody else keeps locked, whatever the driver's ``timeout`` is. Then it raises
            `StorageError`, and has written nothing. On SQLite, a push inside a transaction of
            the same task on this engine raises at once, if that transaction has written. On a
            server, statements that wait longer are ended: a push whose outcome cannot be found out
            raises `UnknownOutcomeError`, at most a few seconds later. An attempt has at least a
            second.
        rows_in_loop: on a synchronous engine of SQLite, the events of an aggregate are read in the
            thread of the event loop if they are at most so many, which spares them a way to a
            thread that takes longer than they do. The loop stands still meanwhile: a fraction of a
            millisecond for 100 small events, and for as long as the disk takes where they are in no
            cache. It never waits for a lock, and stops after 256 KB: a thread reads larger events.
            Positions are read in this way, too. 0 leaves all reads to the threads.
        commits_in_loop: on a synchronous engine of SQLite, commit pushes in the thread of the event
            loop, which spares them the way to a thread. The loop stands still while the disk
            writes, and concurrent pushes do not share a commit: it is for scripts, and for programs
            with one user. A push that finds the database locked waits in a thread. Under a façade
            of `castore_core.sync` this holds without the option, as long as one thread calls.
        allow_gaps: whether a version can be pushed where the one before is missing. An aggregate
            without version 1 is not listed.

    Raises:
        TypeError: ``engine`` is no engine, or one of an asynchronous driver that was not made with
            ``create_async_engine``.
        ValueError: the engine is of a database that this version does not know, or another option
            is out of bounds.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        table_name: str = "event",
        busy_timeout: float = 30.0,
        rows_in_loop: int = 100,
        commits_in_loop: bool = False,
        allow_gaps: bool = False,
    ) -> None:
        self._dialect = get_dialect(engine)
        check_table_name(table_name)
        check_busy_timeout(busy_timeout)
        check_rows_in_loop(rows_in_loop)
        self._engine = engine
        self._rows_in_loop = rows_in_loop
        self._table = self._dialect.make_event_table(
            table_name, engine.dialect, allow_gaps=allow_gaps
        )
        self._database: Database = EngineDatabase(
            engine,
            self._dialect,
            timeout=busy_timeout,
            reads_in_loop=rows_in_loop > 0,
            commits_in_loop=commits_in_loop,
        )
        self._waiting = Waiting(
            self._database.wakeup,
            lambda wake: self._dialect.make_listener(engine, table_name, wake),
        )
        self._connection: Connection | AsyncConnection | None = None
        self.joins_transaction: bool = False

    def __repr__(self) -> str:
        return f"SQLEventStorageAdapter({self._engine!r})"

    async def create_tables(self) -> None:
        """Create the table and its indexes where they are missing, and switch SQLite to WAL.

        It may be called at any time, also by several processes at once.

        Raises:
            StorageError: the database refused.
        """
        await self._database.define(self._table.create)

    async def upgrade_tables(self) -> None:
        """Add the columns and indexes that a table of Castore's, or of an earlier version, lacks.

        It may be called at any time, and again. On PostgreSQL, events cannot be pushed for the
        moment in which columns are added; indexes are built while others work. Call it there
        after a restore into another cluster, too: the log goes on behind the events that are there.

        Raises:
            StorageError: the database refused, or there is no table.
        """
        await self._database.define(self._table.upgrade)

    def within(self, connection: Connection | AsyncConnection) -> Self:
        """Return an adapter that reads and pushes inside a transaction of yours.

        Events are committed, or rolled back, with all else that the transaction writes. Nothing is
        durable before your commit. A transaction begins if the connection has none. A conflict
        raises, and leaves the transaction usable. The same adapter reads the pushed events. Use
        it while the connection is open::

            async with engine.begin() as connection:
                store = pokemons.using(adapter.within(connection))
                await store.push_event(event)
                await connection.execute(...)

        A synchronous connection is used in the thread of the event loop, or under a façade of
        `castore_core.sync` in the thread that calls this. The thread waits for the database.
        It waits as long as the driver does, and tries nothing again. ``create_tables`` and
        ``upgrade_tables``, which would end the transaction, raise `StorageError`.

        Args:
            connection: one of the adapter's engine.

        Raises:
            TypeError: it is no connection. Of a session, give ``await session.connection()``.
            ValueError: it is one of another engine.
        """
        check_connection(connection, self._engine)
        inner = copy(self)
        inner._connection = connection
        inner._database = InnerDatabase(connection, self._dialect)
        inner._waiting = Waiting(inner._database.wakeup, lambda _: None)
        inner.joins_transaction = True
        return inner

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self._database.write([self._to_insert(event_store_id, record, force=force)])

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write all the events of a group, or none, in the transaction that checks the versions.

        Raises:
            InvalidEventGroupError: an adapter of the group has another engine, or two of them
                write one event twice to one table, or one asserts what the other writes.
        """
        write: Write = [
            *(self._get_sibling(each.storage_adapter)._to_assertion(each) for each in asserted),
            *(
                self._get_sibling(adapter)._to_insert(event_store_id, record, force=force)
                for event_store_id, record, adapter in group
            ),
        ]
        check_write(write)
        await self._database.write(write)

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[EventRecord]:
        """Read the events of an aggregate in the order of their versions."""
        limit = _to_limit(limit)

        def select(limit: int | None) -> Query:
            return self._table.select_events(
                event_store_id,
                aggregate_id,
                min_version=-MAX_INTEGER if min_version is None else clamp(min_version),
                max_version=MAX_INTEGER if max_version is None else clamp(max_version),
                limit=limit,
                reverse=reverse,
            )

        look = min(self._rows_in_loop + 1, MAX_INTEGER)
        rows = fetch_few(self._database, select(look if limit is None else min(limit, look)))
        if rows is not None and len(rows) < look:
            return [self._table.to_record(row) for row in rows]
        # All of them, in one query: two would see a group that is forced in between by halves.
        return await fetch_all(self._database, select(limit), self._table.to_record)

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List the aggregates that have an event of version 1, ordered by its timestamp and id."""
        limit = _to_limit(limit)
        after, before = _get_range(initial_event_after, initial_event_before)
        if cursor is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor)
            place = (last.initial_event_timestamp, last.aggregate_id)
            if reverse:
                before = place if before is None else min(before, place)
            else:
                after = place if after is None else max(after, place)
        query = self._table.select_aggregates(
            event_store_id,
            after=after,
            before=before,
            limit=None if limit is None else limit + 1,
            reverse=reverse,
        )
        found = await fetch_all(self._database, query, self._table.to_listed)
        return AggregateIdsSlice.from_lookahead(found, limit)

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that follow a position, at most ``limit``, of some or all stores.

        A read that finds fewer than ``limit`` has looked up to the end of the log.
        """
        check_log_query(event_store_ids, limit)
        self._table.check_position(after)
        limit = min(limit, MAX_INTEGER)
        return await self._database.read(
            lambda each: self._table.read_log(each, event_store_ids, after, limit)
        )

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Read the events that precede a position, or the last ones, the latest first."""
        check_log_query(event_store_ids, limit)
        if before is not None:
            self._table.check_position(before)
        limit = min(limit, MAX_INTEGER)
        return await self._database.read(
            lambda each: self._table.read_log_backwards(each, event_store_ids, before, limit)
        )

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log as of now."""
        return await read_briefly(self._database, self._table.get_last_position)

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, or ``None`` where there is no such event."""
        if abs(version) > MAX_INTEGER:
            return None
        return await read_briefly(
            self._database,
            lambda each: self._table.find_position(each, event_store_id, aggregate_id, version),
        )

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count the events that follow a position, of some or all stores.

        The database looks at all the events that follow.
        """
        check_log_query(event_store_ids)
        self._table.check_position(after)
        return await self._database.read(
            lambda each: self._table.count_log(each, event_store_ids, after)
        )

    async def get_oldest_transaction_age(self) -> timedelta:
        """Return how old the oldest transaction is that holds readers of the log back, or zero.

        On PostgreSQL, a transaction that has written anything, in any database of the cluster, does
        so until it ends; a prepared one counts from when it was prepared. A user without the role
        ``pg_monitor`` sees the prepared ones and those of its own sessions, and a replica does not
        know those of its primary. On MySQL and MariaDB, a transaction that has written to the table
        does; the age is that of the oldest one that has written anything, in whole seconds, and
        asking needs the privilege ``PROCESS``. On SQLite none ever does: one writes at a time.

        Raises:
            StorageError: the database refused.
        """
        return await self._database.read(self._dialect.get_oldest_transaction_age)

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 its end is no error
        """Wait until an event follows a position, or for ``timeout`` seconds.

        It also returns when this process commits anything else through an adapter of the engine.
        For the events of other processes it looks again and again, every quarter of a second at
        the longest. On PostgreSQL with asyncpg, a wait of more than some tenths of a second also
        listens, on a connection beside the pool, and a push of another process ends it at once.
        """
        self._table.check_position(after)

        async def look() -> bool:
            return await self.get_last_position() > after

        await self._waiting.wait(look, timeout)

    def _get_sibling(self, storage_adapter: object) -> "SQLEventStorageAdapter":
        # The core gives a group to adapters of one class only.
        adapter = cast("SQLEventStorageAdapter", storage_adapter)
        if adapter._engine is not self._engine:
            raise InvalidEventGroupError("its storage adapters have different engines")
        if adapter._connection is not self._connection:
            raise InvalidEventGroupError("its storage adapters are in different transactions")
        return adapter

    def _to_insert(self, event_store_id: str, record: EventRecord, *, force: bool) -> Insert:
        return Insert(self._table, self._table.to_row(event_store_id, record), force)

    def _to_assertion(self, asserted: AssertedVersion) -> Assertion:
        return Assertion(
            self._table, asserted.event_store_id, asserted.aggregate_id, asserted.version
        )


def _to_limit(limit: int | None) -> int | None:
    """Refuse a limit below 1, and return one that a column can hold."""
    if limit is None:
        return None
    check_limit(limit)
    return clamp_limit(limit)


def _get_range(
    after: datetime | None, before: datetime | None
) -> tuple[Place | None, Place | None]:
    """Return the places around inclusive bounds of time. No aggregate has an empty id."""
    first = None if after is None else (after, "")
    if before is None or before > datetime.max.replace(tzinfo=before.tzinfo) - _MILLISECOND:
        return first, None
    return first, (before + _MILLISECOND, "")
