"""Event storage in a SQL database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

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
    format_timestamp,
    parse_timestamp,
)
from castore_sql._checks import (
    MAX_INTEGER,
    NO_LIMIT,
    check_busy_timeout,
    check_engine,
    check_limit,
    check_rows_in_loop,
    check_table_name,
    clamp,
    fold_table_name,
)
from castore_sql._database import Database
from castore_sql._log import Log
from castore_sql._rows import record_to_row, row_to_record
from castore_sql._schema import make_event_table
from castore_sql._statements import EventStatements, Query
from castore_sql._writes import Assertion, Insert, Write, check_write

_BEFORE_ALL = ("", "")
_AFTER_ALL = ("\U0010ffff", "")


class SQLEventStorageAdapter:
    """Keeps events in a table of a SQL database: SQLite in this version.

    It is an event storage and an event log. One adapter serves any number of event stores.
    Writes wait for the disk: what was pushed survives a crash of the process or the machine.
    Concurrent pushes share a commit.

    Args:
        engine: a SQLAlchemy engine of the user's, who disposes of it. On SQLite, a synchronous
            one is the faster by far; it is used from threads of the adapter's own, or where its
            pool keeps to one connection or one for each thread (a database in memory), from the
            thread of the event loop. The threads keep connections of their own, at most five, that
            do not count against the size of the pool; ``engine.dispose()`` closes them. An async
            one belongs to one event loop at a time.
        table_name: the table of the events. Adapters of one engine with other tables can push a
            group together.
        busy_timeout: for how many seconds, from the call, a push or a read waits for a database
            that somebody else keeps locked, whatever the driver's ``timeout`` is. Then it raises
            `StorageError`, and has written nothing. A push inside a transaction of the same task
            on this engine raises at once, if that transaction has written.
        rows_in_loop: on a synchronous engine, the events of an aggregate are read in the thread of
            the event loop if they are at most so many, which spares them a way to a thread that
            takes longer than they do. The loop stands still meanwhile: a fraction of a millisecond
            for 100 small events, and for as long as the disk takes where they are in no cache. It
            never waits for a lock, and stops after 256 KB: a thread reads larger events. Positions
            are read in this way, too. 0 leaves all reads to the threads.
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
        allow_gaps: bool = False,
    ) -> None:
        check_engine(engine)
        check_table_name(table_name)
        check_busy_timeout(busy_timeout)
        check_rows_in_loop(rows_in_loop)
        self._engine = engine
        self._table_name = fold_table_name(table_name)  # two names of one table compare equal
        self._statements = EventStatements(make_event_table(table_name))
        self._rows_in_loop = rows_in_loop
        self._insert = self._statements.insert if allow_gaps else self._statements.insert_next
        self._database = Database(engine, busy_timeout=busy_timeout, reads_in_loop=rows_in_loop > 0)
        self._log = Log(self._database, self._statements)

    def __repr__(self) -> str:
        return f"SQLEventStorageAdapter({self._engine!r})"

    async def create_tables(self) -> None:
        """Create the table and its indexes where they are missing, and switch SQLite to WAL.

        It may be called at any time, also by several processes at once.

        Raises:
            StorageError: the database refused.
        """
        await self._database.create(self._statements.create)

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
        statement = self._statements.select_events[reverse]
        limit = None if limit is None else check_limit(limit)

        def bind(limit: int) -> Query:
            return statement.bind(
                aggregate_name=event_store_id,
                aggregate_id=aggregate_id,
                min_version=0 if min_version is None else clamp(min_version),
                max_version=MAX_INTEGER if max_version is None else clamp(max_version),
                limit=limit,
            )

        look = min(self._rows_in_loop + 1, MAX_INTEGER)
        rows = self._database.fetch_at_once(bind(look if limit is None else min(limit, look)))
        if rows is not None and len(rows) < look:
            return [row_to_record(row) for row in rows]
        # All of them, in one query: two would see a group that is forced in between by halves.
        return await self._database.fetch(bind(NO_LIMIT if limit is None else limit), row_to_record)

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
        limit = None if limit is None else check_limit(limit)
        after, before = _get_range(initial_event_after, initial_event_before)
        if cursor is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor)
            place = (format_timestamp(last.initial_event_timestamp), last.aggregate_id)
            after, before = (after, min(before, place)) if reverse else (max(after, place), before)
        query = self._statements.select_ids[reverse].bind(
            aggregate_name=event_store_id,
            after_timestamp=after[0],
            after_id=after[1],
            before_timestamp=before[0],
            before_id=before[1],
            limit=NO_LIMIT if limit is None else limit + 1,
        )
        found = await self._database.fetch(query, _row_to_listed)
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
        return await self._log.read(event_store_ids, after, limit)

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log as of now."""
        return await self._log.get_last_position()

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, or ``None`` where there is no such event."""
        return await self._log.find_position(event_store_id, aggregate_id, version)

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 its end is no error
        """Wait until an event follows a position, or for ``timeout`` seconds.

        It also returns when this process commits anything else through an adapter of the engine.
        Pushes of other processes do not end it.
        """
        await self._log.wait(after, timeout)

    def _get_sibling(self, storage_adapter: object) -> "SQLEventStorageAdapter":
        # The core gives a group to adapters of one class only.
        adapter = cast("SQLEventStorageAdapter", storage_adapter)
        if adapter._engine is not self._engine:
            raise InvalidEventGroupError("its storage adapters have different engines")
        return adapter

    def _to_insert(self, event_store_id: str, record: EventRecord, *, force: bool) -> Insert:
        statement = self._statements.replace if force else self._insert
        parameters = statement.bind_row(record_to_row(event_store_id, record))
        return Insert(self._table_name, statement.sql, parameters)

    def _to_assertion(self, asserted: AssertedVersion) -> Assertion:
        query = self._statements.select_last_version.bind(
            aggregate_name=asserted.event_store_id, aggregate_id=asserted.aggregate_id
        )
        return Assertion(self._table_name, *query, asserted.version)


def _get_range(
    after: datetime | None, before: datetime | None
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the exclusive bounds of (timestamp, aggregate id) for inclusive bounds of time."""
    first = _BEFORE_ALL if after is None else (format_timestamp(after), "")
    # Timestamps are texts of one length: this one lies between a moment and the next.
    end = _AFTER_ALL if before is None else (format_timestamp(before) + "~", "")
    return first, end


def _row_to_listed(row: Sequence[Any]) -> ListedAggregate:
    aggregate_id, timestamp = row
    return ListedAggregate(aggregate_id, parse_timestamp(timestamp))
