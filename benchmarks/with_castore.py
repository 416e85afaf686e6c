"""castore, on SQLite and in memory."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from castore_core import LOG_START, Event, EventStorageAdapter, EventStore
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from orders import Order, add_item, begin_order
from workload import ITEM_ADDED, PLACED, STORE, ItemPayload, make_payload

GROUP = 500


class OrderPlaced(Event, type=PLACED):
    """An order began, with its first item."""

    payload: ItemPayload


class ItemAdded(Event, type=ITEM_ADDED):
    """An item was added."""

    payload: ItemPayload


OrderEvent: TypeAlias = OrderPlaced | ItemAdded


def reduce_order(order: Order | None, event: OrderEvent) -> Order:
    """Return the order after the event."""
    match event:
        case OrderPlaced():
            return begin_order(event.aggregate_id, event.version, event.payload)
        case ItemAdded():
            assert order is not None
            return add_item(order, event.version, event.payload)


OrderStore: TypeAlias = EventStore[OrderEvent, Order]
Adapter: TypeAlias = SQLEventStorageAdapter | InMemoryEventStorageAdapter


def make_store(adapter: EventStorageAdapter) -> OrderStore:
    """Return the event store of the orders."""
    return EventStore(
        STORE,
        event_types=[OrderPlaced, ItemAdded],
        reduce=reduce_order,
        storage_adapter=adapter,
    )


def make_event(aggregate_id: str, version: int, payload: ItemPayload) -> OrderEvent:
    """Return the event of a version."""
    event_type = OrderPlaced if version == 1 else ItemAdded
    return event_type(aggregate_id=aggregate_id, version=version, payload=payload)


class CastoreBase:
    """What does not depend on where the events are."""

    _adapter: Adapter
    store: OrderStore

    def _use(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self.store = make_store(adapter)

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Make an event, and write it."""
        await self.store.push_event(make_event(aggregate_id, version, payload))

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write in groups."""
        events = [
            make_event(aggregate_id, version, make_payload(version))
            for aggregate_id, last in versions.items()
            for version in range(1, last + 1)
        ]
        for start in range(0, len(events), GROUP):
            group = [self.store.group_event(each) for each in events[start : start + GROUP]]
            await EventStore.push_event_group(*group)

    async def load(self, aggregate_id: str) -> int:
        """Load the aggregate."""
        return (await self.store.get_existing_aggregate(aggregate_id)).aggregate.version

    async def scan(self, batch: int) -> int:
        """Read the log, and decode each event."""
        position, count = LOG_START, 0
        while (found := await self._adapter.read_events([STORE], position, batch)).entries:
            events = [self.store.event_from_record(each.record) for each in found.entries]
            position, count = found.position, count + len(events)
        return count

    async def seek(self, count: int) -> object:
        """Return the token of what follows a page of ``count``."""
        if count == 0:
            return None
        return (await self.store.list_aggregate_ids(limit=count)).next_page_token

    async def page(self, cursor: object, limit: int) -> int:
        """List a page."""
        assert cursor is None or isinstance(cursor, str)
        page = await self.store.list_aggregate_ids(limit=limit, page_token=cursor)
        return len(page.aggregate_ids)


class Castore(CastoreBase):
    """castore on SQLite, through a synchronous engine."""

    name = "castore"
    _engine: Engine
    _connections: list[sqlite3.Connection]

    async def open(self, path: Path) -> None:
        """Create the tables."""
        self._engine = create_engine(f"sqlite:///{path}")
        self._connections = []

        @event.listens_for(self._engine, "connect")
        def _(connection: sqlite3.Connection, _: object) -> None:
            self._connections.append(connection)

        adapter = self._make_adapter(self._engine)
        await adapter.create_tables()
        self._use(adapter)

    def _make_adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        return SQLEventStorageAdapter(engine)

    async def close(self) -> None:
        """Dispose of the engine."""
        self._engine.dispose()

    async def read_pragma(self, name: str) -> object:
        """Ask the connections that were opened: the adapter's own."""
        found = {each.execute(f"PRAGMA {name}").fetchone()[0] for each in self._connections}
        return found.pop() if len(found) == 1 else found


class CastoreInLoop(Castore):
    """The same, which commits in the thread of the event loop, as the bare driver does."""

    name = "castore, commits in loop"

    def _make_adapter(self, engine: Engine) -> SQLEventStorageAdapter:
        return SQLEventStorageAdapter(engine, commits_in_loop=True)


class CastoreAsync(CastoreBase):
    """castore on SQLite, through an asynchronous engine (aiosqlite)."""

    name = "castore, async engine"
    _engine: AsyncEngine

    async def open(self, path: Path) -> None:
        """Create the tables."""
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        adapter = SQLEventStorageAdapter(self._engine)
        await adapter.create_tables()
        self._use(adapter)

    async def close(self) -> None:
        """Dispose of the engine."""
        await self._engine.dispose()

    async def read_pragma(self, name: str) -> object:
        """Ask a connection of the engine."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(lambda each: _read_pragma(each, name))


class CastoreInMemory(CastoreBase):
    """castore in memory."""

    name = "castore in memory"

    async def open(self, path: Path) -> None:  # noqa: ARG002 there is no file
        """Begin with nothing."""
        self._use(InMemoryEventStorageAdapter())

    async def close(self) -> None:
        """Nothing is held."""


def _read_pragma(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()
