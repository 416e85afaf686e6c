"""The database as an adapter uses it: it may be busy, and pushes share commits."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import StorageError
from castore_sql import _sqlite
from castore_sql._group_commit import GroupCommit, Outcome
from castore_sql._held import Work
from castore_sql._runner import get_runner
from castore_sql._statements import Query
from castore_sql._wakeup import Wakeup
from castore_sql._writes import Write

T = TypeVar("T")

_BUSY_PAUSE = 0.002  # seconds; longer ones are unfair to who waits


class Database:
    """Reads and writes, tries again while the database is busy, and translates its errors.

    Args:
        engine: the user's.
        busy_timeout: for how many seconds to try again.
        reads_in_loop: small reads may run in the thread of the event loop.
    """

    def __init__(
        self, engine: Engine | AsyncEngine, *, busy_timeout: float, reads_in_loop: bool
    ) -> None:
        self._runner = get_runner(engine)
        self._busy_timeout = busy_timeout
        self._reads_in_loop = reads_in_loop
        self._commits: WeakKeyDictionary[asyncio.AbstractEventLoop, GroupCommit[Write]]
        self._commits = WeakKeyDictionary()
        self.wakeup = self._runner.wakeup

    async def create(self, statements: Sequence[str]) -> None:
        """Create what is not there yet."""
        await self._guard(lambda: self._runner.write(lambda each: _sqlite.create(each, statements)))

    def write(self, write: Write) -> Awaitable[None]:
        """Write durably, together with other writes of the event loop, and wake those who wait."""
        loop = asyncio.get_running_loop()
        commits = self._commits.get(loop)
        if commits is None:
            commits = self._commits[loop] = GroupCommit(self._commit)
        return commits.write(write)

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads."""
        return await self._guard(lambda: self._runner.read(work))

    async def fetch(self, query: Query, convert: Callable[[Sequence[Any]], T]) -> list[T]:
        """Return all the rows of a query, converted."""
        return await self.read(lambda each: [convert(row) for row in _sqlite.fetch(each, query)])

    async def fetch_value(self, query: Query) -> Any:
        """Return the first value of a query, or ``None`` if it finds no row."""
        rows = self.fetch_at_once(query)
        if rows is None:
            rows = await self.read(lambda each: _sqlite.fetch(each, query))
        return rows[0][0] if rows else None

    def fetch_at_once(self, query: Query) -> Sequence[Sequence[Any]] | None:
        """Return the rows of a small query, or ``None`` where a thread has to fetch them."""
        if not self._reads_in_loop:
            return None
        return self._runner.read_at_once(lambda each: _sqlite.fetch(each, query))

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Write together or, if that fails, one by one, so that none suffers from another."""
        wakeup = self.wakeup  # a thread that is at work keeps no more of this object alive
        try:
            return await self._guard(
                lambda: self._runner.write(lambda each: _commit_and_wake(each, writes, wakeup))
            )
        except Exception as error:  # noqa: BLE001 whoever wrote gets it
            if len(writes) == 1:
                return [error]
            if _sqlite.is_busy(error.__cause__):
                return [StorageError(str(error)) for _ in writes]
        return [outcome for each in writes for outcome in await self._commit([each])]

    async def _guard(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while the database is busy, and translate other errors of the backend."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._busy_timeout
        while True:
            try:
                return await attempt()
            except (sqlite3.Error, SQLAlchemyError) as error:
                if not _sqlite.is_busy(error) or loop.time() >= deadline:
                    raise _sqlite.translate(error) from error
            await asyncio.sleep(_BUSY_PAUSE)


def _commit_and_wake(
    connection: PoolProxiedConnection, writes: Sequence[Write], wakeup: Wakeup
) -> Sequence[Outcome]:
    try:
        outcomes = _sqlite.commit(connection, writes)
    except asyncio.CancelledError:  # an async driver may have committed all the same
        wakeup.wake()
        raise
    if None in outcomes:
        wakeup.wake()
    return outcomes
