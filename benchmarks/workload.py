"""What every contestant stores: orders, with payloads of about 370 bytes of JSON."""

from typing import TypedDict
from uuid import NAMESPACE_OID, uuid5

STORE = "ORDERS"
PLACED = "ORDER_PLACED"
ITEM_ADDED = "ITEM_ADDED"


class Price(TypedDict):
    """An amount of money, in the smallest unit of its currency."""

    amount: int
    currency: str


class ItemPayload(TypedDict):
    """One item of an order."""

    sku: str
    title: str
    quantity: int
    price: Price
    discount: float | None
    gift: bool
    tags: list[str]
    warehouse: dict[str, str | int]
    note: str


def make_payload(number: int) -> ItemPayload:
    """Return the payload of an event; the numbers make them differ."""
    return {
        "sku": f"SKU-{number:08}",
        "title": "Café crème cup, stoneware, hand glazed, 250 ml",
        "quantity": number % 7 + 1,
        "price": {"amount": 1000 + number % 997, "currency": "EUR"},
        "discount": None if number % 3 else 0.125,
        "gift": number % 5 == 0,
        "tags": ["kitchen", "stoneware", "autumn", "limited edition"],
        "warehouse": {"code": "LYS-2", "aisle": "C", "shelf": number % 40, "city": "Lyon"},
        "note": "Leave the parcel with the neighbour on the second floor if nobody is at home.",
    }


def make_id(name: str) -> str:
    """Return the id of an aggregate: a UUID, which all contestants take."""
    return str(uuid5(NAMESPACE_OID, name))
