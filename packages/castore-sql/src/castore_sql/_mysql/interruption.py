"""How a statement of MySQL and MariaDB is ended before its time."""

from asyncio import CancelledError
from contextlib import closing, suppress
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection

from castore_sql._mysql.commit import IS_COMMITTING
from castore_sql._sockets import shut_down


def interrupt(engine: Engine, connection: PoolProxiedConnection) -> None:
    """End the statement that another thread waits for."""
    _kill(engine, "QUERY", connection)


def sever(connection: PoolProxiedConnection) -> None:
    """Let the thread see the end of the connection."""
    shut_down(_get_driver_connection(connection)._sock.fileno())


def stop(engine: Engine, connection: PoolProxiedConnection) -> bool:
    """End the session, whose statement may wait for a lock, and keep others.

    A transaction whose ``COMMIT`` was not sent is never committed.
    """
    with suppress(Exception, CancelledError):  # it ends by itself when it notices
        _kill(engine, "CONNECTION", connection)
    return not connection.info.get(IS_COMMITTING, False)


def _kill(engine: Engine, what: str, connection: PoolProxiedConnection) -> None:
    number = _get_driver_connection(connection).thread_id()
    pool = engine.pool.recreate()  # the engine's own may have no connection left
    try:
        with closing(pool.connect()) as other, closing(other.cursor()) as cursor:
            cursor.execute(f"KILL {what} {number}")
    finally:
        pool.dispose()


def _get_driver_connection(connection: PoolProxiedConnection) -> Any:
    return connection.driver_connection
