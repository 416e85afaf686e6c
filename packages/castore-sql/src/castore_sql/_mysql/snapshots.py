"""The table of snapshots on MySQL and MariaDB."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._mysql.own_tables import create, hash_of, make_statement, quote, transaction
from castore_sql._snapshot_table import SnapshotTable

_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  event_store_id_key BINARY(32) NOT NULL,
  aggregate_id_key BINARY(32) NOT NULL,
  reducer_version_key BINARY(32) NOT NULL,
  version BIGINT NOT NULL,
  event_store_id {text} NOT NULL,
  aggregate_id {text} NOT NULL,
  reducer_version {text} NOT NULL,
  aggregate {text} NOT NULL,
  PRIMARY KEY (event_store_id_key, aggregate_id_key, reducer_version_key, version)
) ENGINE = InnoDB"""
_PUT: Final = f"""\
INSERT INTO {{table}} (
  event_store_id_key, aggregate_id_key, reducer_version_key, version,
  event_store_id, aggregate_id, reducer_version, aggregate
)
VALUES (
  {hash_of("event_store_id")}, {hash_of("aggregate_id")}, {hash_of("reducer_version")}, :version,
  :event_store_id, :aggregate_id, :reducer_version, :aggregate
)
ON DUPLICATE KEY UPDATE aggregate = :aggregate"""


def make_snapshot_table(name: str, _driver: Dialect, /) -> SnapshotTable:
    """Describe a table of snapshots."""
    return SnapshotTable(
        make_statement,
        table=quote(name),
        create=lambda connection: create(connection, name, _CREATE),
        transaction=transaction,
        put=_PUT,
        of="{column}_key = " + hash_of("{column}"),
    )
