"""Work on connections of the user's pool, to a server."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from castore_sql._connection import Work
from castore_sql._errors import LostConnectionError
from castore_sql._threads import Threads
from castore_sql._wakeup import Wakeup

T = TypeVar("T")

_READERS = 4


class Pool:
    """Lends the connections of an engine to work, one at a time.

    Args:
        engine: the user's.
        prepare: sets a connection that was just taken, such as its isolation level.
        restore: sets it as it was, before the pool gets it back.
        is_lost: tells of an error of the server that it ends the connection.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        prepare: Callable[[Engine, PoolProxiedConnection], None],
        restore: Callable[[Engine, PoolProxiedConnection], None],
        is_lost: Callable[[Exception], bool],
    ) -> None:
        self.engine = engine
        self._prepare = prepare
        self._restore = restore
        self._has_lost = is_lost

    def run(self, work: Work[T]) -> T:
        """Run work on a connection.

        Raises:
            LostConnectionError: the connection broke meanwhile. It is not used again.
        """
        pool = self.engine.pool
        connection = self.engine.raw_connection()
        try:
            self._prepare(self.engine, connection)
            result = work(connection)
            self._restore(self.engine, connection)
        except Exception as error:
            if self._is_lost(connection, error):
                connection.invalidate(error)
                raise LostConnectionError from error
            self._give_up(connection)
            raise
        except BaseException as error:  # cancelled: the server may be at work still
            connection.invalidate(error)
            raise
        if self.engine.pool is not pool:  # disposed of meanwhile: nobody would close it
            connection.detach()
        connection.close()
        return result

    def _give_up(self, connection: PoolProxiedConnection) -> None:
        try:
            self._restore(self.engine, connection)
        except Exception as error:  # noqa: BLE001 the error of the work is the one to tell
            connection.invalidate(error)
        else:
            connection.close()

    def _is_lost(self, connection: PoolProxiedConnection, error: Exception) -> bool:
        """Tell whether the connection broke, or its answer did not come in time."""
        if isinstance(error, OSError):  # also the timeout of a driver
            return True
        driver = self.engine.dialect
        if not isinstance(error, driver.loaded_dbapi.Error):
            return False
        return self._has_lost(error) or driver.is_disconnect(
            error, connection.dbapi_connection, None
        )


class PoolThreadRunner:
    """Runs work on an engine in threads: one that writes, and a few that read."""

    def __init__(self, pool: Pool) -> None:
        self.wakeup = Wakeup()
        self._pool = pool
        self._writer = Threads(1, "castore-sql-writer")
        self._readers = Threads(_READERS, "castore-sql-reader")

    def check_before_write(self) -> None:
        """Let all through: the server has room for several transactions at a time."""

    async def write(self, work: Work[T]) -> T:
        """Run work in the writing thread."""
        return await self._writer.run(self._pool.run, work)

    async def read(self, work: Work[T]) -> T:
        """Run work in a reading thread."""
        return await self._readers.run(self._pool.run, work)

    def read_at_once(self, work: Work[T]) -> T | None:
        """Leave it to `read`, which waits for the server in a thread."""


class PoolLoopRunner:
    """Runs work on an async engine, in greenlets of the event loop."""

    def __init__(self, pool: Pool) -> None:
        self.wakeup = Wakeup()
        self._pool = pool

    def check_before_write(self) -> None:
        """Let all through: the server has room for several transactions at a time."""

    async def write(self, work: Work[T]) -> T:
        """Run work on a connection of the pool."""
        return await greenlet_spawn(lambda: self._pool.run(work))

    async def read(self, work: Work[T]) -> T:
        """Run work on a connection of the pool."""
        return await greenlet_spawn(lambda: self._pool.run(work))

    def read_at_once(self, work: Work[T]) -> T | None:
        """Leave it to `read`, which awaits the server."""


def make_pool_runner(
    engine: Engine | AsyncEngine,
    *,
    prepare: Callable[[Engine, PoolProxiedConnection], None],
    restore: Callable[[Engine, PoolProxiedConnection], None],
    is_lost: Callable[[Exception], bool],
) -> PoolThreadRunner | PoolLoopRunner:
    """Return the runner for the kind of an engine."""
    if isinstance(engine, AsyncEngine):
        pool = Pool(engine.sync_engine, prepare=prepare, restore=restore, is_lost=is_lost)
        return PoolLoopRunner(pool)
    return PoolThreadRunner(Pool(engine, prepare=prepare, restore=restore, is_lost=is_lost))
