"""Work in threads of the adapter's own."""

from collections.abc import Awaitable
from typing import TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Engine, event

from castore_sql._connection import Work
from castore_sql._sqlite.errors import ERRORS
from castore_sql._sqlite.held import HeldConnections
from castore_sql._sqlite.user_transactions import check_own_lock
from castore_sql._threads import Threads
from castore_sql._wakeup import Wakeup

T = TypeVar("T")

_READERS = 4


class ThreadRunner:
    """Runs work on an engine in threads of its own: one that writes, and a few that read.

    The threads keep connections that nobody else uses, until the engine is disposed of.
    """

    def __init__(self, engine: Engine) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = True
        self._engine = engine
        self._connections = HeldConnections(engine)
        self._writer = Threads(1, "castore-sql-writer")
        self._readers = Threads(_READERS, "castore-sql-reader")
        event.listen(engine, "engine_disposed", _close_held)
        _thread_runners[engine] = self

    def check_before_write(self) -> Awaitable[None] | None:
        """Refuse a push that would wait for a transaction of its own task."""
        return check_own_lock(self._engine)

    async def write(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work in the writing thread."""
        return await self._writer.run(self._connections.run, work)

    async def read(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work in a reading thread."""
        return await self._readers.run(self._connections.run, work)

    def write_at_once(self, work: Work[T]) -> T | None:
        """Run work in the thread of the event loop, on a connection that is open already."""
        try:
            return self._connections.run_if_idle(work)
        except ERRORS:  # busy, or what `write` will run into as well: nothing was written
            return None

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work in the thread of the event loop, on a connection that is open already."""
        try:
            return self._connections.run_if_idle(work)
        except ERRORS:  # busy, or what `read` will run into as well
            return None

    def close_held(self) -> None:
        """Close the connections. The next work opens new ones."""
        self._connections.dispose()


def _close_held(engine: Engine) -> None:
    if (runner := _thread_runners.get(engine)) is not None:
        runner.close_held()


_thread_runners: WeakValueDictionary[Engine, ThreadRunner] = WeakValueDictionary()
