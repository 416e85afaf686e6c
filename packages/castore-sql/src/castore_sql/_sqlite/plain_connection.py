"""Connections of SQLite that are not checked out of a pool."""

import sqlite3
from typing import Any, NamedTuple, cast

from sqlalchemy import Engine, StaticPool
from sqlalchemy.engine.interfaces import DBAPICursor


class PlainConnection(NamedTuple):
    """A connection that was not checked out of a pool, or that another thread checked out."""

    driver_connection: sqlite3.Connection
    info: dict[Any, Any]

    def cursor(self) -> DBAPICursor:
        """Return a cursor."""
        return cast("DBAPICursor", self.driver_connection.cursor())


def get_shared(engine: Engine) -> tuple[Any, dict[Any, Any]]:
    """Return the driver's connection of a pool that shares one, and the notes about it.

    It is not checked out: at its return the pool would roll back a transaction of the user's.
    """
    record = cast("StaticPool", engine.pool).connection
    record.get_connection()  # opens it again where it was closed
    return record.driver_connection, record.info
