"""A shop: products and orders, as an application of castore.

    from shop import Shop

`shop.fastapi_app`, `shop.flask_app` and `shop.django_app` put it on the web.
"""

from shop._commands import (
    cancel_order,
    change_price,
    list_product,
    order_commands,
    pay,
    place_order,
    product_commands,
    receive_stock,
    withdraw,
)
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
    orders,
)
from shop._payments import payments
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
    products,
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
    "cancel_order",
    "catalogue",
    "change_price",
    "list_product",
    "order_commands",
    "order_list",
    "orders",
    "pay",
    "payments",
    "place_order",
    "product_commands",
    "products",
    "receive_stock",
    "tables",
    "withdraw",
]
