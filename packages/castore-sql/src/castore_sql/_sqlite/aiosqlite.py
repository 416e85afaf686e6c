"""Work in the thread that aiosqlite has for each connection."""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_driver(driver_connection: Any, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run work on a connection of aiosqlite, in its thread, as one call.

    So no statement of the user's comes in between, and work whose caller is cancelled is done to
    its end. aiosqlite has no public way; SQLAlchemy reaches for the same attributes.

    Raises:
        sqlite3.OperationalError: the connection is closed.
    """
    try:
        connection = driver_connection._conn
    except ValueError as error:
        raise sqlite3.OperationalError(str(error)) from error
    result: T = await driver_connection._execute(work, connection)
    return result
