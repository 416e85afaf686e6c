"""Where work on the database runs: in threads, at once, or in the loop of an async engine."""

from threading import Lock
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Engine, SingletonThreadPool, StaticPool, event
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_sql import _user_transactions
from castore_sql._connection import Work
from castore_sql._errors import BACKEND_ERRORS
from castore_sql._held import HeldConnections
from castore_sql._inline_runner import InlineRunner
from castore_sql._loop_runner import LoopRunner
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
        except BACKEND_ERRORS:  # busy, or what `read` will run into as well
            return None

    def close_held(self) -> None:
        """Close the connections. The next work opens new ones."""
        self._connections.dispose()


def get_runner(engine: Engine | AsyncEngine) -> Runner:
    """Return the runner of an engine, which all adapters on it share."""
    key = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    with _runners_lock:
        runner = _runners.get(key)
        if runner is None:
            runner = _runners[key] = _make_runner(engine)
            _user_transactions.watch(key)
        return runner


def _make_runner(engine: Engine | AsyncEngine) -> ThreadRunner | InlineRunner | LoopRunner:
    if isinstance(engine, AsyncEngine):
        return LoopRunner(engine)
    if isinstance(engine.pool, (SingletonThreadPool, StaticPool)):
        return InlineRunner(engine)
    return ThreadRunner(engine)


def _close_held(engine: Engine) -> None:
    runner = _runners.get(engine)
    if isinstance(runner, ThreadRunner):
        runner.close_held()


_runners: WeakValueDictionary[Engine, ThreadRunner | InlineRunner | LoopRunner]
_runners = WeakValueDictionary()
_runners_lock = Lock()
