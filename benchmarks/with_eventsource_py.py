"""The library eventsource-py, which needs Python 3.13: import this module there only."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from postgres_server import Schema
from workload import ItemPayload, make_payload

# Not installed for the older Pythons, on which this module is type-checked too: hence `Any`.
_library: Any = import_module("eventsource")
_ports: Any = import_module("eventsource.ports")
_pydantic: Any = import_module("pydantic")

CATEGORY = "Order"


class OrderPlaced(_library.DomainEvent):
    """An order began, with its first item."""

    aggregate_type: str = CATEGORY
    payload: dict[str, Any]


class ItemAdded(_library.DomainEvent):
    """An item was added."""

    aggregate_type: str = CATEGORY
    payload: dict[str, Any]


class OrderState(_pydantic.BaseModel):
    """What is known of an order."""

    model_config: ClassVar[dict[str, bool]] = {"frozen": True}

    items: int = 0
    total: int = 0
    last_sku: str = ""


class Order(_library.DeciderAggregate):
    """An order, in the library's decider style."""

    aggregate_type = CATEGORY

    @staticmethod
    def initial_state() -> Any:
        """Return the state before the first event."""
        return OrderState()

    @staticmethod
    def decide(command: Any, state: Any) -> list[Any]:
        """Refuse every command: events are appended as they are."""
        raise NotImplementedError

    @staticmethod
    def evolve(state: Any, event: Any) -> Any:
        """Return the state after the event."""
        payload = event.payload
        return state.model_copy(
            update={
                "items": state.items + 1,
                "total": state.total + payload["quantity"] * payload["price"]["amount"],
                "last_sku": payload["sku"],
            }
        )


def make_event(aggregate_id: UUID, version: int, payload: ItemPayload) -> Any:
    """Return the event of a version."""
    event_type: Any = OrderPlaced if version == 1 else ItemAdded
    return event_type(aggregate_id=aggregate_id, aggregate_version=version, payload=payload)


def make_registry() -> Any:
    """Return the types of events."""
    registry = _library.EventRegistry()
    registry.register(OrderPlaced)
    registry.register(ItemAdded)
    return registry


class _EventsourcePy:
    """What does not depend on the store."""

    name = "eventsource-py"
    _store: Any
    _repository: Any

    def _use(self, store: Any) -> None:
        self._store = store
        self._repository = _library.AggregateRepository(
            event_store=store, aggregate_factory=Order, enable_tracing=False
        )

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def push(self, aggregate_id: str, version: int, payload: ItemPayload) -> None:
        """Append one event."""
        await self._append(UUID(aggregate_id), version, [payload])

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Append all events of an aggregate at once."""
        for aggregate_id, last in versions.items():
            payloads = [make_payload(version) for version in range(1, last + 1)]
            await self._append(UUID(aggregate_id), 1, payloads)

    async def load(self, aggregate_id: str) -> int:
        """Load the aggregate from the repository."""
        version: int = (await self._repository.load(UUID(aggregate_id))).version
        return version

    async def scan(self, batch: int) -> int:
        """Read the feed."""
        position, count = None, 0
        options = _ports.FeedReadOptions(limit=batch)
        while envelopes := [each async for each in self._store.read_all(position, options)]:
            position, count = envelopes[-1].position, count + len(envelopes)
        return count

    async def _append(self, aggregate_id: UUID, version: int, payloads: list[ItemPayload]) -> None:
        stream = _library.StreamId(aggregate_id, CATEGORY)
        events = [
            make_event(aggregate_id, number, each) for number, each in enumerate(payloads, version)
        ]
        await self._store.append(stream, events, _library.ExpectedVersion.exact(version - 1))


class EventsourcePy(_EventsourcePy):
    """Its SQLite store, which sets WAL and leaves ``synchronous`` as SQLite has it: FULL."""

    async def open(self, path: Path) -> None:
        """Create the tables."""
        self._use(_library.SQLiteEventStore(str(path), make_registry()))

    async def read_pragma(self, name: str) -> object:
        """Ask its only connection."""
        connection = await self._store._conn()
        async with connection.execute(f"PRAGMA {name}") as cursor:
            return (await cursor.fetchone())[0]


class EventsourcePyPostgres(_EventsourcePy):
    """Its PostgreSQL store, on an async engine with asyncpg."""

    _engine: AsyncEngine

    async def open(self, schema: Schema) -> None:
        """Create the tables."""
        self._engine = create_async_engine(
            schema.get_url("asyncpg"), connect_args=schema.get_connect_args("asyncpg")
        )
        self._use(
            _library.PostgreSQLEventStore(
                self._engine, make_registry(), create_schema=True, owns_engine=True
            )
        )

    async def show(self, setting: str) -> object:
        """Ask a connection of the engine."""
        async with self._engine.connect() as connection:
            return (await connection.execute(text(f"SHOW {setting}"))).scalar()
