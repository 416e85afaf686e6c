"""Where work on the database runs: in threads, at once, or in the loop of an async engine."""

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager, nullcontext
from threading import Lock
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from sqlalchemy import Engine, SingletonThreadPool, StaticPool, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_sql._held import HeldConnections, Work
from castore_sql._threads import Threads
from castore_sql._wakeup import Wakeup

T = TypeVar("T")

_READERS = 4


class Runner(Protocol):
    """Runs work with a connection to the database of the user's engine.

    ``wakeup`` wakes the tasks that wait for a commit of this process.
    """

    wakeup: Wakeup

    async def write(self, work: Work[T]) -> T:
        """Run work that may write."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads."""
        ...

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work that reads a little, where that spares a way to a thread and waits for nobody.

        Returns ``None`` where it does not: `read` then runs the work, or says why it fails.
        """
        ...


class ThreadRunner:
    """Runs work on an engine in threads of its own: one that writes, and a few that read.

    The threads keep connections that nobody else uses, until the engine is disposed of.
    """

    def __init__(self, engine: Engine) -> None:
        self.wakeup = Wakeup()
        self._connections = HeldConnections(engine)
        self._writer = Threads(1, "castore-sql-writer")
        self._readers = Threads(_READERS, "castore-sql-reader")
        event.listen(engine, "engine_disposed", _close_held)

    async def write(self, work: Work[T]) -> T:
        """Run work in the writing thread."""
        return await self._writer.run(self._connections.run, work)

    async def read(self, work: Work[T]) -> T:
        """Run work in a reading thread."""
        return await self._readers.run(self._connections.run, work)

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work in the thread of the event loop, on a connection that is open already."""
        try:
            return self._connections.run_if_idle(work)
        except (sqlite3.Error, SQLAlchemyError):  # busy, or what `read` will run into as well
            return None

    def close_held(self) -> None:
        """Close the connections. The next work opens new ones."""
        self._connections.dispose()


class InlineRunner:
    """Runs work on an engine at once, in the thread of the event loop.

    This is for pools that share one connection, or have one for each thread, as those of databases
    in memory do: the user's thread sees the same database, and can close what was opened.
    """

    def __init__(self, engine: Engine) -> None:
        self.wakeup = Wakeup()
        self._engine = engine
        self._lock = Lock()

    async def write(self, work: Work[T]) -> T:
        """Run work, while no other thread does."""
        with self._lock:
            return _run(self._engine, work)

    async def read(self, work: Work[T]) -> T:
        """Run work, while no other thread does."""
        return await self.write(work)

    def read_at_once(self, work: Work[T]) -> None:
        """Leave it to `read`, which needs no thread."""


class LoopRunner:
    """Runs work on an async engine, whose driver has threads of its own.

    A pool that shares one connection does one work at a time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.wakeup = Wakeup()
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

    def read_at_once(self, work: Work[T]) -> None:
        """Leave it to `read`, which awaits the driver."""

    def _get_lock(self) -> AbstractAsyncContextManager[None]:
        if not self._is_shared:
            return nullcontext()
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def get_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, which all adapters on it share."""
    key = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    with _runners_lock:
        runner = _runners.get(key)
        if runner is None:
            runner = _runners[key] = _make_runner(engine)
        return runner


def _make_runner(engine: Engine | AsyncEngine) -> ThreadRunner | InlineRunner | LoopRunner:
    if isinstance(engine, AsyncEngine):
        return LoopRunner(engine)
    if isinstance(engine.pool, (SingletonThreadPool, StaticPool)):
        return InlineRunner(engine)
    return ThreadRunner(engine)


def _run(engine: Engine, work: Work[T]) -> T:
    connection = engine.raw_connection()
    try:
        return work(connection)
    finally:
        connection.close()


def _close_held(engine: Engine) -> None:
    runner = _runners.get(engine)
    if isinstance(runner, ThreadRunner):
        runner.close_held()


_runners: WeakValueDictionary[Engine, ThreadRunner | InlineRunner | LoopRunner]
_runners = WeakValueDictionary()
_runners_lock = Lock()
