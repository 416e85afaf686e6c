"""Event storage in a SQL database."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import (
    AggregateIdsSlice,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    ListedAggregate,
    LogEntry,
    StorageError,
    format_timestamp,
    parse_timestamp,
)
from castore_sql import _sqlite
from castore_sql._group_commit import GroupCommit, Outcome
from castore_sql._rows import record_to_row, row_to_entry, row_to_record
from castore_sql._runner import get_runner
from castore_sql._schema import make_event_table
from castore_sql._sqlite import Insert, Write
from castore_sql._statements import EventStatements, Statement

T = TypeVar("T")

_BUSY_PAUSE = 0.002  # seconds; longer ones are unfair to who waits
_NO_LIMIT = -1
_MAX_INTEGER = 2**63 - 1
_BEFORE_ALL = ("", "")
_AFTER_ALL = ("\U0010ffff", "")


class SQLEventStorageAdapter:
    """Keeps events in a table of a SQL database: SQLite in this version.

    It is an event storage and an event log. One adapter serves any number of event stores.
    Writes wait for the disk: what was pushed survives a crash of the process or the machine.
    What is pushed at a time shares a commit.

    Args:
        engine: a SQLAlchemy engine of the user's, who disposes of it. On SQLite, a synchronous
            one is the faster by far; it is used from threads of the adapter's own, or where its
            pool keeps to one connection or one for each thread (a database in memory), from the
            thread of the event loop. The threads keep connections of their own, at most five, that
            do not count against the size of the pool; ``engine.dispose()`` closes them. An async
            one belongs to one event loop at a time.
        table_name: the table of the events. Adapters of one engine with other tables can push a
            group together.
        busy_timeout: for how many seconds a commit waits for a database that another process
            keeps locked, whatever the driver's ``timeout`` is. Then its pushes raise
            `StorageError`, and have written nothing.
        rows_in_loop: on a synchronous engine, the events of an aggregate are read in the thread of
            the event loop if they are at most so many, which spares them a way to a thread that
            takes longer than they do. The loop stands still meanwhile: a fraction of a millisecond
            for 100 small events, and for as long as the disk takes where they are in no cache. It
            never waits for a lock. 0 leaves all reads to the threads.

    Raises:
        ValueError: the engine is of a database that this version does not know, or
            ``rows_in_loop`` is no integer of 0 or more.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        *,
        table_name: str = "event",
        busy_timeout: float = 30.0,
        rows_in_loop: int = 100,
    ) -> None:
        _check_engine(engine)
        _check_rows_in_loop(rows_in_loop)
        self._engine = engine
        self._statements = EventStatements(make_event_table(table_name))
        self._busy_timeout = busy_timeout
        self._rows_in_loop = rows_in_loop
        self._runner = get_runner(engine)
        self._commits: WeakKeyDictionary[asyncio.AbstractEventLoop, GroupCommit[Write]]
        self._commits = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"SQLEventStorageAdapter({self._engine!r})"

    async def create_tables(self) -> None:
        """Create the table and its indexes where they are missing, and switch SQLite to WAL.

        It may be called at any time, also by several processes at once.

        Raises:
            StorageError: the database refused.
        """
        statements = self._statements.create
        await self._guard(lambda: self._runner.write(lambda each: _sqlite.create(each, statements)))

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self._write([self._to_insert(event_store_id, record, force=force)])

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write all the events of a group, or none, in one transaction.

        Raises:
            InvalidEventGroupError: an adapter of the group has another engine, or two of them
                write one event twice to one table.
        """
        inserts: dict[tuple[object, ...], Insert] = {}
        for event_store_id, record, storage_adapter in group:
            # The core gives a group to adapters of one class only.
            adapter = cast("SQLEventStorageAdapter", storage_adapter)
            if adapter._engine is not self._engine:
                raise InvalidEventGroupError("its storage adapters have different engines")
            insert = adapter._to_insert(event_store_id, record, force=force)
            place = (insert.sql, *insert.parameters[:3])
            if inserts.setdefault(place, insert) is not insert:
                raise InvalidEventGroupError(
                    f"it has two events of version {record.version} of {record.aggregate_id!r}"
                )
        await self._write(list(inserts.values()))

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

        def bind(limit: int) -> tuple[object, ...]:
            return statement.bind(
                aggregate_name=event_store_id,
                aggregate_id=aggregate_id,
                min_version=0 if min_version is None else min_version,
                max_version=_MAX_INTEGER if max_version is None else max_version,
                limit=limit,
            )

        if self._rows_in_loop:
            look = min(self._rows_in_loop + 1, _MAX_INTEGER)
            parameters = bind(look if limit is None else min(limit, look))
            rows = self._runner.read_at_once(
                lambda each: _sqlite.fetch(each, statement.sql, parameters)
            )
            if rows is not None and len(rows) < look:
                return [row_to_record(row) for row in rows]
        # All of them, in one query: two would see a group that is forced in between by halves.
        return await self._fetch(
            statement, bind(_NO_LIMIT if limit is None else limit), row_to_record
        )

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
        after, before = _get_range(initial_event_after, initial_event_before)
        if cursor is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor)
            place = (format_timestamp(last.initial_event_timestamp), last.aggregate_id)
            after, before = (after, min(before, place)) if reverse else (max(after, place), before)
        statement = self._statements.select_ids[reverse]
        parameters = statement.bind(
            aggregate_name=event_store_id,
            after_timestamp=after[0],
            after_id=after[1],
            before_timestamp=before[0],
            before_id=before[1],
            limit=_NO_LIMIT if limit is None else limit + 1,
        )
        found = await self._fetch(statement, parameters, _row_to_listed)
        return AggregateIdsSlice.from_lookahead(found, limit)

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Read the events that follow a position, at most ``limit``, of some or all stores."""
        if event_store_ids is None:
            statement = self._statements.select_whole_log
            parameters = statement.bind(after_position=after_position, limit=limit)
        else:
            statement = self._statements.select_log
            parameters = statement.bind(
                after_position=after_position,
                limit=limit,
                aggregate_names=json.dumps(list(event_store_ids)),
            )
        return await self._fetch(statement, parameters, row_to_entry)

    def _to_insert(self, event_store_id: str, record: EventRecord, *, force: bool) -> Insert:
        statement = self._statements.replace if force else self._statements.insert
        return Insert(statement.sql, record_to_row(event_store_id, record))

    def _write(self, write: Write) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        commits = self._commits.get(loop)
        if commits is None:
            commits = self._commits[loop] = GroupCommit(self._commit)
        return commits.write(write)

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Write together or, if that fails, one by one, so that none suffers from another."""
        try:
            return await self._guard(
                lambda: self._runner.write(lambda each: _sqlite.commit(each, writes))
            )
        except Exception as error:  # noqa: BLE001 whoever wrote gets it
            if len(writes) == 1:
                return [error]
            if _sqlite.is_busy(error.__cause__):
                return [StorageError(str(error)) for _ in writes]
        return [outcome for each in writes for outcome in await self._commit([each])]

    async def _fetch(
        self,
        statement: Statement,
        parameters: tuple[object, ...],
        convert: Callable[[Sequence[object]], T],
    ) -> list[T]:
        return await self._guard(
            lambda: self._runner.read(
                lambda each: [
                    convert(row) for row in _sqlite.fetch(each, statement.sql, parameters)
                ]
            )
        )

    async def _guard(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while the database is busy, and translate other errors of the backend."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._busy_timeout
        while True:
            try:
                return await attempt()
            except (sqlite3.Error, SQLAlchemyError) as error:
                if not _sqlite.is_busy(error) or loop.time() >= deadline:
                    raise _sqlite.translate(error) from error
            await asyncio.sleep(_BUSY_PAUSE)


def _check_engine(engine: object) -> None:
    if not isinstance(engine, (Engine, AsyncEngine)):
        raise TypeError(f"not an engine of SQLAlchemy: {engine!r}")
    if engine.dialect.name != "sqlite":
        raise ValueError(f"castore-sql does not know {engine.dialect.name!r}: use SQLite")


def _check_rows_in_loop(rows: object) -> None:
    if type(rows) is not int or rows < 0:
        raise ValueError(f"rows_in_loop is not 0 or more: {rows!r}")


def _get_range(
    after: datetime | None, before: datetime | None
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the exclusive bounds of (timestamp, aggregate id) for inclusive bounds of time."""
    first = _BEFORE_ALL if after is None else (format_timestamp(after), "")
    # Timestamps are texts of one length: this one lies between a moment and the next.
    end = _AFTER_ALL if before is None else (format_timestamp(before) + "~", "")
    return first, end


def _row_to_listed(row: Sequence[object]) -> ListedAggregate:
    aggregate_id, timestamp = cast("tuple[str, str]", tuple(row))
    return ListedAggregate(aggregate_id, parse_timestamp(timestamp))
