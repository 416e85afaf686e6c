"""The tables of bookmarks and parked events on PostgreSQL, by the clock of the server."""

from typing import Final

from sqlalchemy import Dialect

from castore_sql._bookmark_table import BookmarkTable
from castore_sql._parked_table import ParkedTable
from castore_sql._postgresql.drivers import check_driver
from castore_sql._postgresql.own_tables import check_name, create, make_statements, quote

# now() is the beginning of the transaction.
_NOW: Final = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  position TEXT COLLATE "C",
  moved_at BIGINT,
  lease_owner TEXT COLLATE "C",
  lease_token BIGINT NOT NULL,
  lease_renewed_at BIGINT,
  lease_until BIGINT
)"""
_CREATE_PARKED: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  bookmark_id TEXT COLLATE "C" NOT NULL,
  position TEXT COLLATE "C" NOT NULL,
  event_store_id TEXT COLLATE "C" NOT NULL,
  aggregate_id TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  parked_at BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  failure_kind TEXT COLLATE "C",
  failure_text TEXT COLLATE "C",
  PRIMARY KEY (bookmark_id, position)
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


def make_parked_table(name: str, driver: Dialect, /) -> ParkedTable:
    """Describe a table of parked events.

    Raises:
        ValueError: the driver is none that is known here, or the name is too long.
    """
    check_driver(driver)
    check_name(name, "parked_table_name")
    table, make = quote(name), make_statements(driver)
    definition = make(_CREATE_PARKED.format(table=table)).bind()
    return ParkedTable(
        make,
        table=table,
        create=lambda connection: create(connection, definition),
    )
