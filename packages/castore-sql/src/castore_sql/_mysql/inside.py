"""Work inside a transaction of the user's, which it must not end."""

from typing import Any, TypeVar

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy.engine.interfaces import DBAPICursor

from castore_sql._connection import Connection, Work
from castore_sql._inner_runner import run_on_driver
from castore_sql._mysql.server import get_server

T = TypeVar("T")


class InsideConnection:
    """A connection in a transaction of the user's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def driver_connection(self) -> Any:
        """The connection of the driver."""
        return self._connection.driver_connection

    @property
    def info(self) -> dict[Any, Any]:
        """The notes."""
        return self._connection.info

    def cursor(self) -> DBAPICursor:
        """Return a cursor."""
        return self._connection.cursor()


def run_inside(connection: SQLAlchemyConnection, work: Work[T]) -> T:
    """Hand over the connection of the driver, and say that the transaction is the user's."""

    def run(lent: Connection) -> T:
        get_server(lent)
        return work(InsideConnection(lent))

    return run_on_driver(connection, run)
