"""The event table of SQLite: what is asked of it, and its log in the order of row ids."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from castore_core import (
    LOG_START,
    EventRecord,
    ListedAggregate,
    LogEntry,
    LogPosition,
    LogSlice,
    StorageError,
    format_position,
    format_timestamp,
    parse_position,
    parse_timestamp,
)
from castore_sql._checks import MAX_INTEGER
from castore_sql._connection import Connection
from castore_sql._dialect import Place
from castore_sql._log import read_log, to_backward_slice
from castore_sql._queries import Query, Row, fetch, fetch_value
from castore_sql._rows import record_to_texts, row_to_record
from castore_sql._sqlite.schema import make_event_table
from castore_sql._sqlite.statements import EventStatements
from castore_sql._sqlite.tables import create

_NO_LIMIT = -1
_BEFORE_ALL = ("", "")
_AFTER_ALL = ("\U0010ffff", "")
_SELECT_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)"


class SQLiteEventTable:
    """A table of events in a SQLite database."""

    def __init__(self, name: str, *, allow_gaps: bool) -> None:
        self.name = _fold(name)
        self.statements = EventStatements(make_event_table(name))
        self._insert = self.statements.insert if allow_gaps else self.statements.insert_next
        self._select_end = self.statements.select_last_position.bind()

    def create(self, connection: Connection) -> None:
        """Create what is not there yet, and let readers and one writer work at a time (WAL).

        Raises:
            sqlite3.Error: nothing was created.
        """
        create(connection, self.statements.create)

    def upgrade(self, connection: Connection) -> None:
        """Create the indexes that are not there yet: a table of SQLite lacks nothing else.

        Raises:
            StorageError: there is no table.
        """
        if not fetch_value(connection, Query(_SELECT_TABLE, (self.name,))):
            raise StorageError(f"there is no table {self.name!r}: there is nothing to upgrade")
        self.create(connection)
        self.create(connection)

    def to_row(self, event_store_id: str, record: EventRecord) -> Row:
        """Return the values of a row, in the order of ``INSERTED_COLUMNS``."""
        data, metadata = record_to_texts(record)
        return (
            event_store_id,
            record.aggregate_id,
            record.version,
            record.type,
            data,
            metadata,
            format_timestamp(record.timestamp),
        )

    def insert(self, row: Row, *, force: bool) -> Query:
        """Insert a row, or replace the event of its version."""
        statement = self.statements.replace if force else self._insert
        return Query(statement.sql, statement.bind_row(row))

    def to_record(self, row: Row) -> EventRecord:
        """Read ``aggregate_id, version, type, timestamp, data, metadata``."""
        return row_to_record(row, parse_timestamp)

    def to_listed(self, row: Row) -> ListedAggregate:
        """Read ``aggregate_id, timestamp``."""
        aggregate_id, timestamp = row
        return ListedAggregate(aggregate_id, parse_timestamp(timestamp))

    def select_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int,
        max_version: int,
        limit: int | None,
        reverse: bool,
    ) -> Query:
        """Select the events of an aggregate."""
        return self.statements.select_events[reverse].bind(
            aggregate_name=event_store_id,
            aggregate_id=aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=_NO_LIMIT if limit is None else limit,
        )

    def select_aggregates(
        self,
        event_store_id: str,
        *,
        after: Place | None,
        before: Place | None,
        limit: int | None,
        reverse: bool,
    ) -> Query:
        """Select the aggregates between two places."""
        after_timestamp, after_id = _BEFORE_ALL if after is None else _to_texts(*after)
        before_timestamp, before_id = _AFTER_ALL if before is None else _to_texts(*before)
        return self.statements.select_ids[reverse].bind(
            aggregate_name=event_store_id,
            after_timestamp=after_timestamp,
            after_id=after_id,
            before_timestamp=before_timestamp,
            before_id=before_id,
            limit=_NO_LIMIT if limit is None else limit,
        )

    def select_last_version(self, event_store_id: str, aggregate_id: str) -> Query:
        """Select the last version of an aggregate."""
        return self.statements.select_last_version.bind(
            aggregate_name=event_store_id, aggregate_id=aggregate_id
        )

    def read_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
        limit: int,
    ) -> LogSlice:
        """Read the log: one writer at a time makes row ids come in order."""
        return read_log(self, connection, event_store_ids, after, limit)

    def select_log(
        self, event_store_ids: Sequence[str] | None, after: LogPosition, limit: int
    ) -> Query:
        """Select entries after a position."""
        number = parse_position(after)
        if event_store_ids is None:
            return self.statements.select_whole_log.bind(after=number, limit=limit)
        names, is_hex = _to_json(event_store_ids)
        statement = self.statements.select_hex_log if is_hex else self.statements.select_log
        return statement.bind(after=number, limit=limit, aggregate_names=names)

    def read_log_backwards(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        before: LogPosition | None,
        limit: int,
    ) -> LogSlice:
        """Read the log towards its start."""
        number = MAX_INTEGER if before is None else parse_position(before)
        statements = self.statements
        if event_store_ids is None:
            query = statements.select_whole_log_back.bind(before=number, limit=limit)
        else:
            names, is_hex = _to_json(event_store_ids)
            statement = statements.select_hex_log_back if is_hex else statements.select_log_back
            query = statement.bind(before=number, limit=limit, aggregate_names=names)
        return to_backward_slice([self.to_entry(row) for row in fetch(connection, query)], limit)

    def count_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
    ) -> int:
        """Count the entries after a position."""
        number = parse_position(after)
        if event_store_ids is None:
            query = self.statements.count_whole_log.bind(after=number)
        else:
            names, is_hex = _to_json(event_store_ids)
            statement = self.statements.count_hex_log if is_hex else self.statements.count_log
            query = statement.bind(after=number, aggregate_names=names)
        count: int = fetch_value(connection, query)
        return count

    def to_entry(self, row: Row) -> LogEntry:
        """Read ``id, aggregate_name`` and what `to_record` reads."""
        return LogEntry(format_position(row[0]), row[1], self.to_record(row[2:]))

    def get_last_position(self, connection: Connection) -> LogPosition:
        """Return the position of the greatest row id."""
        return _to_position(fetch_value(connection, self._select_end)) or LOG_START

    def find_position(
        self, connection: Connection, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, if it is there."""
        query = self.statements.select_position.bind(
            aggregate_name=event_store_id, aggregate_id=aggregate_id, version=version
        )
        return _to_position(fetch_value(connection, query))

    def check_position(self, position: LogPosition) -> None:
        """Refuse a position of another kind of log."""
        parse_position(position)


def _fold(name: str) -> str:
    """Return the same name for all names of one table: SQLite ignores the case of ASCII letters."""
    return "".join(each.lower() if each.isascii() else each for each in name)


def _to_json(names: Sequence[str]) -> tuple[str, bool]:
    """Return names as a JSON list, and whether it has their hexadecimal UTF-8."""
    is_hex = any("\0" in each for each in names)  # where SQLite ends the texts of a JSON list
    if is_hex:
        names = [each.encode(errors="surrogatepass").hex().upper() for each in names]
    return json.dumps(list(names)), is_hex


def _to_texts(moment: datetime, aggregate_id: str) -> tuple[str, str]:
    return format_timestamp(moment), aggregate_id


def _to_position(number: int | None) -> LogPosition | None:
    return None if number is None else format_position(number)
