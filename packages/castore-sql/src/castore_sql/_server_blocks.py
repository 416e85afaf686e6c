"""Blocks on a server, which knows transactions by itself.

They are READ COMMITTED, whatever the engine is set to: in AUTOCOMMIT mode there would be no
transaction, and a snapshot of the whole transaction would not see that the lease was extended.
"""

from sqlalchemy import Connection

from castore_sql._connection import Work


def begin_block(connection: Connection) -> None:
    """Begin a transaction on a connection that has none."""
    if not connection.in_transaction():
        connection.execution_options(isolation_level="READ COMMITTED")
        connection.begin()


def commit_block(connection: Connection, work: Work[bool]) -> bool:
    """Run work in the transaction, and commit if it agrees."""
    if not work(connection.connection):
        return False
    connection.commit()
    return True


def roll_back_block(connection: Connection) -> None:
    """Undo the transaction."""
    connection.rollback()
