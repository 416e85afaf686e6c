"""A program with two event stores in memory, for tests of commands that find its objects."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf, nan
from typing import Any, TypedDict

from castore_core import Event, EventStore
from castore_in_memory import InMemoryEventStorageAdapter

EVIL = "\x1b[31mred\x1b]0;title\x07 [bold]bold[/bold] \u202egnp"
"""A text that steers a terminal, and has markup of rich."""


class Placed(TypedDict):
    """What was ordered."""

    item: str


class OrderPlaced(Event, type="ORDER_PLACED"):
    """Somebody has ordered something."""

    payload: Placed


class OrderShipped(Event, type="ORDER_SHIPPED"):
    """It is on its way."""


@dataclass(frozen=True)
class Order:
    """An order, as its events made it."""

    aggregate_id: str
    version: int
    item: str
    shipped: bool = False


@dataclass(frozen=True)
class Priceless:
    """An order without a price."""

    aggregate_id: str
    version: int
    prices: tuple[float, ...] = (nan, inf, -inf, 0.5)


def reduce_order(order: Order | None, event: OrderPlaced | OrderShipped) -> Order:
    """Return the order after an event."""
    if isinstance(event, OrderPlaced):
        return Order(event.aggregate_id, event.version, event.payload["item"])
    assert order is not None
    return replace(order, version=event.version, shipped=True)


def make_store(event_store_id: str, adapter: InMemoryEventStorageAdapter) -> EventStore[Any, Any]:
    """Return an event store of orders."""
    return EventStore(
        event_store_id,
        event_types=[OrderPlaced, OrderShipped],
        reduce=reduce_order,
        storage_adapter=adapter,
    )


async def make_stores() -> list[EventStore[Any, Any]]:
    """Return two stores, of which the first has events of two aggregates."""
    adapter = InMemoryEventStorageAdapter()
    orders = make_store("ORDERS", adapter)
    for event in (
        OrderPlaced("order-1", 1, timestamp=_at(5), payload={"item": "lamp"}),
        OrderShipped("order-1", 2, timestamp=_at(6)),
        OrderPlaced(EVIL, 1, timestamp=_at(7), payload={"item": EVIL}),
    ):
        await orders.push_event(event)
    return [orders, make_store("RETURNS", adapter)]


async def make_orders() -> EventStore[Any, Any]:
    """Return the store that has events."""
    return (await make_stores())[0]


async def make_two_logs() -> list[EventStore[Any, Any]]:
    """Return two stores on two storages; the log of the second one runs backwards in time."""
    orders = await make_orders()
    returns = make_store("RETURNS", InMemoryEventStorageAdapter())
    for name, day in (("return-1", 4), ("return-2", 8), ("return-3", 3)):
        placed = OrderPlaced(name, 1, timestamp=_at(day), payload={"item": "lamp"})
        await returns.push_event(placed)
    return [orders, returns]


class ForwardLog:
    """A storage with a log that is not read from its end."""

    def __init__(self, adapter: InMemoryEventStorageAdapter) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        if name == "read_events_backwards":
            raise AttributeError(name)
        return getattr(self._adapter, name)


async def make_forward_orders() -> EventStore[Any, Any]:
    """Return the store that has events, on a log that is read forwards only."""
    orders = await make_orders()
    return orders.using(ForwardLog(orders.storage_adapter))  # type: ignore[arg-type]


async def make_priceless_orders() -> EventStore[Any, Any]:
    """Return a store whose states have numbers that JSON does not have."""
    orders = EventStore[OrderPlaced, Any](
        "ORDERS",
        event_types=[OrderPlaced],
        reduce=lambda _, event: Priceless(event.aggregate_id, event.version),
        storage_adapter=InMemoryEventStorageAdapter(),
    )
    await orders.push_event(OrderPlaced("order-1", 1, payload={"item": "lamp"}))
    return orders


@asynccontextmanager
async def open_orders() -> AsyncGenerator[EventStore[Any, Any]]:
    """Give the store that has events, and tell when it is given back."""
    try:
        yield await make_orders()
    finally:
        print("closed")  # noqa: T201 a program may print


async def generate_orders() -> AsyncGenerator[EventStore[Any, Any]]:
    """Do the same without the decorator."""
    async with open_orders() as orders:
        yield orders


@contextmanager
def open_returns() -> Generator[EventStore[Any, Any]]:
    """Give the empty store, and tell when it is given back."""
    try:
        yield returns
    finally:
        print("closed")  # noqa: T201 a program may print


class Container:
    """Stores as attributes of an object."""

    def __init__(self) -> None:
        self.returns = returns


def with_argument(name: str) -> EventStore[Any, Any]:
    """Need an argument that nobody gives."""
    return make_store(name, InMemoryEventStorageAdapter())


def _at(day: int) -> datetime:
    return datetime(2026, 1, day, 9, tzinfo=UTC)


returns = make_store("RETURNS", InMemoryEventStorageAdapter())
container = Container()
named = {"returns": returns}
nothing = None
none_at_all: list[EventStore[Any, Any]] = []
mixed = [returns, "text"]
