"""Statements for the driver, and the rows that they find."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

from castore_sql._connection import Connection

Row: TypeAlias = Sequence[Any]

_SMALL = 256 * 1024  # characters


class Query(NamedTuple):
    """A statement and its parameters, for the driver."""

    sql: str
    parameters: tuple[Any, ...] = ()


class Statement:
    """The text of a statement for the driver, and the order of its parameters."""

    def __init__(self, element: ClauseElement, dialect: Dialect) -> None:
        compiled = cast("SQLCompiler", element.compile(dialect=dialect))
        self.sql = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()

    def bind(self, **values: Any) -> Query:
        """Return the statement with its parameters in the order that the text has them."""
        return Query(self.sql, tuple([values[name] for name in self._names]))


def execute(connection: Connection, query: Query) -> int:
    """Run a statement that finds no rows, and return how many it changed."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(*query)
        return cursor.rowcount


def execute_many(connection: Connection, queries: Sequence[Query]) -> None:
    """Run a statement with the parameters of each of any number of queries."""
    if not queries:
        return
    with closing(connection.cursor()) as cursor:
        cursor.executemany(queries[0].sql, [each.parameters for each in queries])


def fetch(connection: Connection, query: Query) -> Sequence[Row]:
    """Return all the rows of a query."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(*query)
        return cursor.fetchall()


def fetch_value(connection: Connection, query: Query) -> Any:
    """Return the first value of a query, or ``None`` if it finds no row."""
    rows = fetch(connection, query)
    return rows[0][0] if rows else None


def fetch_small(connection: Connection, query: Query) -> Sequence[Row] | None:
    """Return all the rows of events, or ``None`` where their payloads and metadata are large.

    Those are the last two columns.
    """
    rows: list[Row] = []
    room = _SMALL
    with closing(connection.cursor()) as cursor:
        cursor.execute(*query)
        for row in cast("Iterator[Row]", cursor):
            rows.append(row)
            room -= len(row[-2] or "") + len(row[-1] or "")
            if room < 0:
                return None
    return rows
