"""The event table of MySQL and MariaDB: what is asked of it, and its log in the order of ids."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from castore_core import (
    LOG_START,
    EventRecord,
    InvalidEventError,
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
from castore_sql._log import to_backward_slice
from castore_sql._mysql.holes import Holes
from castore_sql._mysql.own_tables import exists, get_no_pad
from castore_sql._mysql.schema import (
    LONGEST_ID,
    LONGEST_STORE_ID,
    LONGEST_TYPE,
    make_create,
)
from castore_sql._mysql.statements import EventStatements
from castore_sql._queries import Query, Row, execute, fetch, fetch_value
from castore_sql._rows import record_to_texts, row_to_record

_NO_LIMIT: Final = 2**64 - 1
_BEFORE_ALL: Final = ("", "")
_AFTER_ALL: Final = ("~", "")


class MySQLEventTable:
    """A table of events in a MySQL or MariaDB database."""

    def __init__(self, name: str, *, allow_gaps: bool) -> None:
        self.name = name
        self.allow_gaps = allow_gaps
        self.statements = EventStatements(name)
        self._holes = Holes(self.statements)

    def create(self, connection: Connection) -> None:
        """Create the table with its indexes, or leave alone the one that is there."""
        if not exists(connection, self.name):
            definition = make_create(self.name, get_no_pad(connection))
            execute(connection, Query(definition.replace("%", "%%")))

    def upgrade(self, connection: Connection) -> None:
        """Do nothing: a table of MySQL lacks nothing.

        Raises:
            StorageError: there is no table.
        """
        if not exists(connection, self.name):
            raise StorageError(f"there is no table {self.name!r}: there is nothing to upgrade")

    def to_row(self, event_store_id: str, record: EventRecord) -> Row:
        """Return the values of a row, and a token that no other push has."""
        for field, value, longest in (
            ("event_store_id", event_store_id, LONGEST_STORE_ID),
            ("aggregate_id", record.aggregate_id, LONGEST_ID),
            ("type", record.type, LONGEST_TYPE),
        ):
            if len(value) > longest:
                raise InvalidEventError(
                    record.type, field, f"has {len(value)} characters: its column has {longest}"
                )
        if record.version > MAX_INTEGER:
            raise InvalidEventError(record.type, "version", f"is above {MAX_INTEGER}")
        data, metadata = record_to_texts(record)
        return (
            event_store_id,
            record.aggregate_id,
            record.version,
            record.type,
            data,
            metadata,
            format_timestamp(record.timestamp),
            secrets.randbits(63),
        )

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
            after=after_timestamp,
            after_id=after_id,
            before=before_timestamp,
            before_id=before_id,
            limit=_NO_LIMIT if limit is None else limit,
        )

    def read_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
        limit: int,
    ) -> LogSlice:
        """Read the log up to the first hole that a writer may still fill."""
        start = parse_position(after)
        until = self._holes.close_after(connection, start, limit)
        if until == start or (event_store_ids is not None and not event_store_ids):
            return LogSlice([], format_position(until) if until > start else after)
        query = self.statements.select_log(event_store_ids, start, until, limit)
        entries = [self._to_entry(row) for row in fetch(connection, query)]
        if len(entries) == limit:
            return LogSlice(entries, entries[-1].position)
        return LogSlice(entries, format_position(until))

    def read_log_backwards(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        before: LogPosition | None,
        limit: int,
    ) -> LogSlice:
        """Read the log towards its start, also above holes that a writer may still fill."""
        if event_store_ids is not None and not event_store_ids:
            return LogSlice([], LOG_START)
        number = MAX_INTEGER if before is None else parse_position(before)
        query = self.statements.select_log_backwards(event_store_ids, number, limit)
        return to_backward_slice([self._to_entry(row) for row in fetch(connection, query)], limit)

    def count_log(
        self,
        connection: Connection,
        event_store_ids: Sequence[str] | None,
        after: LogPosition,
    ) -> int:
        """Count the events up to the first hole that a writer may still fill."""
        start = parse_position(after)
        if event_store_ids is not None and not event_store_ids:
            return 0
        until = self._holes.close_all(connection)
        count: int = fetch_value(
            connection, self.statements.count_log(event_store_ids, start, until)
        )
        return count

    def get_last_position(self, connection: Connection) -> LogPosition:
        """Return the last position before the first hole that a writer may still fill."""
        closed = self._holes.close_all(connection)
        return format_position(closed) if closed else LOG_START

    def find_position(
        self, connection: Connection, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of an event, if it is there."""
        query = self.statements.select_position.bind(
            aggregate_name=event_store_id, aggregate_id=aggregate_id, version=version
        )
        number = fetch_value(connection, query)
        return None if number is None else format_position(number)

    def check_position(self, position: LogPosition) -> None:
        """Refuse a position of another kind of log."""
        parse_position(position)

    def _to_entry(self, row: Row) -> LogEntry:
        number, event_store_id, *rest = row
        return LogEntry(format_position(number), event_store_id, self.to_record(rest))


def _to_texts(moment: datetime, aggregate_id: str) -> tuple[str, str]:
    return format_timestamp(moment), aggregate_id
