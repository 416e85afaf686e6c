"""The state of an order, and its reducer: the same for castore and for bare drivers."""

from dataclasses import dataclass, replace

from workload import PLACED, ItemPayload


@dataclass(frozen=True)
class Order:
    """What is known of an order."""

    aggregate_id: str
    version: int
    items: int
    total: int
    last_sku: str


def begin_order(aggregate_id: str, version: int, payload: ItemPayload) -> Order:
    """Return the order of its first item."""
    price = payload["quantity"] * payload["price"]["amount"]
    return Order(aggregate_id, version, 1, price, payload["sku"])


def add_item(order: Order, version: int, payload: ItemPayload) -> Order:
    """Return the order with one more item."""
    return replace(
        order,
        version=version,
        items=order.items + 1,
        total=order.total + payload["quantity"] * payload["price"]["amount"],
        last_sku=payload["sku"],
    )


def reduce_row(
    order: Order | None, aggregate_id: str, version: int, event_type: str, payload: ItemPayload
) -> Order:
    """Return the order after the event of a row."""
    if event_type == PLACED:
        return begin_order(aggregate_id, version, payload)
    assert order is not None
    return add_item(order, version, payload)
