"""The database as an adapter uses it: it may be busy or gone, and pushes share commits."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from castore_core import (
    CastoreError,
    EventAlreadyExistsError,
    StorageError,
    UnknownOutcomeError,
    find_calling_thread,
)
from castore_sql._connection import Connection, Work
from castore_sql._dialect import Dialect
from castore_sql._errors import LostConnectionError, OutOfTimeError
from castore_sql._group_commit import GroupCommit, NotYet, Outcome
from castore_sql._queries import Query, Row, fetch, fetch_small
from castore_sql._runner import Runner
from castore_sql._wakeup import Wakeup
from castore_sql._writes import Insert, Write

T = TypeVar("T")

_BUSY_PAUSE = 0.002  # seconds; longer ones are unfair to those that wait
_LOST_PAUSE = 0.05  # seconds; a server that starts takes some
_LEAST_TIME = 1.0  # seconds for an attempt, however late it is


class Database(Protocol):
    """Reads and writes, and translates the errors of the driver."""

    wakeup: Wakeup

    def write(self, write: Write) -> Awaitable[None]:
        """Write all the steps of a push, or none."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads."""
        ...

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work that reads a little, where the caller's thread may do so and waits for none."""
        ...

    async def define(self, work: Work[None]) -> None:
        """Run work that creates or alters tables."""
        ...


async def fetch_all(database: Database, query: Query, convert: Callable[[Row], T]) -> list[T]:
    """Return all the rows of a query, converted."""
    return await database.read(lambda each: [convert(row) for row in fetch(each, query)])


def fetch_few(database: Database, query: Query) -> Sequence[Row] | None:
    """Return the rows of few and small events, or ``None`` where `fetch_all` has to."""
    return database.read_at_once(lambda each: fetch_small(each, query))


async def read_briefly(database: Database, work: Work[T]) -> T:
    """Run work that reads a little, at once where that is possible."""
    answer = database.read_at_once(lambda each: (work(each),))
    return await database.read(work) if answer is None else answer[0]


def get_runner(engine: Engine | AsyncEngine, dialect: Dialect) -> Runner:
    """Return the runner of an engine, which all adapters on it share."""
    key = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    with _runners_lock:
        runner = _runners.get(key)
        if runner is None:
            runner = _runners[key] = dialect.make_runner(engine)
        return runner


_runners: WeakValueDictionary[Engine, Runner] = WeakValueDictionary()
_runners_lock = Lock()


class _Push:
    """A write on its way: until when to try, and the error that left open whether it is stored."""

    def __init__(self, write: Write, deadline: float) -> None:
        self.write = write
        self.deadline = deadline  # of the event loop's clock, which began with the call
        self.lost: BaseException | None = None
        self.may_come = False  # what an earlier attempt has sent may still be written

    def lose(self, error: BaseException, *, may_come: bool) -> None:
        """Note that an attempt has ended without an answer."""
        self.lost = error
        self.may_come = self.may_come or may_come

    def is_late(self) -> bool:
        """Tell whether its time is over."""
        return self.deadline <= asyncio.get_running_loop().time()

    def to_unknown_outcome(self) -> UnknownOutcomeError:
        """Return the error of a push that may be stored, or not."""
        step = next((each for each in self.write if isinstance(each, Insert)), self.write[0])
        error = UnknownOutcomeError(*step.key)
        error.__cause__ = self.lost
        return error


