"""What is SQLite's own: its transactions, its durability and its errors."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.engine.interfaces import DBAPICursor

from castore_core import CastoreError, EventAlreadyExistsError, StorageError

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SYNCHRONOUS_FULL = 2
_IS_DURABLE = "castore_is_durable"


class Insert(NamedTuple):
    """One event to insert, and whose place it takes."""

    sql: str
    parameters: tuple[object, ...]
    event_store_id: str
    aggregate_id: str
    version: int


Write: TypeAlias = Sequence[Insert]
"""The events of one push: all of them are written, or none."""


def commit(connection: PoolProxiedConnection, writes: Sequence[Write]) -> list[Exception | None]:
    """Write in one transaction, and say what became of each write.

    If the transaction fails as a whole, each write has one of its own, so that none suffers from
    another.

    Raises:
        sqlite3.Error: the only write failed, or the database was busy. Nothing was written.
    """
    make_durable(connection)
    try:
        return _commit_together(connection, writes)
    except sqlite3.Error as error:
        if len(writes) == 1 or is_busy(error):
            raise
    return [_commit_alone(connection, each) for each in writes]


def create(connection: PoolProxiedConnection, statements: Sequence[str]) -> None:
    """Create what is not there yet, and let readers and one writer work at a time (WAL).

    Raises:
        sqlite3.Error: nothing was created.
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.fetchall()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        for each in statements:
            cursor.execute(each)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def fetch(
    connection: PoolProxiedConnection, sql: str, parameters: tuple[object, ...]
) -> Sequence[Sequence[object]]:
    """Return all the rows of a query.

    Raises:
        sqlite3.Error: the query failed.
    """
    cursor = connection.cursor()
    cursor.execute(sql, parameters)
    rows = cursor.fetchall()
    cursor.close()
    return rows


def is_busy(error: BaseException) -> bool:
    """Tell whether the database was locked by somebody else, so that trying again may help."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BUSY


def translate(error: Exception) -> CastoreError:
    """Return the castore error for an error of the driver or of SQLAlchemy."""
    if "no such table" in str(error):
        return StorageError(f"{error}: await create_tables() of the adapter first")
    if is_busy(error):
        return StorageError(f"{error}: another process kept it locked for too long")
    return StorageError(str(error))


def make_durable(connection: PoolProxiedConnection) -> None:
    """Make sure, once a connection, that its commits survive a loss of power."""
    if connection.info.get(_IS_DURABLE):
        return
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous")
    if cursor.fetchall()[0][0] < _SYNCHRONOUS_FULL:
        cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
    connection.info[_IS_DURABLE] = True


def _commit_together(
    connection: PoolProxiedConnection, writes: Sequence[Write]
) -> list[Exception | None]:
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_write(cursor, each) for each in writes]
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        cursor.close()
    return outcomes


def _commit_alone(connection: PoolProxiedConnection, write: Write) -> Exception | None:
    try:
        return _commit_together(connection, [write])[0]
    except sqlite3.Error as error:
        failure = translate(error)
        failure.__cause__ = error
        return failure


def _write(cursor: DBAPICursor, write: Write) -> Exception | None:
    if len(write) == 1:
        return _insert(cursor, write[0])
    cursor.execute("SAVEPOINT castore_group")
    for each in write:
        if (conflict := _insert(cursor, each)) is not None:
            cursor.execute("ROLLBACK TO castore_group")
            cursor.execute("RELEASE castore_group")
            return conflict
    cursor.execute("RELEASE castore_group")
    return None


def _insert(cursor: DBAPICursor, insert: Insert) -> EventAlreadyExistsError | None:
    cursor.execute(insert.sql, insert.parameters)
    if cursor.rowcount:
        return None
    return EventAlreadyExistsError(insert.event_store_id, insert.aggregate_id, insert.version)
