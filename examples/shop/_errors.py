"""The rules of the shop, when they say no."""


class ShopError(Exception):
    """A rule of the shop refuses."""


class OutOfStockError(ShopError):
    """There are fewer pieces than were ordered."""

    def __init__(self, product_id: str, stock: int) -> None:
        super().__init__(product_id, stock)
        self.product_id = product_id
        self.stock = stock

    def __str__(self) -> str:
        return f"product {self.product_id!r}: {self.stock} left"


class WithdrawnError(ShopError):
    """The shop sells the product no longer."""

    def __init__(self, product_id: str) -> None:
        super().__init__(product_id)
        self.product_id = product_id

    def __str__(self) -> str:
        return f"product {self.product_id!r} is sold no longer"


class PriceChangedError(ShopError):
    """The product costs something else than the customer was shown."""

    def __init__(self, product_id: str, price: int) -> None:
        super().__init__(product_id, price)
        self.product_id = product_id
        self.price = price

    def __str__(self) -> str:
        return f"product {self.product_id!r} costs {self.price} now"


class AlreadyExistsError(ShopError):
    """There is a product or an order of this id already."""

    def __init__(self, aggregate_id: str) -> None:
        super().__init__(aggregate_id)
        self.aggregate_id = aggregate_id

    def __str__(self) -> str:
        return f"{self.aggregate_id!r} exists already"


class OrderStatusError(ShopError):
    """The order is past the point where this could be done."""

    def __init__(self, order_id: str, status: str) -> None:
        super().__init__(order_id, status)
        self.order_id = order_id
        self.status = status

    def __str__(self) -> str:
        return f"order {self.order_id!r} is {self.status}"
