"""Work on connections of the user's pool, to a server."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy import Pool as SQLAlchemyPool
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from castore_sql._alarm import Alarm, AlarmError
from castore_sql._completion import MAY_LOSE_CONNECTIONS, complete
from castore_sql._connection import Work
from castore_sql._errors import LostConnectionError, OutOfTimeError
from castore_sql._threads import Threads
from castore_sql._wakeup import Wakeup

T = TypeVar("T")

_READERS = 4
_INTERRUPTION = 1.0  # seconds for a server to end a statement
_END = 2.5  # seconds until a thread is left alone whose server does not answer


class ServerHooks(NamedTuple):
    """The parts of lending a connection that differ between servers.

    Args:
        prepare: sets a connection that was just taken, such as its isolation level.
        restore: sets it as it was, before the pool gets it back.
        is_lost: tells of an error of the server that it ends the connection.
        interrupt: ends the statement that a connection waits for in another thread.
        sever: makes a thread end that waits for a server which does not answer.
        stop: ends what a connection was at when its driver was cancelled, and tells whether
            nothing of it can be written any more.
    """

    prepare: Callable[[Engine, PoolProxiedConnection], None]
    restore: Callable[[Engine, PoolProxiedConnection], None]
    is_lost: Callable[[Exception], bool]
    interrupt: Callable[[Engine, PoolProxiedConnection], None]
    sever: Callable[[PoolProxiedConnection], None]
    stop: Callable[[Engine, PoolProxiedConnection], bool]


class _Attempt(Generic[T]):
    """One run of work, and what became of it where it was ended before its time."""

    def __init__(self) -> None:
        self.alarm: Alarm | None = None
        self.has_begun = False
        self.has_stopped = True
        self.is_given_up = False
        self.results: list[T] = []
        self.lock = Lock()
        self.connection: PoolProxiedConnection | None = None
        self.has_ended = Event()

    def begin(self, connection: PoolProxiedConnection) -> None:
        """Note the connection, unless nobody waits any more."""
        with self.lock:
            if self.is_given_up:
                raise self.to_error()
            self.has_begun = True
            self.connection = connection

    def end(self) -> bool:
        """Forget the connection, and tell whether another thread may have interrupted it."""
        with self.lock:
            self.connection = None
            self.has_ended.set()
            return self.is_given_up

    def give_up(self) -> bool:
        """Let it not begin any more, and tell whether it has begun."""
        with self.lock:
            self.is_given_up = True
            return self.has_begun

    def to_error(self) -> OutOfTimeError:
        """Return the error of work whose time is over."""
        return OutOfTimeError(has_begun=self.has_begun, has_stopped=self.has_stopped)


class Pool:
    """Lends the connections of an engine to work, one at a time.

    Args:
        engine: the user's.
        server: what is known of it.
    """

    def __init__(self, engine: Engine, server: ServerHooks) -> None:
        self.engine = engine
        self._server = server

    def run(self, work: Work[T], attempt: _Attempt[T]) -> T:
        """Run work on a connection.

        Raises:
            LostConnectionError: the connection broke meanwhile. It is not used again.
            OutOfTimeError: another thread has interrupted it.
        """
        pool = self.engine.pool
        connection = self._take(attempt)
        try:
            self._server.prepare(self.engine, connection)
            attempt.results.append(work(connection))
            self._server.restore(self.engine, connection)
        except Exception as error:
            is_interrupted = attempt.end()
            is_lost = self._is_lost(connection, error)
            if is_lost or is_interrupted:
                _discard(connection, error)
            else:
                self._give_up(connection, pool)
            if is_interrupted:
                attempt.has_stopped = not is_lost
                raise attempt.to_error() from error
            if is_lost:
                raise LostConnectionError from error
            raise
        except BaseException as error:
            attempt.end()
            self._cancel(connection, attempt, error)
            raise
        if attempt.end():
            _discard(connection)  # the interruption may be on its way
        else:
            self._give_back(connection, pool)
        return attempt.results[0]

    def _take(self, attempt: _Attempt[T]) -> PoolProxiedConnection:
        if not MAY_LOSE_CONNECTIONS:
            return self._open(attempt)
        try:
            return complete(lambda: self._open(attempt))
        except asyncio.CancelledError:
            if attempt.give_up() and attempt.connection is not None:
                _discard(attempt.connection)
            raise

    def _open(self, attempt: _Attempt[T]) -> PoolProxiedConnection:
        if attempt.is_given_up:
            raise attempt.to_error()
        pool = self.engine.pool
        connection = self.engine.raw_connection()
        try:
            attempt.begin(connection)
        except OutOfTimeError:
            self._give_back(connection, pool)
            raise
        return connection

    def interrupt(self, attempt: _Attempt[T]) -> None:
        """End the statement that a thread waits for, or its connection."""
        with attempt.lock, suppress(Exception):  # it waits on, as it would have
            if attempt.connection is not None:
                self._server.interrupt(self.engine, attempt.connection)
        if not attempt.has_ended.wait(_INTERRUPTION):
            with attempt.lock, suppress(Exception):  # it waits on, as it would have
                if attempt.connection is not None:
                    self._server.sever(attempt.connection)

    def _cancel(
        self, connection: PoolProxiedConnection, attempt: _Attempt[T], error: BaseException
    ) -> None:
        """End what the server is at, and the connection."""
        attempt.has_stopped = False
        if isinstance(error, asyncio.CancelledError):
            if attempt.alarm is not None:
                attempt.alarm.hurry()
            with suppress(Exception, asyncio.CancelledError):  # the first is the one to tell
                attempt.has_stopped = self._server.stop(self.engine, connection)
        _discard(connection, error)

    def _give_up(self, connection: PoolProxiedConnection, pool: SQLAlchemyPool) -> None:
        try:
            self._server.restore(self.engine, connection)
        except Exception as error:  # noqa: BLE001 the error of the work is the one to tell
            _discard(connection, error)
        except BaseException as error:
            _discard(connection, error)
            raise
        else:
            self._give_back(connection, pool)

    def _give_back(self, connection: PoolProxiedConnection, pool: SQLAlchemyPool) -> None:
        if self.engine.pool is not pool:  # disposed of meanwhile: nobody would close it
            connection.detach()
        try:
            connection.close()
        except BaseException as error:
            _discard(connection, error)
            raise

    def _is_lost(self, connection: PoolProxiedConnection, error: Exception) -> bool:
        """Tell whether the connection broke, or its answer did not come in time."""
        if isinstance(error, (OSError, EOFError)):  # also the timeout of a driver
            return True
        driver = self.engine.dialect
        return self._server.is_lost(error) or (
            isinstance(error, driver.loaded_dbapi.Error)
            and driver.is_disconnect(error, connection.dbapi_connection, None)
        )


def _discard(connection: PoolProxiedConnection, error: BaseException | None = None) -> None:
    """Close a connection, and give its place in the pool back, unless SQLAlchemy has."""
    if connection.is_valid:
        complete(lambda: connection.invalidate(error))


class PoolThreadRunner:
    """Runs work on an engine in threads: one that writes, and a few that read.

    Work that is cancelled, or whose time is over, is interrupted on the server. A thread that is
    stuck all the same is replaced.
    """

    def __init__(self, pool: Pool) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = False
        self._pool = pool
        self._writer = _make_writer()
        self._readers = _make_readers()

    def check_before_write(self) -> None:
        """Let all through: the server has room for several transactions at a time."""

    async def write(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work in the writing thread."""
        try:
            return await self._run(self._writer, work, until)
        except _StuckThreadError as stuck:
            self._writer = _make_writer()
            raise stuck.error from None

    async def read(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work in a reading thread."""
        try:
            return await self._run(self._readers, work, until)
        except _StuckThreadError as stuck:
            self._readers = _make_readers()
            raise stuck.error from None

    def write_at_once(self, work: Work[T]) -> None:
        """Leave it to `write`, which waits for the server."""

    def read_at_once(self, work: Work[T]) -> T | None:
        """Leave it to `read`, which waits for the server in a thread."""

    async def _run(self, threads: Threads, work: Work[T], until: float | None) -> T:
        attempt: _Attempt[T] = _Attempt()
        future = threads.run(self._pool.run, work, attempt)
        limit = _Limit(self._pool, attempt, future, until)
        try:
            return await future
        except asyncio.CancelledError:
            limit.interrupt()
            raise
        finally:
            limit.end()


class _StuckThreadError(Exception):
    """A thread waits for a server that does not answer."""

    def __init__(self, error: OutOfTimeError) -> None:
        self.error = error
        super().__init__(str(error))


class _Limit(Generic[T]):
    """Ends an attempt in a thread when its time is over."""

    def __init__(
        self, pool: Pool, attempt: _Attempt[T], future: asyncio.Future[T], until: float | None
    ) -> None:
        self._pool = pool
        self._attempt = attempt
        self._future = future
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        if until is not None:
            self._handle = self._loop.call_at(until, self._ring)

    def interrupt(self) -> bool:
        """Interrupt the attempt, and tell whether it had begun."""
        has_begun = self._attempt.give_up()
        if has_begun and not self._attempt.has_ended.is_set():
            run = self._pool.interrupt
            Thread(
                target=run, args=(self._attempt,), name="castore-sql-interrupter", daemon=True
            ).start()
        return has_begun

    def end(self) -> None:
        """Let the attempt have its time."""
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        if self.interrupt():
            self._handle = self._loop.call_later(_END, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        if not self._future.done():
            error = OutOfTimeError(
                has_begun=self._attempt.has_begun, has_stopped=not self._attempt.has_begun
            )
            self._future.set_exception(_StuckThreadError(error))


def _make_writer() -> Threads:
    return Threads(1, "castore-sql-writer")


def _make_readers() -> Threads:
    return Threads(_READERS, "castore-sql-reader")


class PoolLoopRunner:
    """Runs work on an async engine, in greenlets of the event loop."""

    def __init__(self, pool: Pool) -> None:
        self.wakeup = Wakeup()
        self.can_commit_in_loop = False
        self._pool = pool

    def check_before_write(self) -> None:
        """Let all through: the server has room for several transactions at a time."""

    async def write(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work on a connection of the pool."""
        attempt: _Attempt[T] = _Attempt()
        try:
            with Alarm(until) as alarm:
                attempt.alarm = alarm
                return await greenlet_spawn(self._pool.run, work, attempt)
        except AlarmError as error:
            if attempt.results:  # only the return of the connection was in the way
                return attempt.results[0]
            raise attempt.to_error() from error
        finally:
            attempt.alarm = None  # it refers to the task

    async def read(self, work: Work[T], until: float | None = None, /) -> T:
        """Run work on a connection of the pool."""
        return await self.write(work, until)

    def write_at_once(self, work: Work[T]) -> None:
        """Leave it to `write`, which waits for the server."""

    def read_at_once(self, work: Work[T]) -> T | None:
        """Leave it to `read`, which awaits the server."""


def make_pool_runner(
    engine: Engine | AsyncEngine, server: ServerHooks
) -> PoolThreadRunner | PoolLoopRunner:
    """Return the runner for the kind of an engine."""
    if isinstance(engine, AsyncEngine):
        return PoolLoopRunner(Pool(engine.sync_engine, server))
    return PoolThreadRunner(Pool(engine, server))
