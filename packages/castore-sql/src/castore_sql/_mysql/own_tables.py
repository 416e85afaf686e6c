"""Tables of our own on MySQL and MariaDB: how they are created, written and found.

No index holds texts of any length: rows are found by the hashes of their texts.
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine.default import DefaultDialect

from castore_sql._connection import Connection
from castore_sql._mysql import schema
from castore_sql._mysql.server import get_server
from castore_sql._queries import Query, Statement, execute, fetch

_DIALECT: Final = DefaultDialect(paramstyle="format")
_SELECT_TABLE: Final = (
    "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
)


def make_statement(sql: str) -> Statement:
    """Return a statement whose parameters are ``:name`` in its text."""
    return Statement(text(sql), _DIALECT)


def quote(name: str) -> str:
    """Return an identifier as `make_statement` takes it."""
    return schema.quote(name).replace(":", "\\:")


def hash_of(parameter: str) -> str:
    """Return the hash of a parameter, whatever the charset of the connection is."""
    return f"UNHEX(SHA2(CONVERT(:{parameter} USING utf8mb4), 256))"


def exists(connection: Connection, name: str) -> bool:
    """Tell whether there is a table; `IF NOT EXISTS` alone makes drivers warn."""
    return bool(fetch(connection, Query(_SELECT_TABLE, (name,))))


def get_no_pad(connection: Connection) -> str:
    """Return the collation that tells all texts apart, those that end with spaces too."""
    is_mariadb = get_server(connection).is_mariadb
    return schema.NO_PAD_OF_MARIADB if is_mariadb else schema.NO_PAD_OF_MYSQL


def create(connection: Connection, name: str, definition: str) -> None:
    """Create a table where it is missing, with columns of the type ``{text}``.

    ``{no_pad}`` is the collation of that type.
    """
    if exists(connection, name):
        return
    no_pad = get_no_pad(connection)
    texts = f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {no_pad}"
    sql = definition.format(table=quote(name), text=texts, no_pad=no_pad)
    execute(connection, make_statement(sql).bind())


@contextmanager
def transaction(connection: Connection) -> Generator[None]:
    """Commit at the end of a block, or roll back if it raises."""
    execute(connection, Query("BEGIN"))
    try:
        yield
        execute(connection, Query("COMMIT"))
    except Exception:
        with suppress(Exception):  # the first error says more
            execute(connection, Query("ROLLBACK"))
        raise
