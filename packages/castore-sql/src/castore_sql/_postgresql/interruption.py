"""How a statement of PostgreSQL is ended before its time."""

from sqlalchemy import Engine, PoolProxiedConnection

from castore_sql._queries import Query, execute
from castore_sql._sockets import shut_down

_CANCELLATION = 1.0  # seconds


def interrupt(_engine: Engine, connection: PoolProxiedConnection) -> None:
    """Ask the server to cancel the statement that another thread waits for."""
    driver_connection = connection.driver_connection
    assert driver_connection is not None  # noqa: S101 it is lent
    driver_connection.cancel_safe(timeout=_CANCELLATION)


def sever(connection: PoolProxiedConnection) -> None:
    """Let the thread see the end of the connection."""
    driver_connection = connection.driver_connection
    assert driver_connection is not None  # noqa: S101 it is lent
    shut_down(driver_connection.fileno())


def stop(_engine: Engine, connection: PoolProxiedConnection) -> bool:
    """Wait for the end of the statement, which the driver has asked the server to cancel.

    A connection runs one statement after the other: where this one runs, that one has ended.
    """
    execute(connection, Query("ROLLBACK"))
    return True
