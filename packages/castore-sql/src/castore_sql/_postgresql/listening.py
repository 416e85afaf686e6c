"""Notifications of PostgreSQL: a push wakes those who wait for it in other processes.

Transactions that notify commit one after the other. So a push notifies only where somebody listens:
a listener holds an advisory lock, which a push finds taken. Of several listeners one holds it. What
they miss all the same they find when they look again.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from castore_sql._postgresql.transactions import make_lock_of_listeners

_CHANNEL: Final = "castore"
_TRIES: Final = 20  # at the lock, which a push keeps until its commit
_PAUSE: Final = 0.005  # seconds between them


def make_key(table_name: str) -> int:
    """Return the key of the lock of those who listen to a table.

    Tables of one name in two schemas share it: their listeners wake too often.
    """
    return make_lock_of_listeners(crc32(table_name.encode()) >> 1)


def make_notification(table_name: str) -> str:
    """Return an expression that wakes those who listen to a table, if there are any."""
    key = make_key(table_name)
    return (
        f"CASE WHEN NOT pg_try_advisory_xact_lock_shared({key}) "
        f"THEN CAST(pg_notify('{_CHANNEL}', '{key}') AS TEXT) END"
    )


class AsyncpgListener:
    """A connection beside the pool, on which asyncpg hears of pushes.

    Args:
        engine: the user's, on asyncpg.
        table_name: the table to listen to.
        wake: is called at each push of another session.
    """

    def __init__(self, engine: AsyncEngine, table_name: str, wake: Callable[[], None]) -> None:
        self._engine = engine
        self._key = make_key(table_name)
        self._wake = wake
        self._connection: PoolProxiedConnection | None = None

    async def open(self) -> None:
        """Begin to listen."""
        # From a pool of its own: the engine's has room for those who work.
        pool = self._engine.sync_engine.pool.recreate()
        self._connection = await greenlet_spawn(pool.connect)
        driver: Any = self._connection.driver_connection
        await driver.add_listener(_CHANNEL, self._hear)
        for _ in range(_TRIES):
            if await driver.fetchval(f"SELECT pg_try_advisory_lock({self._key})"):
                return
            await asyncio.sleep(_PAUSE)

    def close(self) -> None:
        """End the connection at once, whatever it is at: it has nothing to lose."""
        if self._connection is not None:
            driver: Any = self._connection.driver_connection
            self._connection.detach()
            driver.terminate()
            self._connection = None

    def _hear(self, _connection: object, _pid: int, _channel: str, key: object) -> None:
        if key == str(self._key):
            self._wake()
