"""SQLite: one writer at a time, in a file of this machine or in memory."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Dialect, Engine, SingletonThreadPool, StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_sql._connection import Connection
from castore_sql._inner_runner import InnerRunner
from castore_sql._runner import Runner
from castore_sql._sqlite.blocks import begin_block, commit_block, roll_back_block
from castore_sql._sqlite.bookmarks import make_bookmark_table, make_parked_table
from castore_sql._sqlite.commit import commit, find_outcome, write_inside
from castore_sql._sqlite.errors import get_errors, is_busy, translate
from castore_sql._sqlite.inline_runner import InlineRunner
from castore_sql._sqlite.inside import run_inside
from castore_sql._sqlite.loop_runner import LoopRunner
from castore_sql._sqlite.snapshots import make_snapshot_table
from castore_sql._sqlite.table import SQLiteEventTable
from castore_sql._sqlite.thread_runner import ThreadRunner
from castore_sql._sqlite.user_transactions import watch

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


def make_event_table(name: str, _driver: Dialect, /, *, allow_gaps: bool) -> SQLiteEventTable:
    """Describe a table of events."""
    return SQLiteEventTable(name, allow_gaps=allow_gaps)


def get_oldest_transaction_age(_connection: Connection, /) -> timedelta:
    """Return zero: one writes at a time, and readers see all that is committed."""
    return timedelta()


def keeps_snapshot(_connection: Connection, /) -> bool:
    """Return false: who writes keeps out the others, and reads what they have committed before."""
    return False


def make_listener(
    _engine: Engine | AsyncEngine, _table_name: str, _wake: Callable[[], None], /
) -> None:
    """Return none: SQLite does not tell other processes."""


def make_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, and watch its transactions."""
    watch(engine.sync_engine if isinstance(engine, AsyncEngine) else engine)
    if isinstance(engine, AsyncEngine):
        return LoopRunner(engine)
    if isinstance(engine.pool, (SingletonThreadPool, StaticPool)):
        return InlineRunner(engine)
    return ThreadRunner(engine)


def make_inner_runner(connection: SQLAlchemyConnection | AsyncConnection) -> Runner:
    """Return the runner of a connection of the user's, for work inside its transaction."""
    return InnerRunner(connection, run_inside)
