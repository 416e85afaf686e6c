"""MySQL and MariaDB: many writers at a time; readers of the log close the holes in its ids."""

from collections.abc import Callable

from sqlalchemy import Connection, Dialect, Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool.base import ResetStyle

from castore_sql._inner_runner import InnerRunner
from castore_sql._mysql.age import get_oldest_transaction_age
from castore_sql._mysql.bookmarks import make_bookmark_table, make_parked_table
from castore_sql._mysql.commit import commit, find_outcome, write_inside
from castore_sql._mysql.errors import is_busy, is_lost, translate
from castore_sql._mysql.inside import run_inside
from castore_sql._mysql.interruption import interrupt, sever, stop
from castore_sql._mysql.server import isolate_next, keeps_snapshot
from castore_sql._mysql.snapshots import make_snapshot_table
from castore_sql._mysql.table import MySQLEventTable
from castore_sql._pool_runner import ServerHooks, make_pool_runner
from castore_sql._runner import Runner
from castore_sql._server_blocks import begin_block, commit_block, roll_back_block
from castore_sql._server_errors import get_errors

__all__ = [
    "begin_block",
    "commit",
    "commit_block",
    "find_outcome",
    "get_errors",
    "get_oldest_transaction_age",
    "is_busy",
    "keeps_snapshot",
    "make_bookmark_table",
    "make_event_table",
    "make_inner_runner",
    "make_listener",
    "make_parked_table",
    "make_runner",
    "make_snapshot_table",
    "roll_back_block",
    "translate",
    "write_inside",
]


def make_event_table(name: str, _driver: Dialect, /, *, allow_gaps: bool) -> MySQLEventTable:
    """Describe a table of events."""
    return MySQLEventTable(name, allow_gaps=allow_gaps)


def make_listener(
    _engine: Engine | AsyncEngine, _table_name: str, _wake: Callable[[], None], /
) -> None:
    """Return none: MySQL does not tell other sessions."""


def make_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, in the mode that it has."""
    return make_pool_runner(
        engine,
        ServerHooks(
            prepare=_prepare,
            restore=_restore,
            is_lost=is_lost,
            interrupt=interrupt,
            sever=sever,
            stop=stop,
        ),
    )


def make_inner_runner(connection: Connection | AsyncConnection) -> Runner:
    """Return the runner of a connection of the user's, for work inside its transaction."""
    return InnerRunner(connection, run_inside)


def _prepare(_engine: Engine, connection: PoolProxiedConnection) -> None:
    # The isolation that most engines have needs no statement, which would cost as much as the work.
    isolate_next(connection)


def _restore(engine: Engine, connection: PoolProxiedConnection) -> None:
    """End what a read has begun, where the pool does not."""
    if getattr(engine.pool, "_reset_on_return", None) is ResetStyle.reset_none:
        connection.rollback()
