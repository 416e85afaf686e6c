"""What is SQLite's own: its transactions, its durability and its errors."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeVar, cast

from sqlalchemy.engine.interfaces import DBAPICursor

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    StorageError,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql._connection import Connection, Work
from castore_sql._statements import Query
from castore_sql._writes import Assertion, Insert, Write

T = TypeVar("T")

_SYNCHRONOUS_FULL = 2
_SMALL = 256 * 1024  # characters
_IS_DURABLE = "castore_is_durable"
_BUSY_TIMEOUT = "castore_busy_timeout"


def prepare(connection: Connection) -> None:
    """Set a connection that nobody else uses: it has no transaction of its own, and never waits.

    The caller tries again soon when the database is locked. SQLite would wait in pauses of up to
    100 ms, in which others who write all the time keep a process out for many seconds.

    Raises:
        sqlite3.Error: the database cannot be used.
    """
    if getattr(connection.driver_connection, "autocommit", None) is False:  # Python 3.12
        connection.driver_connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 0")
    cursor.close()


def run_without_waiting(connection: Connection, work: Work[T]) -> T:
    """Run work on a connection of the user's, which waits for no lock meanwhile."""
    cursor = connection.cursor()
    try:
        timeout = _get_busy_timeout(connection, cursor)
        if not timeout:
            return work(connection)
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            return work(connection)
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {timeout}")
    finally:
        cursor.close()


def _get_busy_timeout(connection: Connection, cursor: DBAPICursor) -> int:
    if _BUSY_TIMEOUT not in connection.info:
        cursor.execute("PRAGMA busy_timeout")
        connection.info[_BUSY_TIMEOUT] = cursor.fetchall()[0][0]
    timeout: int = connection.info[_BUSY_TIMEOUT]
    return timeout


def commit(connection: Connection, writes: Sequence[Write]) -> list[Exception | None]:
    """Write in one transaction, and say what each write met: a conflict, a gap, or nothing.

    Raises:
        sqlite3.Error: the transaction failed as a whole. Nothing was written.
    """
    steps = [step for write in writes for step in write]
    with _transaction(connection) as cursor:
        if isinstance(steps[0], Insert) and len({step.sql for step in steps}) == 1:
            if _insert_all(cursor, steps[0].sql, [step.parameters for step in steps]):
                return [None] * len(writes)
            # Not to a SAVEPOINT, which would cost those without conflicts.
            cursor.execute("ROLLBACK")
            cursor.execute("BEGIN IMMEDIATE")
        return [_write(cursor, each) for each in writes]


def create(connection: Connection, statements: Sequence[str]) -> None:
    """Create what is not there yet, and let readers and one writer work at a time (WAL).

    Raises:
        sqlite3.Error: nothing was created.
    """
    with _idle_cursor(connection) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.fetchall()
    with _transaction(connection) as cursor:
        for each in statements:
            cursor.execute(each)


def fetch(connection: Connection, query: Query) -> Sequence[Sequence[Any]]:
    """Return all the rows of a query.

    Raises:
        sqlite3.Error: the query failed.
    """
    cursor = connection.cursor()
    try:
        cursor.execute(*query)
        return cursor.fetchall()
    finally:
        cursor.close()


def fetch_small(connection: Connection, query: Query) -> Sequence[Sequence[Any]] | None:
    """Return all the rows of events, or ``None`` where their payloads and metadata are large.

    Those are the last two columns.

    Raises:
        sqlite3.Error: the query failed.
    """
    rows: list[Sequence[Any]] = []
    room = _SMALL
    with closing(connection.cursor()) as cursor:
        cursor.execute(*query)
        for row in cast("Iterator[Sequence[Any]]", cursor):
            rows.append(row)
            room -= len(row[-2] or "") + len(row[-1] or "")
            if room < 0:
                return None
    return rows


