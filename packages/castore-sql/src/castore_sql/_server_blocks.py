"""Blocks on a server, which knows transactions by itself.

They are READ COMMITTED, whatever the engine is set to: in AUTOCOMMIT mode there would be no
transaction, and a snapshot of the whole transaction would not see that the lease was extended.
"""

from typing import Any, Final

from sqlalchemy import Connection

from castore_core import StorageError
from castore_sql._connection import Work
from castore_sql._queries import Query, execute

# Of a statement that needs a transaction, or a savepoint that is not there.
_NO_SAVEPOINT: Final[set[Any]] = {"25P01", "3B001", 1305}


def begin_block(connection: Connection) -> None:
    """Begin a transaction on a connection that has none."""
    if not connection.in_transaction():
        connection.execution_options(isolation_level="READ COMMITTED")
        connection.begin()
    execute(connection.connection, Query("SAVEPOINT castore_block"))  # no other transaction has it


def commit_block(connection: Connection, work: Work[bool]) -> bool:
    """Run work in the transaction, and commit if it agrees.

    Raises:
        StorageError: the transaction is another by now.
    """
    _check_transaction(connection)
    if not work(connection.connection):
        return False
    connection.commit()
    return True


def roll_back_block(connection: Connection) -> None:
    """Undo the transaction."""
    connection.rollback()


def _check_transaction(connection: Connection) -> None:
    """Refuse a transaction that a statement of the user's, or a deadlock, has ended meanwhile."""
    try:
        execute(connection.connection, Query("RELEASE SAVEPOINT castore_block"))
    except Exception as error:
        if _NO_SAVEPOINT.isdisjoint({getattr(error, "sqlstate", None), *error.args[:1]}):
            raise
        raise StorageError(
            "the transaction of the block was ended by a statement, or by the server after a "
            "deadlock: the bookmark did not move"
        ) from error
