"""A process that forks others, which count the events of a log and say how far they are.

It is a program of its own, so that it imports everything once and starts a reader in no time. Its
argument is a JSON object: ``url`` and ``connect_args`` of an engine. It reads commands: ``start
KIND`` forks a reader, and ``wait`` waits until all of them have ended.

It writes lines of JSON, ``{"started": PID}`` and ``{"waited": true}``; those of the readers are
among them: ``READY``, ``lost`` and ``finished``. Each is one system call.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from castore_core import LOG_START, Lease, LeaseLostError, LogPosition
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from forked import serve, tell

BOOKMARK = "counter"
OF_A_BLOCK = 2
LEASE = timedelta(milliseconds=80)  # the next reader waits for it after a kill
LEASE_OF_ONE_THAT_STANDS = timedelta(milliseconds=400)
COUNT = text("UPDATE counted SET total = total + :number")


class Reader:
    """Counts events in a table of its own, and keeps its place in a bookmark."""

    def __init__(self, place: dict[str, Any]) -> None:
        is_async = "+aiosqlite" in place["url"] or "+asyncpg" in place["url"]
        create: Any = create_async_engine if is_async else create_engine
        engine = create(place["url"], connect_args=place["connect_args"])
        self.events = SQLEventStorageAdapter(engine)
        self.bookmarks: SQLBookmarkStorageAdapter[Connection | AsyncConnection]
        self.bookmarks = SQLBookmarkStorageAdapter(engine)
        self.owner = f"reader-{os.getpid()}"

    async def acquire(self, duration: timedelta = LEASE) -> Lease:
        """Take the lease, as soon as that of a reader that was killed has run out."""
        for _ in itertools.count():
            lease = await self.bookmarks.acquire_lease(BOOKMARK, self.owner, duration)
            if lease is not None:
                return lease
            await asyncio.sleep(0.005)
        raise AssertionError

    async def count(self, lease: Lease, position: LogPosition, number: int) -> None:
        """Count events in the transaction that moves the bookmark."""
        async with self.bookmarks.move_bookmark(lease, position) as connection:
            await self.add(connection, number)

    async def count_apart(self, lease: Lease, position: LogPosition, number: int) -> None:
        """Do what `count` does, but wrong: in a transaction before that of the bookmark."""
        before = (await self.bookmarks.get_bookmark(BOOKMARK)).position or LOG_START
        await self.count(lease, before, number)
        async with self.bookmarks.move_bookmark(lease, position):
            pass

    async def add(self, connection: Connection | AsyncConnection, number: int) -> None:
        """Change the read model."""
        if isinstance(connection, AsyncConnection):
            await connection.execute(COUNT, {"number": number})
        else:
            connection.execute(COUNT, {"number": number})

    async def read(
        self, count: Callable[[Lease, LogPosition, int], Awaitable[None]], *, to_the_end: bool
    ) -> None:
        """Count from the bookmark on, for as long as the lease holds."""
        lease = await self.acquire()
        position = (await self.bookmarks.get_bookmark(BOOKMARK)).position or LOG_START
        tell(READY=self.owner)
        while True:
            found = await self.events.read_events(after=position, limit=OF_A_BLOCK)
            if found.position == position and to_the_end:
                break
            await count(lease, found.position, len(found.entries))
            position = found.position
            await self.bookmarks.acquire_lease(BOOKMARK, self.owner, LEASE)
        await self.bookmarks.release_lease(lease)

    async def stand_still(self) -> None:
        """Count one event too many in a block, in which this process is stopped."""
        lease = await self.acquire(LEASE_OF_ONE_THAT_STANDS)
        async with self.bookmarks.move_bookmark(lease, "late") as connection:
            await self.add(connection, 1)
            tell(READY=self.owner)
            await asyncio.sleep(LEASE_OF_ONE_THAT_STANDS.total_seconds() / 2)


async def read(kind: str, place: dict[str, Any]) -> None:
    """Be a reader."""
    reader = Reader(place)
    count = reader.count_apart if kind == "apart" else reader.count
    while True:
        try:
            if kind == "standing":
                await reader.stand_still()
            else:
                await reader.read(count, to_the_end=kind == "finishing")
        except LeaseLostError:  # this process came to a stop for too long
            tell(lost=reader.owner)
            if kind == "standing":
                return
        else:
            tell(finished=reader.owner)
            return


if __name__ == "__main__":
    serve(read)
