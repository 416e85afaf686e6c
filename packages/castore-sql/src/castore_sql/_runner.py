"""Where work on the database runs: in threads for an engine, in the loop for an async one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol, TypeAlias, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from sqlalchemy import Engine, PoolProxiedConnection, SingletonThreadPool, StaticPool
from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
Work: TypeAlias = Callable[[PoolProxiedConnection], T]

_READERS = 4  # with the writer, as many as the connections of SQLAlchemy's default pool


class Runner(Protocol):
    """Runs work with a connection of the user's engine."""

    async def write(self, work: Work[T]) -> T:
        """Run work that may write."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads."""
        ...


class ThreadRunner:
    """Runs work on an engine in threads of its own: one that writes, and a few that read.

    A pool that shares one connection, or has one for each thread, as databases in memory do, is
    used from the writing thread only.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = ThreadPoolExecutor(1, "castore-sql-writer")
        self._readers = self._writer
        if not isinstance(engine.pool, (SingletonThreadPool, StaticPool)):
            self._readers = ThreadPoolExecutor(_READERS, "castore-sql-reader")

    async def write(self, work: Work[T]) -> T:
        """Run work in the writing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._run, work)

    async def read(self, work: Work[T]) -> T:
        """Run work in a reading thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run, work)

    def _run(self, work: Work[T]) -> T:
        connection = self._engine.raw_connection()
        try:
            return work(connection)
        finally:
            connection.close()


class LoopRunner:
    """Runs work on an async engine, whose driver has threads of its own.

    A pool that shares one connection does one work at a time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._is_shared = isinstance(engine.pool, StaticPool)
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._locks = WeakKeyDictionary()

    async def write(self, work: Work[T]) -> T:
        """Run work on a connection of the pool."""
        async with self._get_lock(), self._engine.connect() as connection:
            return await connection.run_sync(lambda each: work(each.connection))

    async def read(self, work: Work[T]) -> T:
        """Run work on a connection of the pool."""
        return await self.write(work)

    def _get_lock(self) -> AbstractAsyncContextManager[None]:
        if not self._is_shared:
            return nullcontext()
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def get_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, which all adapters on it share."""
    key = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    runner = _runners.get(key)
    if runner is None:
        runner = LoopRunner(engine) if isinstance(engine, AsyncEngine) else ThreadRunner(engine)
        _runners[key] = runner
    return runner


_runners: WeakValueDictionary[Engine, ThreadRunner | LoopRunner] = WeakValueDictionary()
