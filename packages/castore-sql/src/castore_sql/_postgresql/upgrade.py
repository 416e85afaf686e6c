"""Tables of PostgreSQL: made once, and upgraded while others work on them."""

from collections.abc import Mapping
from typing import Final

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._postgresql.schema import EventSchema
from castore_sql._queries import Query, execute, fetch_value

_LOCK: Final = 0x6361_7374_6F72_65  # "castore": one of those who create tables at a time
_OLDEST_VERSION: Final = 130000
_CURRENT_TX: Final = "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"


def create(connection: Connection, schema: EventSchema) -> None:
    """Create a table with its indexes, or leave alone the one that is there."""
    _check_version(connection)
    _run(connection, "BEGIN")
    try:
        _run(connection, f"SELECT pg_advisory_xact_lock({_LOCK})")
        if not _exists(connection, schema.table):
            _create_offset(connection, schema)
            _run(connection, schema.create_table)
            _run(connection, f"CREATE INDEX {schema.log_index}")
            _run(connection, f"CREATE INDEX {schema.initial_events_index}")
        _run(connection, "COMMIT")
    except BaseException:
        _run(connection, "ROLLBACK")
        raise


def upgrade(connection: Connection, schema: EventSchema, columns: Mapping[str, str]) -> None:
    """Add the columns and indexes that a table lacks; after a restore, raise transaction ids.

    The columns come in one short transaction, which no event can be pushed in; the indexes are
    built beside the work of others.
    """
    _check_version(connection)
    if not columns:
        raise StorageError(f"there is no table {schema.table}: there is nothing to upgrade")
    _run(connection, "BEGIN")
    try:
        _run(connection, f"LOCK TABLE {schema.table} IN ACCESS EXCLUSIVE MODE")
        _add_columns(connection, schema, columns)
        _go_on_after_restore(connection, schema)
        _run(connection, "COMMIT")
    except BaseException:
        _run(connection, "ROLLBACK")
        raise
    for index in (schema.log_index, schema.initial_events_index):
        _create_index(connection, index)


def _add_columns(connection: Connection, schema: EventSchema, columns: Mapping[str, str]) -> None:
    # A default that never changes is no rewrite of the table. Rows that are there are in the order
    # of their ids, before all others.
    if "tx" not in columns:
        _create_offset(connection, schema)
        _run(connection, f"ALTER TABLE {schema.table} ADD COLUMN tx BIGINT NOT NULL DEFAULT 0")
        _run(connection, f"ALTER TABLE {schema.table} ALTER COLUMN tx SET DEFAULT ({schema.tx})")
    if "write_token" not in columns:
        _run(connection, f"ALTER TABLE {schema.table} ADD COLUMN write_token BIGINT")


def _go_on_after_restore(connection: Connection, schema: EventSchema) -> None:
    """Raise the offset above the greatest transaction id that another cluster gave.

    Events that were pushed since the restore, by programs that do not know of it, come last: their
    transaction id is that of the row itself (``xmin``).
    """
    offset = fetch_value(connection, Query(f"SELECT {schema.offset}"))
    greatest = fetch_value(connection, Query(f"SELECT max(tx) FROM {schema.table}"))  # noqa: S608
    current = fetch_value(connection, Query(f"SELECT {_CURRENT_TX}"))
    if greatest is None or greatest < current + offset:
        return
    _run(connection, schema.make_offset(greatest - current + 1))
    _run(
        connection,
        f"UPDATE {schema.table} SET tx = {schema.tx} WHERE tx > 0 "  # noqa: S608
        f"AND CAST(CAST(xmin AS TEXT) AS BIGINT) = ((tx - {offset}) & 4294967295)",
    )


def _create_offset(connection: Connection, schema: EventSchema) -> None:
    """Create the function, unless an earlier table of this name has left it."""
    name = schema.offset.replace("'", "''")
    if fetch_value(connection, Query(f"SELECT to_regprocedure('{name}') IS NULL")):
        _run(connection, schema.create_offset)


def _create_index(connection: Connection, index: str) -> None:
    """Build an index without a lock, unless it is there and whole."""
    name = index.partition(" ON ")[0]
    literal = name.replace("'", "''")
    is_valid = fetch_value(
        connection,
        Query(
            f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{literal}')"  # noqa: S608
        ),
    )
    if is_valid:
        return
    if is_valid is False:  # an earlier build was interrupted
        _run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    _run(connection, f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index}")


def _exists(connection: Connection, table: str) -> bool:
    literal = table.replace("'", "''")
    return fetch_value(connection, Query(f"SELECT to_regclass('{literal}') IS NOT NULL")) is True


def _check_version(connection: Connection) -> None:
    version = int(fetch_value(connection, Query("SHOW server_version_num")))
    if version < _OLDEST_VERSION:
        raise StorageError(f"castore-sql needs PostgreSQL 13 or later: this is {version // 10000}")


def _run(connection: Connection, sql: str) -> None:
    execute(connection, Query(sql))
