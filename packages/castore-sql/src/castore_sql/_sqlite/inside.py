"""Work on a connection that SQLAlchemy has checked out."""

import sqlite3
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from castore_sql._connection import Work
from castore_sql._sqlite.aiosqlite import run_in_driver
from castore_sql._sqlite.plain_connection import PlainConnection

T = TypeVar("T")


def run_inside(connection: Connection, work: Work[T]) -> T:
    """Hand the connection of the driver to work, which is one call of the driver."""
    proxied = connection.connection
    driver_connection = proxied.driver_connection
    if isinstance(driver_connection, sqlite3.Connection):
        return work(proxied)

    def run(inner: sqlite3.Connection) -> T:
        return work(PlainConnection(inner, proxied.info))

    return await_only(run_in_driver(driver_connection, run))
