"""The table of bookmarks on SQLite, by the clock of the machine that all processes share."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._sqlite.tables import create, make_statement, quote
from castore_sql._sqlite.transactions import transaction

_NOW: Final = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT NOT NULL PRIMARY KEY,
  position TEXT,
  lease_owner TEXT,
  lease_token INTEGER NOT NULL,
  lease_until INTEGER
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
