"""Reads of a log, in one or two queries."""

from collections.abc import Sequence
from typing import Protocol

from castore_core import LOG_START, LogEntry, LogPosition, LogSlice
from castore_sql._connection import Connection
from castore_sql._queries import Query, Row, fetch


class LogTable(Protocol):
    """The queries of a log."""

    def select_log(
        self, event_store_ids: Sequence[str] | None, after: LogPosition, limit: int
    ) -> Query:
        """Select entries after a position, of some stores or of all."""
        ...

    def to_entry(self, row: Row) -> LogEntry:
        """Return the entry of a row."""
        ...

    def get_last_position(self, connection: Connection) -> LogPosition:
        """Return the end of the log."""
        ...


def read_log(
    table: LogTable,
    connection: Connection,
    event_store_ids: Sequence[str] | None,
    after: LogPosition,
    limit: int,
) -> LogSlice:
    """Read the entries of all stores, or those of some and how far the read has looked."""
    if event_store_ids is None:
        entries = _fetch(table, connection, None, after, limit)
        return LogSlice(entries, entries[-1].position if entries else after)
    # The end comes first: all that stands before it is seen by the second query.
    end = table.get_last_position(connection)
    if not event_store_ids:
        return LogSlice([], max(after, end))
    entries = _fetch(table, connection, event_store_ids, after, limit)
    position = entries[-1].position if entries else after
    return LogSlice(entries, position if len(entries) == limit else max(position, end))


def to_backward_slice(entries: Sequence[LogEntry], limit: int) -> LogSlice:
    """Return what a read towards the start of a log has found, at most ``limit``."""
    return LogSlice(entries, entries[-1].position if len(entries) == limit else LOG_START)


def _fetch(
    table: LogTable,
    connection: Connection,
    event_store_ids: Sequence[str] | None,
    after: LogPosition,
    limit: int,
) -> list[LogEntry]:
    query = table.select_log(event_store_ids, after, limit)
    return [table.to_entry(row) for row in fetch(connection, query)]
