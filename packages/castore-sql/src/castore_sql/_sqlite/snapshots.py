"""The table of snapshots on SQLite."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._snapshot_table import SnapshotTable
from castore_sql._sqlite.tables import create, make_statement, quote
from castore_sql._sqlite.transactions import transaction

_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  event_store_id TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  reducer_version TEXT NOT NULL,
  version INTEGER NOT NULL,
  aggregate TEXT NOT NULL,
  PRIMARY KEY (event_store_id, aggregate_id, reducer_version, version)
)"""


def make_snapshot_table(name: str, _driver: Dialect, /) -> SnapshotTable:
    """Describe a table of snapshots."""
    table = quote(name)
    definition = make_statement(_CREATE.format(table=table)).sql
    return SnapshotTable(
        make_statement,
        table=table,
        create=lambda connection: create(connection, [definition]),
        transaction=transaction,
    )
