"""SQLite: one writer at a time, in a file of this machine or in memory."""

import sqlite3
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Dialect, Engine, SingletonThreadPool, StaticPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from castore_sql._connection import Connection, Work
from castore_sql._inner_runner import InnerRunner
from castore_sql._runner import Runner
from castore_sql._sqlite.aiosqlite import run_in_driver
from castore_sql._sqlite.commit import commit, write_inside
from castore_sql._sqlite.errors import get_errors, is_busy, translate
from castore_sql._sqlite.inline_runner import InlineRunner
from castore_sql._sqlite.loop_runner import LoopRunner
from castore_sql._sqlite.plain_connection import PlainConnection
from castore_sql._sqlite.table import SQLiteEventTable
from castore_sql._sqlite.thread_runner import ThreadRunner
from castore_sql._sqlite.user_transactions import watch

__all__ = [
    "commit",
    "get_errors",
    "get_oldest_transaction_age",
    "is_busy",
    "make_event_table",
    "make_inner_runner",
    "make_runner",
    "translate",
    "write_inside",
]

T = TypeVar("T")


def make_event_table(name: str, _driver: Dialect, /, *, allow_gaps: bool) -> SQLiteEventTable:
    """Describe a table of events."""
    return SQLiteEventTable(name, allow_gaps=allow_gaps)


def get_oldest_transaction_age(_connection: Connection, /) -> timedelta:
    """Return zero: whoever writes keeps out the others, and readers see all that is committed."""
    return timedelta()


def make_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return what runs work on an engine, and watch its transactions."""
    watch(engine.sync_engine if isinstance(engine, AsyncEngine) else engine)
    if isinstance(engine, AsyncEngine):
        return LoopRunner(engine)
    if isinstance(engine.pool, (SingletonThreadPool, StaticPool)):
        return InlineRunner(engine)
    return ThreadRunner(engine)


def make_inner_runner(connection: SQLAlchemyConnection | AsyncConnection) -> Runner:
    """Return what runs work on a connection of the user's, inside its transaction."""
    return InnerRunner(connection, _run_inside)


def _run_inside(connection: SQLAlchemyConnection, work: Work[T]) -> T:
    proxied = connection.connection
    driver_connection = proxied.driver_connection
    if isinstance(driver_connection, sqlite3.Connection):
        return work(proxied)

    def run(inner: sqlite3.Connection) -> T:
        return work(PlainConnection(inner, proxied.info))

    return await_only(run_in_driver(driver_connection, run))
