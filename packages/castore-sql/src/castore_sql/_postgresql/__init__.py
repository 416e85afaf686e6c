"""PostgreSQL: many writers at a time; the log is ordered by transaction."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_sql._inner_runner import InnerRunner, run_on_driver
from castore_sql._pool_runner import ServerHooks, make_pool_runner
from castore_sql._postgresql.age import get_oldest_transaction_age
from castore_sql._postgresql.bookmarks import make_bookmark_table, make_parked_table
from castore_sql._postgresql.commit import commit, find_outcome, write_inside
from castore_sql._postgresql.drivers import check_driver
from castore_sql._postgresql.errors import is_busy, is_lost, translate
from castore_sql._postgresql.interruption import interrupt, sever, stop
from castore_sql._postgresql.listening import AsyncpgListener
from castore_sql._postgresql.snapshots import make_snapshot_table
from castore_sql._postgresql.table import PostgreSQLEventTable
from castore_sql._postgresql.transactions import keeps_snapshot
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

_LONGEST_NAME: Final = 63 - len("idx__initial_events")  # bytes


def make_event_table(name: str, driver: Dialect, /, *, allow_gaps: bool) -> PostgreSQLEventTable:
    """Describe a table of events.

    Raises:
        ValueError: the driver is none that is known here, or the name is too long.
    """
    check_driver(driver)
    if (length := len(name.encode())) > _LONGEST_NAME:
        raise ValueError(
            f"table_name has {length} bytes: PostgreSQL has room for {_LONGEST_NAME}, because the "
            "names of indexes, which begin with it, end at 63"
        )
    return PostgreSQLEventTable(name, driver, allow_gaps=allow_gaps)


def make_listener(
    engine: Engine | AsyncEngine, table_name: str, wake: Callable[[], None], /
) -> AsyncpgListener | None:
    """Return a listener through asyncpg. Other drivers would need a thread of their own."""
    if isinstance(engine, AsyncEngine) and engine.dialect.driver == "asyncpg":
        return AsyncpgListener(engine, table_name, wake)
    return None


def make_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, in AUTOCOMMIT mode."""
    return make_pool_runner(
        engine,
        ServerHooks(
            prepare=_begin_autocommit,
            restore=_end_autocommit,
            is_lost=is_lost,
            interrupt=interrupt,
            sever=sever,
            stop=stop,
        ),
    )


def make_inner_runner(connection: Connection | AsyncConnection) -> Runner:
    """Return the runner of a connection of the user's, for work inside its transaction."""
    return InnerRunner(connection, run_on_driver)


def _begin_autocommit(engine: Engine, connection: PoolProxiedConnection) -> None:
    # No driver asks the server for this. Settings of a listener of the pool are kept.
    connection.commit()
    engine.dialect.set_isolation_level(_get_dbapi(connection), "AUTOCOMMIT")


def _end_autocommit(engine: Engine, connection: PoolProxiedConnection) -> None:
    engine.dialect.reset_isolation_level(_get_dbapi(connection))


def _get_dbapi(connection: PoolProxiedConnection) -> Any:
    return connection.dbapi_connection
