"""PostgreSQL: many writers at a time; the log is ordered by transaction."""

from typing import Any

from sqlalchemy import Connection, Dialect, Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_sql._inner_runner import InnerRunner, run_on_driver
from castore_sql._pool_runner import make_pool_runner
from castore_sql._postgresql.age import get_oldest_transaction_age
from castore_sql._postgresql.commit import commit, write_inside
from castore_sql._postgresql.errors import get_errors, is_busy, is_lost, translate
from castore_sql._postgresql.table import PostgreSQLEventTable
from castore_sql._runner import Runner

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


def make_event_table(name: str, driver: Dialect, /, *, allow_gaps: bool) -> PostgreSQLEventTable:
    """Describe a table of events."""
    return PostgreSQLEventTable(name, driver, allow_gaps=allow_gaps)


def make_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return what runs work on an engine, in AUTOCOMMIT mode."""
    return make_pool_runner(
        engine, prepare=_begin_autocommit, restore=_end_autocommit, is_lost=is_lost
    )


def make_inner_runner(connection: Connection | AsyncConnection) -> Runner:
    """Return what runs work on a connection of the user's, inside its transaction."""
    return InnerRunner(connection, run_on_driver)


def _begin_autocommit(engine: Engine, connection: PoolProxiedConnection) -> None:
    # No driver asks the server for this.
    engine.dialect.set_isolation_level(_get_dbapi(connection), "AUTOCOMMIT")


def _end_autocommit(engine: Engine, connection: PoolProxiedConnection) -> None:
    engine.dialect.reset_isolation_level(_get_dbapi(connection))


def _get_dbapi(connection: PoolProxiedConnection) -> Any:
    return connection.dbapi_connection
