"""The rules of the shop, without a database."""

import pytest

from castore_core import AggregateNotFoundError
from castore_test_tools import given
from shop import (
    AlreadyExistsError,
    Basket,
    Line,
    Listing,
    Order,
    OrderCancelled,
    OrderPaid,
    OrderPlaced,
    OrderStatusError,
    OutOfStockError,
    Payment,
    Price,
    PriceChanged,
    PriceChangedError,
    ProductListed,
    ProductWithdrawn,
    Quantity,
    Reason,
    Reservation,
    StockReceived,
    StockReleased,
    StockReserved,
    WithdrawnError,
    cancel_order,
    change_price,
    list_product,
    orders,
    pay,
    place_order,
    products,
    receive_stock,
    withdraw,
)

BIKE = ProductListed("bike", 1, payload=Listing(name="Bike", price=40_000, stock=3))
MANUAL = ProductListed("manual", 1, payload=Listing(name="Manual", price=500, stock=None))
LINES = (
    Line(product_id="bike", quantity=2, price=40_000),
    Line(product_id="manual", quantity=1, price=500),
)
PLACED = OrderPlaced("order-1", 1, payload=Basket(customer_id="misty", lines=LINES))
RESERVED = StockReserved("bike", 2, payload=Reservation(quantity=2))
QUANTITIES = {"bike": 2, "manual": 1}
PRICES = {"bike": 40_000, "manual": 500}


async def test_a_product_is_offered_once() -> None:
    """An id stands for one product for ever."""
    await (
        given(products).when(list_product, "bike", name="Bike", price=40_000, stock=3).then([BIKE])
    )
    await (
        given(products, [BIKE])
        .when(list_product, "bike", name="Bicycle", price=1, stock=0)
        .then_raises(AlreadyExistsError, match="'bike' exists already")
    )


async def test_prices_and_stock_change() -> None:
    """Each change is an event; a price that stays is none."""
    await (
        given(products, [BIKE])
        .when(change_price, "bike", price=39_000)
        .then([PriceChanged.draft(payload=Price(price=39_000))])
    )
    await given(products, [BIKE]).when(change_price, "bike", price=40_000).then([])
    await (
        given(products, [BIKE])
        .when(receive_stock, "bike", quantity=5)
        .then([StockReceived.draft(payload=Quantity(quantity=5))])
    )


async def test_a_withdrawn_product_does_not_change() -> None:
    """It may be withdrawn again, which says nothing new."""
    history = [BIKE, ProductWithdrawn("bike", 2)]
    await given(products, history).when(withdraw, "bike").then([])
    await given(products, history).when(change_price, "bike", price=1).then_raises(WithdrawnError)


async def test_an_order_reserves_its_pieces() -> None:
    """The order and the reservations are one group; a product without end gets no event."""
    await (
        given(products, [BIKE, MANUAL])
        .when(
            place_order,
            "order-1",
            ["bike", "manual"],
            customer_id="misty",
            quantities=QUANTITIES,
            prices=PRICES,
        )
        .then([PLACED, RESERVED])
    )


@pytest.mark.parametrize(
    ("history", "error"),
    [
        ([BIKE, MANUAL, ProductWithdrawn("manual", 2)], WithdrawnError),
        ([BIKE, MANUAL, PriceChanged("bike", 2, payload=Price(price=41_000))], PriceChangedError),
        ([BIKE, MANUAL, RESERVED], OutOfStockError),
        ([MANUAL], AggregateNotFoundError),
    ],
    ids=["withdrawn", "another price", "out of stock", "unknown"],
)
async def test_an_order_that_a_rule_refuses(
    history: list[ProductListed | ProductWithdrawn | PriceChanged | StockReserved],
    error: type[Exception],
) -> None:
    """Nothing is written, neither of the order nor of the other products."""
    await (
        given(products, history)
        .when(
            place_order,
            "order-1",
            ["bike", "manual"],
            customer_id="misty",
            quantities=QUANTITIES,
            prices=PRICES,
        )
        .then_raises(error)
    )


async def test_an_order_is_paid_once() -> None:
    """A paid order is neither paid again nor given up."""
    paid = OrderPaid("order-1", 2, payload=Payment(payment_id="payment-1"))
    await given(orders, [PLACED]).when(pay, "order-1", payment_id="payment-1").then([paid])
    await (
        given(orders, [PLACED, paid])
        .when(pay, "order-1", payment_id="payment-2")
        .then_raises(OrderStatusError, match="is paid")
    )


async def test_a_cancelled_order_gives_its_pieces_back() -> None:
    """The customer gets the state that is told, and the shop its pieces."""
    await (
        given(orders, [PLACED])
        .given(products, [BIKE, RESERVED, MANUAL])
        .when(cancel_order, "order-1", ["bike", "manual"], reason="too late")
        .then(
            [
                OrderCancelled("order-1", 2, payload=Reason(reason="too late")),
                StockReleased("bike", 3, payload=Reservation(quantity=2)),
            ]
        )
    )


def test_the_total_of_an_order() -> None:
    """It is the sum of its lines."""
    assert 80_500 == Order("order-1", 1, "misty", LINES).total
