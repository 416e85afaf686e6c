"""The library eventsourcing, on SQLite, on PostgreSQL and in memory ("plain old Python")."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.postgres import PostgresApplicationRecorder
from eventsourcing.sqlite import SQLiteApplicationRecorder
from eventsourcing.utils import get_topic

from postgres_server import Schema
from workload import ItemPayload, make_payload

BATCH = 500
THREADS = 4


class Order(Aggregate):
    """An order: mutable, as the library's documentation has it."""

    items: int = 0
    total: int = 0
    last_sku: str = ""

    class Placed(Aggregate.Created):
        """The order began, with its first item."""

        payload: ItemPayload

        def apply(self, aggregate: "Order") -> None:
            """Count the first item."""
            aggregate.count(self.payload)

    class ItemAdded(Aggregate.Event):
        """An item was added."""

        payload: ItemPayload

        def apply(self, aggregate: "Order") -> None:
            """Count the item."""
            aggregate.count(self.payload)

    def count(self, payload: ItemPayload) -> None:
        """Take an item into account."""
        self.items += 1
        self.total += payload["quantity"] * payload["price"]["amount"]
        self.last_sku = payload["sku"]


TOPIC = get_topic(Order)


def make_event(aggregate_id: UUID, version: int, payload: ItemPayload) -> Any:
    """Return the event of a version."""
    # The library's metaclass makes them dataclasses, which type checkers do not see.
    placed, item_added = cast("Any", Order.Placed), cast("Any", Order.ItemAdded)
    values = {
        "originator_id": aggregate_id,
        "originator_version": version,
        "timestamp": Order.Event.create_timestamp(),
        "payload": payload,
    }
    return placed(originator_topic=TOPIC, **values) if version == 1 else item_added(**values)


class _EventSourcing:
    """An application, with the shortest ways that it has: its event store, repository and log."""

    _application: Application[UUID]

    async def close(self) -> None:
        """Close the application."""
        self._application.close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Put one event into the event store."""
        self._put(aggregate_id, version, payload)

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Put many events at once."""
        events = [
            make_event(UUID(aggregate_id), version, make_payload(version))
            for aggregate_id, last in versions.items()
            for version in range(1, last + 1)
        ]
        for start in range(0, len(events), BATCH):
            self._application.events.put(events[start : start + BATCH])

    async def load(self, aggregate_id: str) -> int:
        """Get the aggregate from the repository."""
        order: Order = self._application.repository.get(UUID(aggregate_id))
        return order.version

    async def scan(self, batch: int) -> int:
        """Select notifications, and map each to its event."""
        position = count = 0
        recorder, mapper = self._application.recorder, self._application.mapper
        while found := recorder.select_notifications(position + 1, batch):
            events = [mapper.to_domain_event(each) for each in found]
            position, count = found[-1].id, count + len(events)
        return count

    def _put(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        self._application.events.put([make_event(UUID(aggregate_id), version, payload)])


class EventSourcingInMemory(_EventSourcing):
    """The default recorder."""

    name = "eventsourcing in memory"

    async def open(self, path: Path) -> None:  # noqa: ARG002 there is no file
        """Make an application with its defaults."""
        self._application = Application()


class EventSourcing(_EventSourcing):
    """The SQLite recorder, which sets WAL and leaves ``synchronous`` as SQLite has it: FULL."""

    name = "eventsourcing"

    async def open(self, path: Path) -> None:
        """Create the table."""
        self._application = Application(
            {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
        )

    async def read_pragma(self, name: str) -> object:
        """Ask a connection of the recorder's pool."""
        recorder = self._application.recorder
        assert isinstance(recorder, SQLiteApplicationRecorder)
        with recorder.datastore.transaction(commit=False) as cursor:
            cursor.execute(f"PRAGMA {name}")
            return cursor.fetchone()[0]


class EventSourcingPostgres(_EventSourcing):
    """The PostgreSQL recorder, which locks its table while it inserts.

    Args:
        functions: insert by a function in the database.
        threads: push from so many threads, where it is not 0.
    """

    def __init__(self, *, functions: bool = False, threads: int = 0) -> None:
        suffix = (", functions" if functions else "") + (", threads" if threads else "")
        self.name = f"eventsourcing{suffix}"
        self._functions = functions
        self._threads = ThreadPoolExecutor(threads) if threads else None

    async def open(self, schema: Schema) -> None:
        """Create the table."""
        url = schema.get_url("psycopg")
        self._environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_HOST": url.host or "",
            "POSTGRES_PORT": str(url.port or 5432),
            "POSTGRES_DBNAME": url.database or "",
            "POSTGRES_USER": url.username or "",
            "POSTGRES_PASSWORD": url.password or "",
            "POSTGRES_SCHEMA": schema.name,
            "POSTGRES_ENABLE_DB_FUNCTIONS": "yes" if self._functions else "no",
        }
        self._application = Application(self._environment)

    async def close(self) -> None:
        """End the threads, and close the application."""
        if self._threads is not None:
            self._threads.shutdown()
        await super().close()

    async def show(self, setting: str) -> object:
        """Ask a connection of the recorder's pool."""
        recorder = self._application.recorder
        assert isinstance(recorder, PostgresApplicationRecorder)
        with recorder.datastore.get_connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting(%s) AS value", (setting,))
            row = cursor.fetchone()
            assert row is not None
            return row["value"]

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Put one event into the event store."""
        if self._threads is None:
            self._put(aggregate_id, version, payload)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._put, aggregate_id, version, payload)


class EventSourcingThreads(EventSourcing):
    """The same, pushing from a few threads, which work while one of them waits for the disk."""

    name = "eventsourcing, threads"
    _threads: ThreadPoolExecutor

    async def open(self, path: Path) -> None:
        """Prepare the threads."""
        await super().open(path)
        self._threads = ThreadPoolExecutor(THREADS)

    async def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
        await super().close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Put one event into the event store, in a thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._put, aggregate_id, version, payload)
