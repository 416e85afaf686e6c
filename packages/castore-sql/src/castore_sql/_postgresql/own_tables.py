"""Tables of our own on PostgreSQL: how they are created, and statements that know its texts."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Dialect, text

from castore_core import StorageError
from castore_sql._connection import Connection
from castore_sql._postgresql import schema
from castore_sql._postgresql.statements import make_dialect
from castore_sql._postgresql.transactions import TABLES_LOCK, transaction
from castore_sql._queries import Query, Statement, execute

_LONGEST_NAME: Final = 63  # bytes


class TextStatement(Statement):
    """A statement that refuses a NUL, which no text of PostgreSQL can hold."""

    def bind(self, **values: Any) -> Query:
        """Return the statement with its parameters.

        Raises:
            StorageError: one of them is a text with a NUL.
        """
        for name, value in values.items():
            if isinstance(value, str) and "\0" in value:
                raise StorageError(f"{name} {value!r} has a NUL, which PostgreSQL cannot hold")
        return super().bind(**values)


def make_statements(driver: Dialect) -> Callable[[str], Statement]:
    """Return what makes the statements of a driver, whose parameters are ``:name`` in the text."""
    dialect = make_dialect(driver)
    return lambda sql: TextStatement(text(sql), dialect)


def check_name(name: str, option: str = "table_name") -> None:
    """Refuse a name that PostgreSQL would cut.

    Raises:
        ValueError: it is too long.
    """
    if (length := len(name.encode())) > _LONGEST_NAME:
        raise ValueError(f"{option} has {length} bytes: PostgreSQL has room for {_LONGEST_NAME}")


def create(connection: Connection, definition: Query) -> None:
    """Create a table where it is missing; ``IF NOT EXISTS`` alone fails if others do so, too."""
    with transaction(connection):
        execute(connection, Query(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})"))
        execute(connection, definition)


def quote(name: str) -> str:
    """Return an identifier as the text of a statement has it."""
    return schema.quote(name).replace(":", "\\:")
