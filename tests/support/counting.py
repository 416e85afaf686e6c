"""A read model that counts events, and notes each, in the transaction that moves the bookmark."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from castore_core import Event, EventStore, Lease, LogPosition, ParkedEvent
from castore_projections import Projection, ProjectionContext
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter

ASYNC_DRIVERS = ("+aiosqlite", "+asyncpg")


class Counted(Event, type="COUNTED"):
    """One more of something."""

    payload: str


@dataclass(frozen=True)
class Counter:
    """How many there are."""

    aggregate_id: str
    version: int


def count(_: Counter | None, event: Counted) -> Counter:
    """Count one more."""
    return Counter(event.aggregate_id, event.version)


class Place(NamedTuple):
    """A database."""

    url: str
    connect_args: dict[str, Any]

    def create_engine(self, **options: Any) -> Engine | AsyncEngine:
        """Return an engine on it."""
        is_async = any(each in self.url for each in ASYNC_DRIVERS)
        create: Any = create_async_engine if is_async else create_engine
        engine: Engine | AsyncEngine = create(self.url, connect_args=self.connect_args, **options)
        return engine


class Note(NamedTuple):
    """An event that was handled, as the read model has it."""

    projection_version: int
    aggregate_id: str
    version: int
    is_replay: bool
    pid: int


class BookmarksApart(SQLBookmarkStorageAdapter[Any]):
    """Moves a bookmark in a transaction of its own, which is wrong."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[Any]:
        """Commit the block, and then move."""
        if isinstance(self._engine, AsyncEngine):
            async with self._engine.begin() as async_connection:
                yield async_connection
        else:
            with self._engine.begin() as connection:
                yield connection
        await asyncio.sleep(0.005)  # as where the bookmark is far away
        async with super().move_bookmark(lease, position, parked=parked, unparked=unparked):
            pass


class Counting:
    """A database with a log of events, and a read model that counts them."""

    def __init__(self, engine: Engine | AsyncEngine, *, is_apart: bool = False) -> None:
        self.engine = engine
        self.events = SQLEventStorageAdapter(engine)
        make = BookmarksApart if is_apart else SQLBookmarkStorageAdapter
        self.bookmarks: SQLBookmarkStorageAdapter[Any] = make(engine)
        self.store = EventStore(
            "COUNTERS", event_types=[Counted], reduce=count, storage_adapter=self.events
        )

    async def create_tables(self) -> None:
        """Create all tables."""
        await self.events.create_tables()
        await self.bookmarks.create_tables()
        key = "BIGSERIAL" if self.engine.dialect.name == "postgresql" else "INTEGER"
        await self.run("CREATE TABLE counts (id VARCHAR(100) PRIMARY KEY, number BIGINT)")
        await self.run(
            f"CREATE TABLE notes (id {key} PRIMARY KEY, projection_version INTEGER, "
            "aggregate_id VARCHAR(100), version INTEGER, is_replay INTEGER, pid INTEGER)"
        )

    def project(
        self,
        *,
        pid: int = 0,
        before: Callable[[Counted], Any] | None = None,
        after: Callable[[Counted], Any] | None = None,
        lease: float = 1.0,
        **options: Any,
    ) -> Projection[Any]:
        """Return a projection that counts."""
        options = {"batch_size": 10, "poll_interval": 0.05, **options}
        projection: Projection[Any] = Projection(
            "counts",
            event_stores=[self.store],
            bookmarks=self.bookmarks,
            lease_duration=timedelta(seconds=lease),
            **options,
        )

        @projection.on(Counted)
        async def note(event: Counted, context: ProjectionContext[Any]) -> None:
            if before is not None:
                await before(event)
            await self.note(context, event, pid)
            if after is not None:
                await after(event)

        return projection

    async def note(self, context: ProjectionContext[Any], event: Counted, pid: int) -> None:
        """Count an event, and note it."""
        await run(
            context.transaction,
            "INSERT INTO counts VALUES (:id, 1) "
            "ON CONFLICT (id) DO UPDATE SET number = counts.number + 1",
            id=f"{context.version} {event.aggregate_id}",
        )
        await run(
            context.transaction,
            "INSERT INTO notes (projection_version, aggregate_id, version, is_replay, pid) "
            "VALUES (:projection_version, :aggregate_id, :version, :is_replay, :pid)",
            projection_version=context.version,
            aggregate_id=event.aggregate_id,
            version=event.version,
            is_replay=int(context.is_replay),
            pid=pid,
        )

    async def push(self, aggregate_id: str, number: int = 1, payload: str = "") -> None:
        """Push events to an aggregate."""
        last = await self.store.get_events(aggregate_id, reverse=True, limit=1)
        first = last[0].version + 1 if last else 1
        for version in range(first, first + number):
            await self.store.push_event(Counted(aggregate_id, version, payload=payload))

    async def read_notes(self) -> list[Note]:
        """Return what was handled, in order."""
        rows = await self.run(
            "SELECT projection_version, aggregate_id, version, is_replay, pid FROM notes "
            "ORDER BY id"
        )
        return [Note(row[0], row[1], row[2], bool(row[3]), row[4]) for row in rows]

    async def read_counts(self, projection_version: int = 1) -> dict[str, int]:
        """Return how many events of each aggregate were counted."""
        rows = await self.run("SELECT id, number FROM counts")
        prefix = f"{projection_version} "
        return {key.removeprefix(prefix): n for key, n in rows if key.startswith(prefix)}

    async def read_events(self) -> dict[str, int]:
        """Return how many events each aggregate has."""
        rows = await self.run("SELECT aggregate_id, COUNT(*) FROM event GROUP BY aggregate_id")
        return {str(key): int(number) for key, number in rows}

    async def find_faults(self, projection_version: int = 1) -> list[str]:
        """Return what is wrong with the read model, once all events were handled."""
        events, counts = await self.read_events(), await self.read_counts(projection_version)
        faults = [
            f"{key}: {counts.get(key, 0)} of {events.get(key, 0)}"
            for key in events | counts
            if events.get(key) != counts.get(key)
        ]
        versions: defaultdict[str, list[int]] = defaultdict(list)
        for each in await self.read_notes():
            if each.projection_version == projection_version:
                versions[each.aggregate_id].append(each.version)
        faults += [
            f"order of {key}: {found}"
            for key, found in versions.items()
            if found != [*range(1, len(found) + 1)]
        ]
        return faults

    async def run(self, sql: str, **values: Any) -> Sequence[Any]:
        """Execute a statement in a transaction of its own."""
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.begin() as connection:
                return await run(connection, sql, **values)
        with self.engine.begin() as connection:
            return await run(connection, sql, **values)

    async def dispose(self) -> None:
        """Close the connections."""
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()
        else:
            self.engine.dispose()


async def run(connection: Connection | AsyncConnection, sql: str, **values: Any) -> Sequence[Any]:
    """Execute a statement, and return its rows."""
    if isinstance(connection, AsyncConnection):
        result = await connection.execute(text(sql), values)
    else:
        result = connection.execute(text(sql), values)
        await asyncio.sleep(0)
    return result.all() if result.returns_rows else ()
