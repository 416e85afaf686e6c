"""Orders and parcels, whose events tell what caused them."""

import asyncio
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from castore_core import Event, EventStore, event_metadata
from castore_in_memory import InMemoryEventStorageAdapter


class Trace(TypedDict):
    """The request and the cause of an event."""

    correlation_id: NotRequired[str]
    causation_id: NotRequired[str]


class OrderPlaced(Event, type="ORDER_PLACED"):
    """Somebody ordered."""

    metadata: Trace | None = None


class OrderPacked(Event, type="ORDER_PACKED"):
    """It is packed."""

    metadata: Trace | None = None


class ParcelSent(Event, type="PARCEL_SENT"):
    """It is on its way."""

    metadata: Trace | None = None


@dataclass(frozen=True)
class Thing:
    """Something with events."""

    aggregate_id: str
    version: int


def reduce_thing(thing: Thing | None, event: Event) -> Thing:
    """Return the thing after an event."""
    del thing
    return Thing(event.aggregate_id, event.version)


def make_stores() -> list[EventStore[Any, Any]]:
    """Return two stores with the events of two requests."""
    adapter = InMemoryEventStorageAdapter()
    orders = EventStore(
        "ORDERS",
        event_types=[OrderPlaced, OrderPacked],
        reduce=reduce_thing,
        storage_adapter=adapter,
    )
    parcels = EventStore(
        "PARCELS", event_types=[ParcelSent], reduce=reduce_thing, storage_adapter=adapter
    )

    async def push() -> None:
        with event_metadata(correlation_id="request-1"):
            await orders.push_event(OrderPlaced("o1", 1))
            with event_metadata(causation_id="ORDERS#o1#1"):
                await orders.push_event(OrderPacked("o1", 2))
            with event_metadata(causation_id="ORDERS#o1#2"):
                await parcels.push_event(ParcelSent("p1", 1))
        with event_metadata(correlation_id="request-2"):
            await orders.push_event(OrderPlaced("o2", 1))

    asyncio.run(push())
    return [orders, parcels]
