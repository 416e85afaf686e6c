"""The table of snapshots on PostgreSQL."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._postgresql.drivers import check_driver
from castore_sql._postgresql.own_tables import check_name, create, make_statements, quote
from castore_sql._snapshot_table import SnapshotTable

_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  event_store_id TEXT COLLATE "C" NOT NULL,
  aggregate_id TEXT COLLATE "C" NOT NULL,
  reducer_version TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  aggregate TEXT NOT NULL,
  PRIMARY KEY (event_store_id, aggregate_id, reducer_version, version)
)"""


def make_snapshot_table(name: str, driver: Dialect, /) -> SnapshotTable:
    """Describe a table of snapshots.

    Raises:
        ValueError: the driver is none that is known here, or the name is too long.
    """
    check_driver(driver)
    check_name(name)
    table, make = quote(name), make_statements(driver)
    definition = make(_CREATE.format(table=table)).bind()
    return SnapshotTable(
        make,
        table=table,
        create=lambda connection: create(connection, definition),
    )
