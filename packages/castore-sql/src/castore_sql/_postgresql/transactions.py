"""Transactions of PostgreSQL, on connections in AUTOCOMMIT mode, and the keys of advisory locks."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from castore_sql._connection import Connection
from castore_sql._queries import Query, execute, fetch_value

_CASTORE: Final = 0x63617374 << 32  # a space of keys, because others may use locks, too
TABLES_LOCK: Final = _CASTORE | 1 << 31 | 1
"""Held while a table is created."""
INDEXES_LOCK: Final = _CASTORE | 1 << 31 | 2
"""Held while the indexes of a table are built."""


def make_lock_of_listeners(number: int) -> int:
    """Return the key that those hold who listen to a table, of a number of up to 31 bits."""
    return _CASTORE | number


def keeps_snapshot(connection: Connection, /) -> bool:
    """Tell whether the transaction reads the same again, whatever others commit."""
    level: str = fetch_value(connection, Query("SHOW transaction_isolation"))
    return level != "read committed"


@contextmanager
def transaction(connection: Connection) -> Generator[None]:
    """Commit at the end of a block, or roll back if it raises."""
    execute(connection, Query("BEGIN"))
    try:
        yield
        execute(connection, Query("COMMIT"))
    except BaseException:
        with suppress(Exception):  # the connection may be lost, which is the error to tell
            execute(connection, Query("ROLLBACK"))
        raise
