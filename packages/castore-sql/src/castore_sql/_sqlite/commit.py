"""Commits on SQLite: pushes that come together share a transaction."""

import sqlite3
from collections.abc import Sequence
from typing import cast

from sqlalchemy.engine.interfaces import DBAPICursor

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql._connection import Connection
from castore_sql._queries import Query
from castore_sql._sqlite.table import SQLiteEventTable
from castore_sql._sqlite.transactions import begin_inside, transaction
from castore_sql._writes import Assertion, Insert, Write


def commit(
    connection: Connection, writes: Sequence[Write], _is_repeated: bool, /
) -> list[Exception | None]:
    """Write in one transaction, and say what each write met: a conflict, a gap, or nothing.

    It is never repeated: the database is in this process, and no answer is lost.

    Raises:
        sqlite3.Error: the transaction failed as a whole. Nothing was written.
    """
    with transaction(connection) as cursor:
        if len(writes) == 1 and len(writes[0]) == 1:
            return [_take(cursor, writes[0][0])]
        if _insert_all(cursor, writes):
            return [None] * len(writes)
        return [_write(cursor, each) for each in writes]


def find_outcome(
    _connection: Connection, _write: Write, error: CastoreError, /
) -> CastoreError | None:
    """Return the error: no answer is lost, and what failed was not written."""
    return error


def write_inside(connection: Connection, write: Write) -> CastoreError | None:
    """Write inside the user's transaction, which goes on, whatever the outcome is."""
    cursor = connection.cursor()
    try:
        begin_inside(connection, cursor)
        return _write(cursor, write)
    finally:
        cursor.close()


def _insert_all(cursor: DBAPICursor, writes: Sequence[Write]) -> bool:
    """Insert in one call, which takes half the time, and say whether all was inserted."""
    inserts = [step for write in writes for step in write if isinstance(step, Insert)]
    queries = [_bind(each) for each in inserts]
    if len(inserts) < sum(map(len, writes)) or len({each.sql for each in queries}) != 1:
        return False
    try:
        cursor.executemany(queries[0].sql, [each.parameters for each in queries])
    except sqlite3.IntegrityError:  # a gap, or another error that comes up again for its row alone
        is_complete = False
    else:
        is_complete = cursor.rowcount == len(queries)
    if not is_complete:
        # Not to a SAVEPOINT, which would cost those without conflicts.
        cursor.execute("ROLLBACK")
        cursor.execute("BEGIN IMMEDIATE")
    return is_complete


def _write(cursor: DBAPICursor, write: Write) -> CastoreError | None:
    if len(write) == 1:
        return _take(cursor, write[0])
    cursor.execute("SAVEPOINT castore_group")
    for step in write:
        if (error := _take(cursor, step)) is not None:
            cursor.execute("ROLLBACK TO castore_group")
            cursor.execute("RELEASE castore_group")
            return error
    cursor.execute("RELEASE castore_group")
    return None


def _take(cursor: DBAPICursor, step: Insert | Assertion) -> CastoreError | None:
    return _insert(cursor, step) if isinstance(step, Insert) else _check(cursor, step)


def _insert(cursor: DBAPICursor, insert: Insert) -> CastoreError | None:
    try:
        cursor.execute(*_bind(insert))
    except sqlite3.IntegrityError as error:
        if _is_gap(error):
            return VersionGapError(*insert.key)
        raise
    return None if cursor.rowcount else EventAlreadyExistsError(*insert.key)


def _bind(insert: Insert) -> Query:
    return cast("SQLiteEventTable", insert.table).insert(insert.row, force=insert.force)


def _check(cursor: DBAPICursor, assertion: Assertion) -> CastoreError | None:
    table, event_store_id, aggregate_id, version = assertion
    query = cast("SQLiteEventTable", table).select_last_version(event_store_id, aggregate_id)
    cursor.execute(*query)
    ((last,),) = cursor.fetchall()
    if (last or 0) == version:
        return None
    return VersionAssertionError(event_store_id, aggregate_id, version)


def _is_gap(error: sqlite3.IntegrityError) -> bool:
    """Tell whether a version had no place, and was NULL therefore (see `statements`)."""
    is_null = error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_NOTNULL
    return is_null and str(error).endswith(".version")
