"""Connections and transactions of SQLite, and how they are made durable."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

from sqlalchemy.engine.interfaces import DBAPICursor

from castore_core import StorageError
from castore_sql._connection import Connection, Work

T = TypeVar("T")

_SYNCHRONOUS_FULL = 2
_IS_DURABLE = "castore_is_durable"
_BUSY_TIMEOUT = "castore_busy_timeout"
BLOCK = "castore_block"
"""The note about the block that a connection is in: a weak reference to that of SQLAlchemy."""


def prepare(connection: Connection) -> None:
    """Set a connection that nobody else uses: it has no transaction of its own, and never waits.

    The caller tries again soon when the database is locked. SQLite would wait in pauses of up to
    100 ms, in which others who write all the time keep a process out for many seconds.

    Raises:
        sqlite3.Error: the database cannot be used.
    """
    if is_always_open(connection.driver_connection):
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


@contextmanager
def transaction(connection: Connection) -> Generator[DBAPICursor]:
    """Lock the database for writing; commit durably, or roll back if the block raises.

    This is said in SQL, because the driver's own ``commit()`` does nothing in the mode
    ``autocommit=True`` of Python 3.12.
    """
    with idle_cursor(connection) as cursor:
        make_durable(connection, cursor)
        try:
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # it had not begun, or SQLite has rolled back already
                cursor.execute("ROLLBACK")
            raise


@contextmanager
def idle_cursor(connection: Connection) -> Generator[DBAPICursor]:
    """Give a cursor outside of the transaction that ``autocommit=False`` keeps open always.

    Raises:
        SharedConnectionBusyError: the transaction is that of a block, on a shared connection.
        StorageError: the transaction is the user's, who shares the connection.
    """
    cursor = connection.cursor()
    has_transaction = connection.driver_connection.in_transaction
    if has_transaction:
        refuse_transaction_of_other(connection)
        cursor.execute("ROLLBACK")
    try:
        yield cursor
    finally:
        if has_transaction:
            cursor.execute("BEGIN")
        cursor.close()


def refuse_transaction_of_other(connection: Connection) -> None:
    """Refuse to work on a connection that is shared, and is in a transaction of somebody else.

    Raises:
        SharedConnectionBusyError: it is that of a block, which ends.
        StorageError: it is the user's.
    """
    block = connection.info.get(BLOCK, _no_block)()
    if block is not None and not block.closed:
        raise SharedConnectionBusyError("the connection is in the block of a bookmark")
    driver_connection = connection.driver_connection
    if not driver_connection.in_transaction:
        return
    if not is_always_open(driver_connection) or is_writing(driver_connection):
        raise StorageError(
            "the connection, which you share with the adapter, is in a transaction of yours: push "
            "inside it, with adapter.within(connection), or end it before a push"
        )


def _no_block() -> None:
    return None


class SharedConnectionBusyError(sqlite3.OperationalError):
    """A block of another task is on the connection that all share: trying again helps."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


def is_always_open(connection: sqlite3.Connection) -> bool:
    """Tell whether the driver keeps a transaction open always (Python 3.12)."""
    return getattr(connection, "autocommit", None) is False


def make_durable(connection: Connection, cursor: DBAPICursor) -> None:
    """Make sure, once a connection, that its commits survive a loss of power."""
    if connection.info.get(_IS_DURABLE):
        return
    cursor.execute("PRAGMA synchronous")
    if cursor.fetchall()[0][0] < _SYNCHRONOUS_FULL:
        cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA fullfsync = ON")  # macOS would else leave it in the disk's cache
    connection.info[_IS_DURABLE] = True


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


def begin_inside(connection: Connection, cursor: DBAPICursor) -> None:
    """Begin the user's transaction where its driver would only do so at the first change.

    A SAVEPOINT outside of a transaction would be one, and its RELEASE would commit.
    """
    if not connection.driver_connection.in_transaction:
        cursor.execute("BEGIN IMMEDIATE")
