"""The event store ``ORDERS``: what customers buy."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pydantic import PositiveInt

from castore_core import EventStore
from castore_pydantic import PydanticEvent
from shop._model import Model, Origin


class Line(Model):
    """Some pieces of a product, at the price in cents that it had."""

    product_id: str
    quantity: PositiveInt
    price: PositiveInt


class Basket(Model):
    """A customer, and the lines of the order."""

    customer_id: str
    lines: tuple[Line, ...]


class Payment(Model):
    """The payment of the order."""

    payment_id: str


class Reason(Model):
    """The reason why the order was given up."""

    reason: str


class _Event(PydanticEvent):
    """All events tell where they come from."""

    metadata: Origin | None = None


class OrderPlaced(_Event, type="ORDER_PLACED"):
    """A customer ordered."""

    payload: Basket


class OrderPaid(_Event, type="ORDER_PAID"):
    """The customer paid."""

    payload: Payment


class OrderCancelled(_Event, type="ORDER_CANCELLED"):
    """The order will not be sent."""

    payload: Reason


OrderEvent: TypeAlias = OrderPlaced | OrderPaid | OrderCancelled


@dataclass(frozen=True)
class Order:
    """An order, and how far it is."""

    aggregate_id: str
    version: int
    customer_id: str
    lines: tuple[Line, ...]
    status: Literal["placed", "paid", "cancelled"] = "placed"

    @property
    def total(self) -> int:
        """The sum of all lines, in cents."""
        return sum(line.quantity * line.price for line in self.lines)


def reduce_order(order: Order | None, event: OrderEvent) -> Order:
    """Return the order after the event."""
    if isinstance(event, OrderPlaced):
        basket = event.payload
        return Order(event.aggregate_id, event.version, basket.customer_id, basket.lines)
    assert order is not None
    match event:
        case OrderPaid():
            return replace(order, version=event.version, status="paid")
        case OrderCancelled():
            return replace(order, version=event.version, status="cancelled")


OrderStore: TypeAlias = EventStore[OrderEvent, Order]

orders = EventStore(
    "ORDERS",
    event_types=[OrderPlaced, OrderPaid, OrderCancelled],
    reduce=reduce_order,
)
