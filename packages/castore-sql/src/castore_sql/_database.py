"""The database as an adapter uses it: it may be busy, and pushes share commits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import StorageError
from castore_sql import _sqlite, _user_transactions
from castore_sql._connection import Connection, Work
from castore_sql._errors import BACKEND_ERRORS, is_busy, translate
from castore_sql._group_commit import GroupCommit, NotYet, Outcome
from castore_sql._runner import get_runner
from castore_sql._statements import Query
from castore_sql._wakeup import Wakeup
from castore_sql._writes import Write

T = TypeVar("T")

_BUSY_PAUSE = 0.002  # seconds; longer ones are unfair to who waits


class _Push(NamedTuple):
    write: Write
    deadline: float  # of the event loop's clock, which began with the call


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
        self._engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        self._runner = get_runner(engine)
        self._busy_timeout = busy_timeout
        self._reads_in_loop = reads_in_loop
        self._commits: WeakKeyDictionary[asyncio.AbstractEventLoop, GroupCommit[_Push]]
        self._commits = WeakKeyDictionary()
        self.wakeup = self._runner.wakeup

    async def create(self, statements: Sequence[str]) -> None:
        """Create what is not there yet."""
        await _user_transactions.refuse_own_lock(self._engine)
        await self._guard(lambda: self._runner.write(lambda each: _sqlite.create(each, statements)))

    def write(self, write: Write) -> Awaitable[None]:
        """Write durably, together with other writes of the event loop, and wake those who wait."""
        if _user_transactions.are_any_open():
            return self._write_unless_locked_out(write)
        return self._write(write)

    async def _write_unless_locked_out(self, write: Write) -> None:
        await _user_transactions.refuse_own_lock(self._engine)
        await self._write(write)

    def _write(self, write: Write) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        commits = self._commits.get(loop)
        if commits is None:
            commits = self._commits[loop] = GroupCommit(self._commit)
        return commits.write(_Push(write, loop.time() + self._busy_timeout))

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads."""
        return await self._guard(lambda: self._runner.read(work))

    async def fetch(self, query: Query, convert: Callable[[Sequence[Any]], T]) -> list[T]:
        """Return all the rows of a query, converted."""
        return await self.read(lambda each: [convert(row) for row in _sqlite.fetch(each, query)])

    async def fetch_value(self, query: Query) -> Any:
        """Return the first value of a query, or ``None`` if it finds no row."""
        rows = self._read_at_once(lambda each: _sqlite.fetch(each, query))
        if rows is None:
            rows = await self.read(lambda each: _sqlite.fetch(each, query))
        return rows[0][0] if rows else None

    def fetch_at_once(self, query: Query) -> Sequence[Sequence[Any]] | None:
        """Return the rows of few and small events, or ``None`` where a thread has to fetch them."""
        return self._read_at_once(lambda each: _sqlite.fetch_small(each, query))

    def _read_at_once(self, work: Work[T]) -> T | None:
        return self._runner.read_at_once(work) if self._reads_in_loop else None

    async def _commit(self, pushes: Sequence[_Push]) -> Sequence[Outcome]:
        """Write together, or say what is to be done with each if that fails.

        The pushes come in the order of their deadlines, and wait for the first.
        """
        writes = [each.write for each in pushes]
        wakeup = self.wakeup  # a thread that is at work keeps no more of this object alive
        try:
            return await self._guard(
                lambda: self._runner.write(lambda each: _commit_and_wake(each, writes, wakeup)),
                pushes[0].deadline,
            )
        except Exception as error:  # noqa: BLE001 whoever wrote gets it
            if len(pushes) == 1:
                return [error]
            if is_busy(error.__cause__):
                return _fail_late(pushes, error)
        # One by one, so that none suffers from another.
        return [NotYet.ALONE] * len(pushes)

    async def _guard(self, attempt: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
        """Try again while the database is busy, and translate other errors of the backend."""
        loop = asyncio.get_running_loop()
        if deadline is None:
            deadline = loop.time() + self._busy_timeout
        while True:
            try:
                return await attempt()
            except BACKEND_ERRORS as error:
                if not is_busy(error) or loop.time() >= deadline:
                    raise translate(error, self._engine) from error
            await asyncio.sleep(_BUSY_PAUSE)


def _fail_late(pushes: Sequence[_Push], error: Exception) -> Sequence[Outcome]:
    """Fail the pushes whose time is over, and hand the others over again."""
    now = asyncio.get_running_loop().time()
    return [_copy(error) if each.deadline <= now else NotYet.TOGETHER for each in pushes]


def _copy(error: Exception) -> StorageError:
    copy = StorageError(str(error))
    copy.__cause__ = error.__cause__
    return copy


def _commit_and_wake(
    connection: Connection, writes: Sequence[Write], wakeup: Wakeup
) -> Sequence[Outcome]:
    outcomes = _sqlite.commit(connection, writes)
    if None in outcomes:
        wakeup.wake()
    return outcomes
