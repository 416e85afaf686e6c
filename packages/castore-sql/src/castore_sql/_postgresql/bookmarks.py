"""The table of bookmarks on PostgreSQL, by the clock of the server."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._postgresql.drivers import check_driver
from castore_sql._postgresql.own_tables import check_name, create, make_statements, quote

# now() is the beginning of the transaction.
_NOW: Final = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  position TEXT COLLATE "C",
  lease_owner TEXT COLLATE "C",
  lease_token BIGINT NOT NULL,
  lease_until BIGINT
)"""


def make_bookmark_table(name: str, driver: Dialect, /) -> BookmarkTable:
    """Describe a table of bookmarks.

    Raises:
        ValueError: the driver is none that is known here, or the name is too long.
    """
    check_driver(driver)
    check_name(name)
    table, make = quote(name), make_statements(driver)
    definition = make(_CREATE.format(table=table)).bind()
    return BookmarkTable(
        make,
        table=table,
        now=_NOW,
        create=lambda connection: create(connection, definition),
    )
