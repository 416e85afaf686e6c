"""The table of snapshots: what is asked of it, in the SQL that databases share.

The primary key finds the newest snapshot of a reducer, and all those of an aggregate or a store.
The aggregate is a text, so that its JSON stays as it is.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Final

from castore_sql._bookmark_table import Transaction
from castore_sql._connection import Connection, Work
from castore_sql._queries import Query, Row, Statement, execute

_COLUMNS: Final = ("event_store_id", "aggregate_id", "reducer_version", "version", "aggregate")

PUT: Final = """\
INSERT INTO {table} (event_store_id, aggregate_id, reducer_version, version, aggregate)
VALUES (:event_store_id, :aggregate_id, :reducer_version, :version, :aggregate)
ON CONFLICT (event_store_id, aggregate_id, reducer_version, version)
DO UPDATE SET aggregate = excluded.aggregate"""
"""Insert or replace a snapshot, as SQLite and PostgreSQL have it."""


class SnapshotTable:
    """A table of snapshots, by the statements of a dialect.

    Args:
        make: compiles a statement, whose parameters are ``:name``.
        table: the name, quoted.
        create: creates the table where it is missing.
        transaction: commits a statement, where it is no transaction by itself.
        put: inserts or replaces a snapshot.
        of: finds the rows whose column is equal to the parameter of its name.
    """

    def __init__(
        self,
        make: Callable[[str], Statement],
        *,
        table: str,
        create: Work[None],
        transaction: Transaction = nullcontext,
        put: str = PUT,
        of: str = "{column} = :{column}",
    ) -> None:
        of_store, of_aggregate, of_reducer = (of.format(column=each) for each in _COLUMNS[:3])
        self.create = create
        self._transaction = transaction
        self._put = make(put.format(table=table))
        self._select = make(
            f"SELECT version, aggregate FROM {table} "
            f"WHERE {of_store} AND {of_aggregate} AND {of_reducer} AND version <= :max_version "
            "ORDER BY version DESC LIMIT 1"
        )
        self._delete_of_store = make(f"DELETE FROM {table} WHERE {of_store}")
        self._delete = make(f"DELETE FROM {table} WHERE {of_store} AND {of_aggregate}")

    def put(self, row: Row) -> Work[None]:
        """Insert or replace ``(store, aggregate, reducer version, version, JSON)``."""
        return self._write(self._put.bind(**dict(zip(_COLUMNS, row, strict=True))))

    def select(
        self, event_store_id: str, aggregate_id: str, reducer_version: str, max_version: int
    ) -> Query:
        """Select ``version, aggregate`` of the newest snapshot at or below a version."""
        return self._select.bind(
            event_store_id=event_store_id,
            aggregate_id=aggregate_id,
            reducer_version=reducer_version,
            max_version=max_version,
        )

    def delete(self, event_store_id: str, aggregate_id: str | None) -> Work[None]:
        """Delete the snapshots of an aggregate, or of a store."""
        if aggregate_id is None:
            return self._write(self._delete_of_store.bind(event_store_id=event_store_id))
        query = self._delete.bind(event_store_id=event_store_id, aggregate_id=aggregate_id)
        return self._write(query)

    def _write(self, query: Query) -> Work[None]:
        def work(connection: Connection) -> None:
            with self._transaction(connection):
                execute(connection, query)

        return work
