"""Tables of SQLite: how they are created, and how statements about them are made."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from castore_sql._connection import Connection
from castore_sql._queries import Statement
from castore_sql._sqlite.transactions import idle_cursor, transaction

# Not the engine's own, whose user may have chosen another style of parameters.
_DIALECT = sqlite.dialect(paramstyle="qmark")


def create(connection: Connection, statements: Sequence[str]) -> None:
    """Create what is not there yet, and let readers and one writer work at a time (WAL).

    Raises:
        sqlite3.Error: nothing was created.
    """
    with idle_cursor(connection) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.fetchall()
    with transaction(connection) as cursor:
        for each in statements:
            cursor.execute(each)


def quote(name: str) -> str:
    """Return an identifier as `make_statement` takes it."""
    escaped = name.replace('"', '""').replace(":", "\\:")
    return f'"{escaped}"'


def make_statement(sql: str) -> Statement:
    """Return a statement whose parameters are ``:name`` in its text."""
    return Statement(text(sql), _DIALECT)
