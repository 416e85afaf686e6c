"""Tables of PostgreSQL: made once, and upgraded while others work on them."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, TypeAlias

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._postgresql.schema import EventSchema, snapshot
from castore_sql._postgresql.transactions import INDEXES_LOCK, TABLES_LOCK, transaction

GetColumns: TypeAlias = Callable[[Connection], Mapping[str, str]]

_OLDEST_VERSION: Final = 130000
_CASTORE_COLUMNS: Final = frozenset(
    ("id", "aggregate_name", "aggregate_id", "version", "type", "data", "metadata", "timestamp")
)
_OUR_COLUMNS: Final = frozenset(("tx", "write_token"))
_BUILDS: Final = 4
_LOOKS: Final = 600
_PAUSE: Final = 0.1  # seconds
_PATIENCE: Final = "'1s'"  # pushes wait behind who waits for a table: then let them through


def create(connection: Connection, schema: EventSchema) -> None:
    """Create a table with its indexes, or leave alone the one that is there."""
    _check_version(connection)
    with transaction(connection):
        _run(connection, f"SELECT pg_advisory_xact_lock({TABLES_LOCK})")
        if not _exists(connection, schema.table):
            _enter_schema(connection, "quote_ident(current_schema())")
            _create_offset(connection, schema)
            _run(connection, schema.create_table)
            _run(connection, f"CREATE INDEX {schema.log_index}")
            _run(connection, f"CREATE INDEX {schema.initial_events_index}")


def upgrade(connection: Connection, schema: EventSchema, get_columns: GetColumns) -> None:
    """Add the columns and indexes that a table lacks; after a restore, raise transaction ids.

    The columns come in one short transaction, which no event can be pushed in; the indexes are
    built beside the work of others. A table that lacks nothing is not locked.
    """
    _check_version(connection)
    columns = get_columns(connection)
    if not columns:
        raise StorageError(f"there is no table {schema.table}: there is nothing to upgrade")
    if missing := _CASTORE_COLUMNS - columns.keys():
        raise StorageError(
            f"table {schema.table} is none of Castore's: it has no {', '.join(sorted(missing))}"
        )
    if not columns.keys() >= _OUR_COLUMNS or _is_restored(connection, schema):
        with transaction(connection):
            _run(connection, f"SET LOCAL lock_timeout = {_PATIENCE}")
            _run(connection, f"LOCK TABLE {schema.table} IN ACCESS EXCLUSIVE MODE")
            _enter_schema(connection, _get_schema(schema.table))
            columns = get_columns(connection)
            _add_columns(connection, schema, columns)
            if "tx" in columns and _is_restored(connection, schema):
                _go_on_after_restore(connection, schema)
    with _waiting_for_others(connection, schema):
        for index in (schema.log_index, schema.initial_events_index):
            _create_index(connection, schema.table, index)


def _add_columns(connection: Connection, schema: EventSchema, columns: Mapping[str, str]) -> None:
    # A default that never changes is no rewrite of the table. Rows that are there are in the order
    # of their ids, before all others.
    if "tx" not in columns:
        _create_offset(connection, schema)
        _run(connection, f"ALTER TABLE {schema.table} ADD COLUMN tx BIGINT NOT NULL DEFAULT 0")
        _run(connection, f"ALTER TABLE {schema.table} ALTER COLUMN tx SET DEFAULT ({schema.tx})")
    if "write_token" not in columns:
        _run(connection, f"ALTER TABLE {schema.table} ADD COLUMN write_token BIGINT")


def _is_restored(connection: Connection, schema: EventSchema) -> bool:
    return _get(connection, schema.select_is_restored) is True


def _go_on_after_restore(connection: Connection, schema: EventSchema) -> None:
    """Raise the offset above the greatest transaction id that another cluster gave.

    Transactions that are older than this one may push still, so that the oldest of them counts.
    Events that were pushed since the restore, by programs that do not know of it, come last: they
    have greater ids than all those that were restored.
    """
    table = schema.table
    oldest = _get(connection, f"SELECT {snapshot('xmin')}")
    end = _get(connection, f"SELECT {snapshot('xmax')} + {schema.offset}")
    greatest = _get(connection, f"SELECT max(tx) FROM {table}")
    last = _get(connection, f"SELECT max(id) FROM {table} WHERE tx >= {end}")
    _run(connection, schema.make_offset(greatest - oldest + 1))
    _run(connection, f"UPDATE {table} SET tx = {schema.tx} WHERE id > {last}")


def _create_offset(connection: Connection, schema: EventSchema) -> None:
    """Create the function, unless an earlier table of this name has left it."""
    if _get(connection, f"SELECT to_regprocedure({_literal(schema.offset)}) IS NULL"):
        _run(connection, schema.create_offset)


@contextmanager
def _waiting_for_others(connection: Connection, schema: EventSchema) -> Generator[None]:
    """Wait for other upgrades, without a snapshot, which the build of an index waits for.

    Two builds that begin together would wait for each other, until the server ends one of them.
    A build has a lock on the table as well, so that the wait for the others is bounded: a proxy of
    connections may have lost the session that had their lock.
    """
    is_alone = False
    for _ in range(_LOOKS):
        if is_alone := _get(connection, f"SELECT pg_try_advisory_lock({INDEXES_LOCK})"):
            break
        _run(connection, f"SELECT pg_sleep({_PAUSE})")
    try:
        with transaction(connection):
            _run(connection, f"LOCK TABLE {schema.table} IN SHARE UPDATE EXCLUSIVE MODE")
        yield
    finally:
        if is_alone:
            with suppress(Exception):  # the server does so itself when the connection is lost
                _run(connection, f"SELECT pg_advisory_unlock({INDEXES_LOCK})")


def _create_index(connection: Connection, table: str, index: str) -> None:
    """Build an index without a lock, unless it is there and whole."""
    name = index.partition(" ON ")[0]
    found = (
        "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        f"WHERE indrelid = to_regclass({_literal(table)}) "
        f"AND relname = (parse_ident({_literal(name)}))[1]"
    )
    for _ in range(_BUILDS):
        if _get(connection, f"SELECT indisvalid {found}"):
            return
        broken = _get(connection, f"SELECT CAST(CAST(indexrelid AS REGCLASS) AS TEXT) {found}")
        if broken is not None:  # an earlier build was interrupted
            _run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {broken}")
        _run(connection, f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index}")
    raise StorageError(f"the index {name} cannot be built: something else has its name")


def _exists(connection: Connection, table: str) -> bool:
    return _get(connection, f"SELECT to_regclass({_literal(table)}) IS NOT NULL") is True


def _get_schema(table: str) -> str:
    """Return an expression: the schema that a table is in."""
    return (
        "(SELECT CAST(relnamespace AS REGNAMESPACE) FROM pg_class "
        f"WHERE oid = to_regclass({_literal(table)}))"
    )


def _enter_schema(connection: Connection, expression: str) -> None:
    """Have all names mean those of one schema, until the end of the transaction."""
    _run(
        connection,
        f"SELECT set_config('search_path', CAST({expression} AS TEXT), true)",
    )


def _check_version(connection: Connection) -> None:
    version = int(_get(connection, "SHOW server_version_num"))
    if version < _OLDEST_VERSION:
        raise StorageError(f"castore-sql needs PostgreSQL 13 or later: this is {version // 10000}")


def _literal(name: str) -> str:
    escaped = name.replace("'", "''")
    return f"'{escaped}'"


def _run(connection: Connection, sql: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)  # without parameters, a % is one


def _get(connection: Connection, sql: str) -> Any:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return row and row[0]
