"""The event log: all events in the order of their row ids."""

import asyncio
import json
from collections.abc import Sequence

from castore_core import (
    LOG_START,
    LogEntry,
    LogPosition,
    LogSlice,
    check_log_query,
    format_position,
    parse_position,
)
from castore_sql import _sqlite
from castore_sql._checks import MAX_INTEGER
from castore_sql._connection import Connection
from castore_sql._database import Database
from castore_sql._rows import row_to_entry
from castore_sql._statements import EventStatements, Query


class Log:
    """Reads the log of an event table, and waits for its next event."""

    def __init__(self, database: Database, statements: EventStatements) -> None:
        self._database = database
        self._statements = statements
        self._select_last = statements.select_last_position.bind()

    async def read(
        self, event_store_ids: Sequence[str] | None, after: LogPosition, limit: int
    ) -> LogSlice:
        """Read the entries of all stores, or those of some and how far the read has looked."""
        check_log_query(event_store_ids, limit)
        number, limit = parse_position(after), min(limit, MAX_INTEGER)
        if event_store_ids is None:
            query = self._statements.select_whole_log.bind(after=number, limit=limit)
            entries = await self._database.fetch(query, row_to_entry)
            return LogSlice(entries, entries[-1].position if entries else after)
        if not event_store_ids:
            return LogSlice([], max(after, await self.get_last_position()))
        query = self._select(event_store_ids, number, limit)
        select_last = self._select_last
        end, entries = await self._database.read(
            lambda each: _read_with_end(each, select_last, query)
        )
        position = entries[-1].position if entries else after
        return LogSlice(entries, position if len(entries) == limit else max(position, end))

    def _select(self, event_store_ids: Sequence[str], after: int, limit: int) -> Query:
        statement, names = self._statements.select_log, list(event_store_ids)
        if any("\0" in each for each in names):  # where SQLite ends the texts of a JSON list
            statement = self._statements.select_hex_log
            names = [each.encode(errors="surrogatepass").hex().upper() for each in names]
        return statement.bind(after=after, limit=limit, aggregate_names=json.dumps(names))

    async def get_last_position(self) -> LogPosition:
        """Return the end of the log."""
        return _to_position(await self._database.fetch_value(self._select_last))

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, if it is there."""
        if abs(version) > MAX_INTEGER:
            return None
        query = self._statements.select_position.bind(
            aggregate_name=event_store_id, aggregate_id=aggregate_id, version=version
        )
        number = await self._database.fetch_value(query)
        return None if number is None else format_position(number)

    async def wait(self, after: LogPosition, seconds: float) -> None:
        """Wait until an event follows a position, or a commit of this process wakes."""
        parse_position(after)
        with self._database.wakeup.listening() as woken:  # before the look: no commit is missed
            if await self.get_last_position() <= after and seconds > 0:
                await asyncio.wait([woken], timeout=seconds)


def _read_with_end(
    connection: Connection, select_last: Query, query: Query
) -> tuple[LogPosition, list[LogEntry]]:
    # The end comes first: all that stands before it is seen by the second query.
    ((last,),) = _sqlite.fetch(connection, select_last)
    return _to_position(last), [row_to_entry(row) for row in _sqlite.fetch(connection, query)]


def _to_position(number: int | None) -> LogPosition:
    return LOG_START if number is None else format_position(number)