class EngineDatabase:
    """A database through the user's engine, in transactions of the adapter's own.

    Args:
        engine: the user's.
        dialect: that of the engine.
        timeout: for how many seconds to try again while others are in the way, or until it is
            known what became of a push whose connection was lost; and for how many seconds to wait
            for a server.
        reads_in_loop: small reads may run in the thread of the event loop.
        commits_in_loop: so do commits.

    Raises:
        ValueError: commits cannot run there.
    """

    def __init__(
        self,
        engine: Engine | AsyncEngine,
        dialect: Dialect,
        *,
        timeout: float,
        reads_in_loop: bool,
        commits_in_loop: bool = False,
    ) -> None:
        self._engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        self._dialect = dialect
        self._runner = get_runner(engine, dialect)
        if commits_in_loop and not self._runner.can_commit_in_loop:
            raise ValueError("commits_in_loop is for a synchronous engine of SQLite")
        self._commits_in_loop = commits_in_loop
        self._errors = dialect.get_errors(self._engine)
        self._timeout = timeout
        self._reads_in_loop = reads_in_loop
        self._commits: WeakKeyDictionary[asyncio.AbstractEventLoop, GroupCommit[_Push]]
        self._commits = WeakKeyDictionary()
        self.wakeup = self._runner.wakeup

    async def define(self, work: Work[None]) -> None:
        """Run work that creates or alters tables, and leaves alone what is there.

        It is repeated on another connection where one is lost. It may take long: it has no limit of
        time once it has begun.
        """
        await self._check_before_write()
        await self._repeat(lambda each, _: self._runner.write(each), work)

    def write(self, write: Write) -> Awaitable[None]:
        """Write durably, together with other writes of the event loop, and wake those who wait."""
        if (check := self._runner.check_before_write()) is not None:
            return self._write_after(check, write)
        return self._write(write)

    async def _write_after(self, check: Awaitable[None], write: Write) -> None:
        await check
        await self._write(write)

    def _write(self, write: Write) -> Awaitable[None]:
        loop = asyncio.get_running_loop()
        commits = self._commits.get(loop)
        if commits is None:
            commits = self._commits[loop] = GroupCommit(self._commit)
        return commits.write(_Push(write, self._get_deadline()))

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads, again on another connection where one is lost."""
        return await self._repeat(self._runner.read, work)

    async def transact(self, work: Work[T]) -> T:
        """Run work that writes, again on another connection where one is lost.

        It has to come to the same where it is done twice.
        """
        await self._check_before_write()
        return await self._repeat(self._runner.write, work)

    async def begin(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Begin a transaction that goes on, as soon as the database is not busy."""
        await self._check_before_write()
        return await self._keep_trying(attempt, self._get_deadline())

    async def end(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """End a transaction. There is one attempt at it."""
        return await self._keep_trying(attempt, -math.inf)

    def read_at_once(self, work: Work[T]) -> T | None:
        """Run work that reads a little in this thread, if the runner does so."""
        return self._runner.read_at_once(work) if self._reads_in_loop else None

    async def _check_before_write(self) -> None:
        if (check := self._runner.check_before_write()) is not None:
            await check

    async def _repeat(
        self, run: Callable[[Work[T], float | None], Awaitable[T]], work: Work[T]
    ) -> T:
        deadline = self._get_deadline()
        while True:
            try:
                return await self._keep_trying(lambda: run(work, _get_end(deadline)), deadline)
            except OutOfTimeError as error:
                raise self._to_error(error, "") from error
            except LostConnectionError as lost:
                if deadline <= asyncio.get_running_loop().time():
                    raise StorageError(str(lost.__cause__)) from lost.__cause__
            await asyncio.sleep(_LOST_PAUSE)

    async def _commit(self, pushes: Sequence[_Push]) -> Sequence[Outcome]:
        """Write together, or say what is to be done with each if that fails.

        The pushes come in the order of their deadlines, and wait for the first.
        """
        if len(pushes) == 1:
            return [await self._commit_alone(pushes[0])]
        try:
            return await self._try(pushes)
        except StorageError as error:
            if self._dialect.is_busy(error.__cause__):
                return [_copy(error) if each.is_late() else NotYet.TOGETHER for each in pushes]
        except Exception as error:  # noqa: BLE001 a driver may raise what it does not declare
            _lose(pushes, error)
        # One by one, so that none suffers from another.
        return [NotYet.ALONE] * len(pushes)

    async def _commit_alone(self, push: _Push) -> Outcome:
        """Write, and after a lost connection find out what became of it."""
        while True:
            try:
                (outcome,) = await self._try([push])
            except LostConnectionError as lost:
                push.lose(lost.__cause__ or lost, may_come=True)
            except OutOfTimeError as error:
                return await self._end(push, error)
            except Exception as error:  # noqa: BLE001 it is the outcome of the push
                if push.lost is None:
                    return error
            else:
                return outcome
            if push.is_late():
                return push.to_unknown_outcome()
            await asyncio.sleep(_LOST_PAUSE)

    async def _end(self, push: _Push, error: OutOfTimeError) -> Outcome:
        """Find out what became of a push whose time is over."""
        if not error.has_begun and push.lost is None:
            return self._to_error(error, ", and nothing was written")
        push.lose(error, may_come=error.has_begun and not error.has_stopped)
        refusal = self._to_error(error, ", and nothing was written")
        refusal.__cause__ = error
        dialect = self._dialect
        with suppress(Exception):  # then it stays unknown
            outcome = await self._runner.read(
                lambda each: dialect.find_outcome(each, push.write, refusal), _get_end(-math.inf)
            )
            if outcome is None:
                self.wakeup.wake()
            if outcome is not refusal or not push.may_come:
                return outcome
        return push.to_unknown_outcome()

    def _to_error(self, error: OutOfTimeError, consequence: str) -> StorageError:
        if not error.has_begun:
            return StorageError(
                f"no connection became free, or could be opened, in {self._timeout:g} "
                f"seconds{consequence}"
            )
        return StorageError(
            f"the server did not answer in {self._timeout:g} seconds{consequence}: it is slow, or "
            "waits for a transaction that has not ended; inside one of yours, use "
            "adapter.within(connection)"
        )

    async def _try(self, pushes: Sequence[_Push]) -> Sequence[Outcome]:
        writes = [each.write for each in pushes]
        is_repeated = any(each.lost is not None for each in pushes)
        dialect, wakeup = self._dialect, self.wakeup  # a thread at work keeps no more alive

        def work(connection: Connection) -> Sequence[Outcome]:
            outcomes = dialect.commit(connection, writes, is_repeated)
            if None in outcomes:
                wakeup.wake()
            return outcomes

        if self._may_commit_here() and (outcomes := self._runner.write_at_once(work)) is not None:
            return outcomes
        deadline = pushes[0].deadline
        return await self._keep_trying(
            lambda: self._runner.write(work, _get_end(deadline)), deadline
        )

    def _may_commit_here(self) -> bool:
        """Tell whether the thread of the event loop may stand still while the disk writes.

        Under a façade nobody else is held up, as long as one thread calls. Several threads do
        better in sharing a commit.
        """
        if self._commits_in_loop:
            return True
        caller = find_calling_thread()
        return caller is not None and caller.is_alone

    async def _keep_trying(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Try again while the database is busy, and translate other errors of the driver."""
        while True:
            try:
                return await attempt()
            except self._errors as error:
                is_late = deadline <= asyncio.get_running_loop().time()
                if is_late or not self._dialect.is_busy(error):
                    raise self._dialect.translate(error, self._engine) from error
            await asyncio.sleep(_BUSY_PAUSE)

    def _get_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout


class InnerDatabase:
    """A database through a connection of the user's, inside its transaction."""

    def __init__(
        self, connection: SQLAlchemyConnection | AsyncConnection, dialect: Dialect
    ) -> None:
        engine = connection.engine
        self._engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        self._dialect = dialect
        self._errors = dialect.get_errors(self._engine)
        self._runner = dialect.make_inner_runner(connection)
        self.wakeup = self._runner.wakeup

    async def define(self, work: Work[None]) -> None:  # noqa: ARG002 the protocol names it
        """Refuse: the transactions that create or alter tables are the adapter's own."""
        raise StorageError(
            "tables are not created or upgraded inside a transaction of yours: call it on the "
            "adapter, not on that of adapter.within(connection)"
        )

    async def write(self, write: Write) -> None:
        """Write inside the transaction."""
        error = await self._run(self._runner.write(lambda each: self._write_inside(each, write)))
        if error is not None:
            raise error

    def _write_inside(self, connection: Connection, write: Write) -> CastoreError | None:
        error = self._dialect.write_inside(connection, write)
        if isinstance(error, EventAlreadyExistsError) and self._dialect.keeps_snapshot(connection):
            error.retryable = False  # a command would meet the same again
        return error

    async def read(self, work: Work[T]) -> T:
        """Read inside the transaction."""
        return await self._run(self._runner.read(work))

    def read_at_once(self, work: Work[T]) -> T | None:
        """Leave it to `read`."""
        return self._runner.read_at_once(work)

    async def _run(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except self._errors as error:
            raise self._dialect.translate(error, self._engine) from error


def _get_end(deadline: float) -> float:
    """Return until when an attempt that begins now may last."""
    return max(deadline, asyncio.get_running_loop().time() + _LEAST_TIME)


def _lose(pushes: Sequence[_Push], error: Exception) -> None:
    """Note that an attempt has ended without an answer, unless nothing was written."""
    may_come = True
    if isinstance(error, OutOfTimeError):
        if not error.has_begun:
            return
        may_come = not error.has_stopped
    elif isinstance(error, CastoreError):  # one of them cannot be written
        return
    for each in pushes:
        each.lose(error.__cause__ or error, may_come=may_come)


def _copy(error: StorageError) -> StorageError:
    copy = StorageError(str(error))
    copy.__cause__ = error.__cause__
    return copy
