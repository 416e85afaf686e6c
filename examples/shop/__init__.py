"""A shop: products and orders, as an application of castore.

    from shop import Shop

`shop.fastapi_app`, `shop.flask_app` and `shop.django_app` put it on the web.
"""

from shop._commands import order_commands, product_commands
from shop._errors import (
    AlreadyExistsError,
    OrderStatusError,
    OutOfStockError,
    PriceChangedError,
    ShopError,
    WithdrawnError,
)
from shop._model import Origin
from shop._orders import (
    Basket,
    Line,
    Order,
    OrderCancelled,
    OrderEvent,
    OrderPaid,
    OrderPlaced,
    Payment,
    Reason,
)
from shop._products import (
    Listing,
    Price,
    PriceChanged,
    Product,
    ProductEvent,
    ProductListed,
    ProductWithdrawn,
    Quantity,
    Reservation,
    StockReceived,
    StockReleased,
    StockReserved,
)
from shop._read_models import catalogue, order_list, tables
from shop._shop import Followers, Shop

__all__ = [
    "AlreadyExistsError",
    "Basket",
    "Followers",
    "Line",
    "Listing",
    "Order",
    "OrderCancelled",
    "OrderEvent",
    "OrderPaid",
    "OrderPlaced",
    "OrderStatusError",
    "Origin",
    "OutOfStockError",
    "Payment",
    "Price",
    "PriceChanged",
    "PriceChangedError",
    "Product",
    "ProductEvent",
    "ProductListed",
    "ProductWithdrawn",
    "Quantity",
    "Reason",
    "Reservation",
    "Shop",
    "ShopError",
    "StockReceived",
    "StockReleased",
    "StockReserved",
    "WithdrawnError",
    "catalogue",
    "order_commands",
    "order_list",
    "product_commands",
    "tables",
]
