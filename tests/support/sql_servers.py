"""Databases on the servers, one for each test, and engines on them."""

import asyncio
import fcntl
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Engine, NullPool, Pool, QueuePool, create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import LOG_START, EventLog, LogEntry

SYNC_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "mariadb": "mysql+pymysql",
    "mysql": "mysql+pymysql",
}


_POLL = 0.01  # seconds
_POLLS = 500


class Kind(NamedTuple):
    """A server, and how an engine talks to it."""

    server: str
    driver: str
    is_async: bool = True


POSTGRES_KINDS = {
    "asyncpg": Kind("postgres", "postgresql+asyncpg"),
    "psycopg": Kind("postgres", "postgresql+psycopg"),
    "psycopg-sync": Kind("postgres", "postgresql+psycopg", is_async=False),
}
MARIADB_KINDS = {
    "asyncmy": Kind("mariadb", "mysql+asyncmy"),
    "aiomysql": Kind("mariadb", "mysql+aiomysql"),
    "pymysql": Kind("mariadb", "mysql+pymysql", is_async=False),
}
MYSQL_KINDS = {
    "asyncmy-mysql": Kind("mysql", "mysql+asyncmy"),
    "pymysql-mysql": Kind("mysql", "mysql+pymysql", is_async=False),
}
KINDS = {**POSTGRES_KINDS, **MARIADB_KINDS, **MYSQL_KINDS}


class ServerDatabase:
    """A database of one test: a schema of PostgreSQL, or a database of MySQL."""

    def __init__(self, server: str, url: str) -> None:
        self.server = server
        self.name = f"castore_{uuid4().hex[:12]}"
        self._url = make_url(url).set(drivername=SYNC_DRIVERS[server])

    def get_url(self, driver: str) -> URL:
        """Return the URL of the database for a driver."""
        url = self._url.set(drivername=driver)
        if self.server != "postgres":
            return url.set(database=self.name)
        return url

    def get_connect_args(self, driver: str) -> dict[str, Any]:
        """Return what a driver needs to find the database."""
        if driver == "postgresql+asyncpg":
            return {"server_settings": {"search_path": self.name}}
        return {"options": f"-c search_path={self.name}"} if self.server == "postgres" else {}

    def make_engine(self, kind: Kind, **options: Any) -> Engine | AsyncEngine:
        """Return an engine on the database, also by the port of a proxy, or as another user."""
        create = create_async_engine if kind.is_async else create_engine
        parts = {each: options.pop(each) for each in ("port", "username") if each in options}
        url = self.get_url(kind.driver).set(**parts)
        connect_args = self.get_connect_args(kind.driver) | options.pop("connect_args", {})
        return create(url, connect_args=connect_args, **options)

    def run(self, *statements: str) -> list[Any]:
        """Run statements by somebody else, and return the rows of the last."""
        driver = SYNC_DRIVERS[self.server]
        engine = create_engine(
            self.get_url(driver),
            connect_args=self.get_connect_args(driver),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        rows: list[Any] = []
        with engine.connect() as connection:
            for each in statements:
                result = connection.exec_driver_sql(each)
                rows = list(result) if result.returns_rows else []
        return rows

    def create(self) -> None:
        """Create the database."""
        what = "SCHEMA" if self.server == "postgres" else "DATABASE"
        self._run_outside(f"CREATE {what} {self.name}")

    def drop(self) -> None:
        """Drop the database."""
        what = (
            f"SCHEMA {self.name} CASCADE" if self.server == "postgres" else f"DATABASE {self.name}"
        )
        self._run_outside(f"DROP {what}")

    def _run_outside(self, statement: str) -> None:
        engine = create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))


async def dispose(engine: Engine | AsyncEngine) -> None:
    """Dispose of an engine of either kind.

    SQLAlchemy 2.0 may still be opening a connection for a cancelled task, which would be lost if
    the event loop ended meanwhile.
    """
    if isinstance(engine, AsyncEngine):
        for _ in range(_POLLS):
            if not _is_in_use(engine.pool):
                break
            await asyncio.sleep(_POLL)
        await engine.dispose()
    else:
        engine.dispose()


def _is_in_use(pool: Pool) -> bool:
    """Tell whether a connection is lent, or being opened."""
    return isinstance(pool, QueuePool) and pool.checkedout() > 0


async def read_log(log: EventLog, count: int) -> Sequence[LogEntry]:
    """Return the entries of a log, once there are so many.

    It may take a moment: transactions of other tests, which are short, hold back its readers.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 30
    while len(entries := (await log.read_events()).entries) < count and loop.time() < deadline:
        await log.wait_for_events(entries[-1].position if entries else LOG_START, 0.1)
    return entries


@contextmanager
def using_servers(*, alone: bool) -> Generator[None]:
    """Use the servers together with other tests, or alone.

    A transaction of another test would hold back readers of a log: tests of logs run alone.
    """
    directory = Path(tempfile.gettempdir())
    with (
        (directory / "castore-test-servers.gate").open("a") as gate,
        (directory / "castore-test-servers.lock").open("a") as file,
    ):
        fcntl.flock(gate, fcntl.LOCK_EX)  # whoever waits to be alone lets no others in
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
