"""Connections that are kept open between works, beside the pool of the user's engine."""

import os
import sqlite3
from threading import Lock
from typing import TypeAlias, TypeVar, cast

from sqlalchemy import Engine, NullPool, PoolProxiedConnection

from castore_sql._connection import Work
from castore_sql._sqlite.transactions import prepare

T = TypeVar("T")

_Connections: TypeAlias = list[PoolProxiedConnection]


class HeldConnections:
    """Connections to the database of an engine, that nobody else uses.

    They are opened as the engine's pool opens its own, and do not count against its size. There
    are as many as there were works at a time. With a `NullPool` none is kept.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._start_anew()

    def _start_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = Lock()
        self._idle: _Connections = []

    def __del__(self) -> None:
        self.dispose()

    def run(self, work: Work[T]) -> T:
        """Run work on a connection that is idle, or on a new one."""
        connection, home = self._take()
        if connection is None:
            connection = self._open()
        try:
            return work(connection)
        finally:
            self._give_back(connection, home)

    def run_if_idle(self, work: Work[T]) -> T | None:
        """Run work if a connection is idle, for callers that cannot wait for a new connection."""
        connection, home = self._take()
        if connection is None:
            return None
        try:
            return work(connection)
        finally:
            self._give_back(connection, home)

    def dispose(self) -> None:
        """Close what is idle now, and what works as soon as it is done."""
        self._leave_parent()
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            _close(each)

    def _take(self) -> tuple[PoolProxiedConnection | None, _Connections]:
        self._leave_parent()
        with self._lock:
            return (self._idle.pop() if self._idle else None), self._idle

    def _give_back(self, connection: PoolProxiedConnection, home: _Connections) -> None:
        if _is_in_transaction(connection):
            connection.invalidate()  # closes it, without a rollback that has failed before
            return
        with self._lock:
            if home is self._idle and not isinstance(self._engine.pool, NullPool):
                home.append(connection)
                return
        _close(connection)

    def _open(self) -> PoolProxiedConnection:
        # From a pool of its own, because the engine's may wait for its user.
        connection = self._engine.pool.recreate().connect()
        try:
            prepare(connection)
        except BaseException:
            _close(connection)
            raise
        return connection

    def _leave_parent(self) -> None:
        """Forget, in a process that was forked, what the parent has open, and never close it."""
        if os.getpid() != self._pid:
            _of_parents.append(self._idle)
            self._start_anew()


def _is_in_transaction(connection: PoolProxiedConnection) -> bool:
    """Tell whether work failed to end its transaction, which others would read as if committed."""
    return cast("sqlite3.Connection", connection.driver_connection).in_transaction


def _close(connection: PoolProxiedConnection) -> None:
    connection.detach()  # or else its pool would keep it
    connection.close()


_of_parents: list[_Connections] = []
