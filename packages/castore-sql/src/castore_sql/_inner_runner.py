"""Work on a connection of the user's, inside its transaction."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import current_thread
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_core import StorageError, find_calling_thread
from castore_sql._connection import Work
from castore_sql._wakeup import Wakeup

T = TypeVar("T")


class InnerRunner:
    """Runs work on one connection, one work at a time.

    A synchronous connection is used in the thread of the event loop, or under a façade in the
    thread that made this, while it waits for the façade.

    Args:
        connection: the user's, with a transaction, or one that begins now.
        run: hands the connection of the driver to work.
    """

    def __init__(
        self,
        connection: SQLAlchemyConnection | AsyncConnection,
        run: Callable[[SQLAlchemyConnection, Work[Any]], Any],
    ) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = False
        self._connection = connection
        self._run = run
        self._home = current_thread()
        self._lock = _locks.setdefault(connection, asyncio.Lock())

    def check_before_write(self) -> None:
        """Let all through: the transaction is the one that keeps others out."""

    async def write(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work inside the transaction, for as long as it takes."""
        async with self._lock:
            if isinstance(self._connection, AsyncConnection):
                return await self._connection.run_sync(self._run_inside, work)
            caller = find_calling_thread()
            if caller is None or self._home is current_thread():
                return self._run_inside(self._connection, work)
            if self._home is not caller.thread:
                raise StorageError(
                    f"the connection is one of the thread {self._home.name!r}, and the call comes "
                    f"from {caller.thread.name!r}: call within() in the thread that uses it"
                )
            return await caller.run(partial(self._run_inside, self._connection, work))

    async def read(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work inside the transaction."""
        return await self.write(work)

    def write_at_once(self, work: Work[T]) -> None:
        """Leave it to `write`."""

    def read_at_once(self, work: Work[T]) -> None:
        """Leave it to `read`."""

    def _run_inside(self, connection: SQLAlchemyConnection, work: Work[T]) -> T:
        _begin(connection)
        result: T = self._run(connection, work)
        return result


def run_on_driver(connection: SQLAlchemyConnection, work: Work[T]) -> T:
    """Hand over the connection of the driver, as SQLAlchemy adapts it.

    As after a statement of the user's, it is not used again where it broke, or was cancelled.
    """
    lent = connection.connection
    try:
        return work(lent)
    except Exception as error:
        if _is_lost(connection, error):
            connection.invalidate(error)
        raise
    except BaseException as error:
        connection.invalidate(error)
        raise


def _is_lost(connection: SQLAlchemyConnection, error: Exception) -> bool:
    if isinstance(error, (OSError, EOFError)):
        return True
    driver = connection.dialect
    return isinstance(error, driver.loaded_dbapi.Error) and driver.is_disconnect(
        error, connection.connection.dbapi_connection, None
    )


def _begin(connection: SQLAlchemyConnection) -> None:
    if connection.closed:
        raise StorageError("the connection of the transaction is closed")
    if _is_autocommit(connection):
        raise StorageError(
            "the connection is in AUTOCOMMIT mode, in which it has no transactions: nothing was "
            "read or written"
        )
    if not connection.in_transaction():
        connection.begin()


def _is_autocommit(connection: SQLAlchemyConnection) -> bool:
    driver_connection = connection.connection.dbapi_connection
    if driver_connection is None:
        return False
    with suppress(NotImplementedError):  # the dialect of a driver that cannot tell
        return connection.dialect.detect_autocommit_setting(driver_connection)
    return False


_locks: WeakKeyDictionary[SQLAlchemyConnection | AsyncConnection, asyncio.Lock]
_locks = WeakKeyDictionary()
