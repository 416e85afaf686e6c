"""The event store ``PRODUCTS``: what the shop sells, and how much of it there is."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from pydantic import NonNegativeInt, PositiveInt

from castore_core import DataclassCodec, EventStore
from castore_pydantic import PydanticEvent
from shop._model import Model, Origin


class Listing(Model):
    """An offer. ``price`` is in cents; ``stock`` is ``None`` if it has no end, as of a download."""

    name: str
    price: PositiveInt
    stock: NonNegativeInt | None


class Price(Model):
    """A price in cents."""

    price: PositiveInt


class Quantity(Model):
    """The pieces that came in."""

    quantity: PositiveInt


class Reservation(Model):
    """The pieces that are kept for an order."""

    quantity: PositiveInt


class _Event(PydanticEvent):
    """All events tell where they come from."""

    metadata: Origin | None = None


class ProductListed(_Event, type="PRODUCT_LISTED"):
    """The shop sells the product from now on."""

    payload: Listing


class PriceChanged(_Event, type="PRICE_CHANGED"):
    """The product costs something else from now on."""

    payload: Price


class StockReceived(_Event, type="STOCK_RECEIVED"):
    """More pieces are in the warehouse."""

    payload: Quantity


class StockReserved(_Event, type="STOCK_RESERVED"):
    """Some pieces are kept for an order."""

    payload: Reservation


class StockReleased(_Event, type="STOCK_RELEASED"):
    """The pieces of an order can be sold again."""

    payload: Reservation


class ProductWithdrawn(_Event, type="PRODUCT_WITHDRAWN"):
    """The shop sells the product no longer."""


ProductEvent: TypeAlias = (
    ProductListed | PriceChanged | StockReceived | StockReserved | StockReleased | ProductWithdrawn
)


@dataclass(frozen=True)
class Product:
    """A product, with its price in cents and the pieces that can be sold."""

    aggregate_id: str
    version: int
    name: str
    price: int
    stock: int | None
    is_withdrawn: bool = False


def reduce_product(product: Product | None, event: ProductEvent) -> Product:
    """Return the product after the event."""
    if isinstance(event, ProductListed):
        listing = event.payload
        return Product(
            event.aggregate_id, event.version, listing.name, listing.price, listing.stock
        )
    assert product is not None
    product = replace(product, version=event.version)
    match event:
        case PriceChanged(payload=payload):
            return replace(product, price=payload.price)
        case StockReceived(payload=payload) | StockReleased(payload=payload):
            return _add_to_stock(product, payload.quantity)
        case StockReserved(payload=payload):
            return _add_to_stock(product, -payload.quantity)
        case ProductWithdrawn():
            return replace(product, is_withdrawn=True)


def _add_to_stock(product: Product, quantity: int) -> Product:
    return product if product.stock is None else replace(product, stock=product.stock + quantity)


ProductStore: TypeAlias = EventStore[ProductEvent, Product]

products = EventStore(
    "PRODUCTS",
    event_types=[
        ProductListed,
        PriceChanged,
        StockReceived,
        StockReserved,
        StockReleased,
        ProductWithdrawn,
    ],
    reduce=reduce_product,
    aggregate_codec=DataclassCodec(Product),
)
