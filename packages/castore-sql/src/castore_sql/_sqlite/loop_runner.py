"""Work on an async engine."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from castore_sql._connection import Work
from castore_sql._sqlite.aiosqlite import run_in_driver
from castore_sql._sqlite.plain_connection import PlainConnection, get_shared
from castore_sql._sqlite.transactions import run_without_waiting
from castore_sql._sqlite.user_transactions import check_own_lock
from castore_sql._wakeup import Wakeup

T = TypeVar("T")


class LoopRunner:
    """Runs work on an async engine, in the threads that its driver has for its connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = False
        self._engine = engine
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._locks = WeakKeyDictionary()

    def check_before_write(self) -> Awaitable[None] | None:
        """Refuse a push that would wait for a transaction of its own task."""
        return check_own_lock(self._engine.sync_engine)

    async def write(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work on a connection of the pool."""
        if isinstance(self._engine.pool, StaticPool):
            return await _run(*await self._get_shared(), work)
        async with self._engine.connect() as connection:
            checked_out = await connection.get_raw_connection()
            return await _run(checked_out.driver_connection, checked_out.info, work)

    async def read(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work on a connection of the pool."""
        return await self.write(work)

    def write_at_once(self, work: Work[T]) -> None:
        """Leave it to `write`, which awaits the driver."""

    def read_at_once(self, work: Work[T]) -> None:
        """Leave it to `read`, which awaits the driver."""

    async def _get_shared(self) -> tuple[Any, dict[Any, Any]]:
        """Return the only connection: of several tasks at a time, one opens it."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await greenlet_spawn(get_shared, self._engine.sync_engine)


async def _run(driver_connection: Any, info: dict[Any, Any], work: Work[T]) -> T:
    def run(connection: sqlite3.Connection) -> T:
        return run_without_waiting(PlainConnection(connection, info), work)

    return await run_in_driver(driver_connection, run)
