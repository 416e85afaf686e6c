"""Blocks on SQLite: they lock the database for writing from their beginning.

What the driver begins and ends by itself depends on its mode: it is told in SQL.
"""

import sqlite3
from contextlib import closing
from weakref import ref

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import SingletonThreadPool, StaticPool

from castore_core import StorageError
from castore_sql._connection import Connection, Work
from castore_sql._sqlite.inside import run_inside
from castore_sql._sqlite.transactions import (
    BLOCK,
    is_always_open,
    make_durable,
    refuse_transaction_of_other,
    run_without_waiting,
)


def begin_block(connection: SQLAlchemyConnection) -> None:
    """Lock the database for writing, or raise that it is busy."""
    if not connection.in_transaction():
        dbapi_connection = connection.connection.dbapi_connection
        if dbapi_connection and connection.dialect.detect_autocommit_setting(dbapi_connection):
            connection.execution_options(isolation_level="SERIALIZABLE")
        connection.begin()
    is_shared = isinstance(connection.engine.pool, (SingletonThreadPool, StaticPool))
    block = ref(connection)

    def work(each: Connection) -> None:
        if is_shared:
            refuse_transaction_of_other(each)
        _begin(each)
        each.info[BLOCK] = block

    run_inside(connection, lambda each: run_without_waiting(each, work))


def commit_block(connection: SQLAlchemyConnection, work: Work[bool]) -> bool:
    """Run work and commit, in one call of the driver: nobody sees the work before the commit."""
    is_committed = run_inside(connection, lambda each: _commit(each, work))
    if is_committed:
        connection.commit()
    return is_committed


def roll_back_block(connection: SQLAlchemyConnection) -> None:
    """Undo the transaction."""
    run_inside(connection, _roll_back)
    connection.rollback()


def _begin(connection: Connection) -> None:
    with closing(connection.cursor()) as cursor:
        # Begun by the driver, or by a listener of the user's.
        if connection.driver_connection.in_transaction:
            cursor.execute("ROLLBACK")
        make_durable(connection, cursor)
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("SAVEPOINT castore_block")  # which no other transaction has


def _commit(connection: Connection, work: Work[bool]) -> bool:
    try:
        _execute(connection, "RELEASE castore_block")
    except sqlite3.OperationalError as error:
        if "no such savepoint" not in str(error):
            raise
        raise StorageError(
            "the transaction of the block was ended by a statement, or by somebody who shares the "
            "connection: the bookmark did not move"
        ) from error
    if not work(connection):
        return False
    _end(connection, "COMMIT")
    return True


def _roll_back(connection: Connection) -> None:
    if connection.driver_connection.in_transaction:
        _end(connection, "ROLLBACK")


def _end(connection: Connection, statement: str) -> None:
    _execute(connection, statement)
    if is_always_open(connection.driver_connection):
        _execute(connection, "BEGIN")


def _execute(connection: Connection, statement: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)
