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
        self._make = make
        self._table = table
        self._conditions = {
            "event_store_id": of_store,
            "aggregate_id": of_aggregate,
            "reducer_version": of_reducer,
            "max_version": "version <= :max_version",
        }
        self._transaction = transaction
        self._put = make(put.format(table=table))
        self._select = make(
            f"SELECT version, aggregate FROM {table} "
            f"WHERE {of_store} AND {of_aggregate} AND {of_reducer} AND version <= :max_version "
            "ORDER BY version DESC LIMIT 1"
        )
        self._select_reducers = make(
            f"SELECT DISTINCT reducer_version FROM {table} WHERE {of_store} AND {of_aggregate}"
        )
        self._deletes: dict[tuple[str, ...], Statement] = {}

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

    def select_reducers(self, event_store_id: str, aggregate_id: str) -> Query:
        """Select ``reducer_version`` of an aggregate's snapshots."""
        return self._select_reducers.bind(event_store_id=event_store_id, aggregate_id=aggregate_id)

    def delete(self, **places: str | int | None) -> Work[None]:
        """Delete snapshots by the conditions whose parameters are not ``None``."""
        values = {name: value for name, value in places.items() if value is not None}
        names = tuple(values)
        if names not in self._deletes:
            condition = " AND ".join([self._conditions[each] for each in names])
            self._deletes[names] = self._make(f"DELETE FROM {self._table} WHERE {condition}")
        return self._write(self._deletes[names].bind(**values))

    def _write(self, query: Query) -> Work[None]:
        def work(connection: Connection) -> None:
            with self._transaction(connection):
                execute(connection, query)

        return work
