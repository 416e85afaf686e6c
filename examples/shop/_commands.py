"""The commands of the shop."""

from collections.abc import Mapping
from typing import TypeAlias

from castore_core import (
    AggregateCommands,
    EventDraft,
    draft,
    group_command,
    one,
    one_existing,
    several_existing,
)
from shop._errors import (
    AlreadyExistsError,
    OrderStatusError,
    OutOfStockError,
    PriceChangedError,
    WithdrawnError,
)
from shop._orders import (
    Basket,
    Line,
    Order,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    Payment,
    Reason,
    orders,
)
from shop._products import (
    Listing,
    Price,
    PriceChanged,
    Product,
    ProductListed,
    ProductWithdrawn,
    Quantity,
    Reservation,
    StockReceived,
    StockReleased,
    StockReserved,
    products,
)

# Products

product_commands = AggregateCommands(products)


@product_commands.handler
def list_product(
    product: Product | None, *, name: str, price: int, stock: int | None
) -> EventDraft[ProductListed]:
    """Offer a product."""
    if product is not None:
        raise AlreadyExistsError(product.aggregate_id)
    return draft(ProductListed, payload=Listing(name=name, price=price, stock=stock))


@product_commands.existing_handler
def receive_stock(product: Product, *, quantity: int) -> EventDraft[StockReceived]:
    """Take pieces into the warehouse."""
    _refuse_withdrawn(product)
    return draft(StockReceived, payload=Quantity(quantity=quantity))


@product_commands.existing_handler
def change_price(product: Product, *, price: int) -> EventDraft[PriceChanged] | None:
    """Sell the product at another price, in cents."""
    _refuse_withdrawn(product)
    return None if product.price == price else draft(PriceChanged, payload=Price(price=price))


@product_commands.existing_handler
def withdraw(product: Product) -> EventDraft[ProductWithdrawn] | None:
    """Sell the product no longer."""
    return None if product.is_withdrawn else draft(ProductWithdrawn)


# Orders

order_commands = AggregateCommands(orders)


@order_commands.existing_handler
def pay(order: Order, *, payment_id: str) -> EventDraft[OrderPaid]:
    """Take the payment of an order."""
    if order.status != "placed":
        raise OrderStatusError(order.aggregate_id, order.status)
    return draft(OrderPaid, payload=Payment(payment_id=payment_id))


# Orders and products, together

Reservations: TypeAlias = dict[str, EventDraft[StockReserved]]
Releases: TypeAlias = dict[str, EventDraft[StockReleased]]

_MANY_CUSTOMERS = 200


@group_command(
    one(orders), several_existing(products), event_already_exists_retries=_MANY_CUSTOMERS
)
def place_order(
    order: Order | None,
    products: Mapping[str, Product],
    *,
    customer_id: str,
    quantities: dict[str, int],
    prices: dict[str, int],
) -> tuple[EventDraft[OrderPlaced], Reservations]:
    """Order some products, at the prices in cents that the customer was shown.

    Pieces of each product are reserved. A product without end gets no event, but the order is
    placed only if nobody has changed its price or withdrawn it meanwhile: its version is asserted.
    """
    if order is not None:
        raise AlreadyExistsError(order.aggregate_id)
    for product_id, product in products.items():
        _check_line(product, quantities[product_id], prices[product_id])
    lines = tuple(
        Line(product_id=each, quantity=quantities[each], price=prices[each]) for each in products
    )
    return draft(OrderPlaced, payload=Basket(customer_id=customer_id, lines=lines)), {
        each: draft(StockReserved, payload=Reservation(quantity=quantities[each]))
        for each, product in products.items()
        if product.stock is not None
    }


@group_command(one_existing(orders), several_existing(products))
def cancel_order(
    order: Order, products: Mapping[str, Product], *, reason: str
) -> tuple[EventDraft[OrderCancelled], Releases]:
    """Give up an order, and let its pieces be sold again."""
    if order.status != "placed":
        raise OrderStatusError(order.aggregate_id, order.status)
    return draft(OrderCancelled, payload=Reason(reason=reason)), {
        line.product_id: draft(StockReleased, payload=Reservation(quantity=line.quantity))
        for line in order.lines
        if products[line.product_id].stock is not None
    }


def _check_line(product: Product, quantity: int, price: int) -> None:
    _refuse_withdrawn(product)
    if product.price != price:
        raise PriceChangedError(product.aggregate_id, product.price)
    if product.stock is not None and product.stock < quantity:
        raise OutOfStockError(product.aggregate_id, product.stock)


def _refuse_withdrawn(product: Product) -> None:
    if product.is_withdrawn:
        raise WithdrawnError(product.aggregate_id)
