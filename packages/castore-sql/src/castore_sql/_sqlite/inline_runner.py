"""Work at once, in the thread of the event loop."""

from collections.abc import Awaitable
from threading import Lock
from typing import TypeVar

from sqlalchemy import Engine, StaticPool

from castore_sql._connection import Work
from castore_sql._sqlite.plain_connection import PlainConnection, get_shared
from castore_sql._sqlite.transactions import run_without_waiting
from castore_sql._sqlite.user_transactions import check_own_lock
from castore_sql._wakeup import Wakeup

T = TypeVar("T")


class InlineRunner:
    """Runs work on an engine at once, in the thread of the event loop.

    This is for pools that share one connection, or have one for each thread, as those of databases
    in memory do: the user's thread sees the same database, and can close what was opened.
    """

    def __init__(self, engine: Engine) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = True
        self._engine = engine
        self._lock = Lock()

    def check_before_write(self) -> Awaitable[None] | None:
        """Refuse a push that would wait for a transaction of its own task."""
        return check_own_lock(self._engine)

    async def write(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work, while no other thread does."""
        with self._lock:
            return _run(self._engine, work)

    async def read(self, work: Work[T], _until: float | None = None, /) -> T:
        """Run work, while no other thread does."""
        return await self.write(work)

    def write_at_once(self, work: Work[T]) -> None:
        """Leave it to `write`, which needs no thread."""

    def read_at_once(self, work: Work[T]) -> None:
        """Leave it to `read`, which needs no thread."""


def _run(engine: Engine, work: Work[T]) -> T:
    if isinstance(engine.pool, StaticPool):
        return run_without_waiting(PlainConnection(*get_shared(engine)), work)
    connection = engine.raw_connection()
    try:
        return run_without_waiting(connection, work)
    finally:
        connection.close()  # rolls back nothing while the user has the connection too
