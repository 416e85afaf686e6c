"""The tables of bookmarks and parked events on SQLite.

Their clock is that of the machine, which all processes share.
"""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._parked_table import ParkedTable
from castore_sql._sqlite.tables import create, make_statement, quote
from castore_sql._sqlite.transactions import transaction

_NOW: Final = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT NOT NULL PRIMARY KEY,
  position TEXT,
  moved_at INTEGER,
  lease_owner TEXT,
  lease_token INTEGER NOT NULL,
  lease_renewed_at INTEGER,
  lease_until INTEGER
)"""
_CREATE_PARKED: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT NOT NULL,
  position TEXT NOT NULL,
  event_store_id TEXT NOT NULL,
  aggregate_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  parked_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  failure_kind TEXT,
  failure_text TEXT,
  PRIMARY KEY (bookmark_id, position)
)"""


def make_bookmark_table(name: str, _driver: Dialect, /) -> BookmarkTable:
    """Describe a table of bookmarks."""
    table = quote(name)
    definition = make_statement(_CREATE.format(table=table)).sql
    return BookmarkTable(
        make_statement,
        table=table,
        now=_NOW,
        create=lambda connection: create(connection, [definition]),
        transaction=transaction,
    )


def make_parked_table(name: str, _driver: Dialect, /) -> ParkedTable:
    """Describe a table of parked events."""
    table = quote(name)
    definition = make_statement(_CREATE_PARKED.format(table=table)).sql
    return ParkedTable(
        make_statement,
        table=table,
        create=lambda connection: create(connection, [definition]),
        transaction=transaction,
    )