def is_writing(connection: sqlite3.Connection) -> bool:
    """Tell whether a connection is in a transaction that has the lock for writing.

    SQLite says so to whoever begins a backup of it; the backup ends before it has begun. Where
    nothing was read nor written since ``BEGIN``, and another process excludes readers, it says the
    same.
    """
    if not connection.in_transaction:
        return False
    seen: list[int] = []

    def note(status: int, _remaining: int, _total: int) -> None:
        seen.append(status)
        raise _ProbeEnd

    with closing(sqlite3.connect(":memory:")) as target, suppress(_ProbeEnd):
        connection.backup(target, pages=1, progress=note)
    return seen[:1] == [sqlite3.SQLITE_BUSY]


class _ProbeEnd(Exception):  # noqa: N818 no error
    """Ends a backup."""


@contextmanager
def _transaction(connection: Connection) -> Generator[DBAPICursor]:
    """Lock the database for writing; commit durably, or roll back if the block raises.

    This is said in SQL, because the driver's own ``commit()`` does nothing in the mode
    ``autocommit=True`` of Python 3.12.
    """
    with _idle_cursor(connection) as cursor:
        _make_durable(connection, cursor)
        try:
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # it had not begun, or SQLite has rolled back already
                cursor.execute("ROLLBACK")
            raise


@contextmanager
def _idle_cursor(connection: Connection) -> Generator[DBAPICursor]:
    """Give a cursor outside of the transaction that ``autocommit=False`` keeps open always.

    Raises:
        StorageError: the transaction is the user's, who shares the connection.
    """
    cursor = connection.cursor()
    has_transaction = connection.driver_connection.in_transaction
    if has_transaction:
        _refuse_transaction_of_user(connection.driver_connection)
        cursor.execute("ROLLBACK")
    try:
        yield cursor
    finally:
        if has_transaction:
            cursor.execute("BEGIN")
        cursor.close()


def _refuse_transaction_of_user(connection: sqlite3.Connection) -> None:
    is_always_open = getattr(connection, "autocommit", None) is False  # Python 3.12
    if not is_always_open or is_writing(connection):
        raise StorageError(
            "the connection, which you share with the adapter, is in a transaction of yours: end "
            "it before a push"
        )


def _make_durable(connection: Connection, cursor: DBAPICursor) -> None:
    """Make sure, once a connection, that its commits survive a loss of power."""
    if connection.info.get(_IS_DURABLE):
        return
    cursor.execute("PRAGMA synchronous")
    if cursor.fetchall()[0][0] < _SYNCHRONOUS_FULL:
        cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA fullfsync = ON")  # macOS would else leave it in the disk's cache
    connection.info[_IS_DURABLE] = True


def _insert_all(cursor: DBAPICursor, sql: str, rows: Sequence[tuple[Any, ...]]) -> bool:
    """Insert in one call, which takes half the time, and say whether all was inserted."""
    try:
        cursor.executemany(sql, rows)
    except sqlite3.IntegrityError:  # a gap, or another error that comes up again for its row alone
        return False
    return cursor.rowcount == len(rows)


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
        cursor.execute(insert.sql, insert.parameters)
    except sqlite3.IntegrityError as error:
        if _is_gap(error):
            return VersionGapError(*insert.parameters[:3])
        raise
    return None if cursor.rowcount else EventAlreadyExistsError(*insert.parameters[:3])


def _check(cursor: DBAPICursor, assertion: Assertion) -> CastoreError | None:
    cursor.execute(assertion.sql, assertion.parameters)
    ((version,),) = cursor.fetchall()
    if (version or 0) == assertion.version:
        return None
    event_store_id, aggregate_id = assertion.parameters
    return VersionAssertionError(event_store_id, aggregate_id, assertion.version)


def _is_gap(error: sqlite3.IntegrityError) -> bool:
    """Tell whether a version had no place, and was NULL therefore (see `_statements`)."""
    is_null = error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_NOTNULL
    return is_null and str(error).endswith(".version")
