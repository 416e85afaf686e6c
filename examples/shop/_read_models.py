"""The tables that the pages of the shop show. Projections keep them up to date."""

from inspect import isawaitable
from typing import TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Executable,
    MetaData,
    String,
    Table,
    Update,
    delete,
    insert,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from castore_core import BookmarkStorageAdapter
from castore_projections import Projection, ProjectionContext
from shop._orders import OrderCancelled, OrderPaid, OrderPlaced, OrderStore
from shop._products import (
    PriceChanged,
    ProductListed,
    ProductStore,
    ProductWithdrawn,
    StockReceived,
    StockReleased,
    StockReserved,
)

Transaction: TypeAlias = Connection | AsyncConnection
Bookmarks: TypeAlias = BookmarkStorageAdapter[Connection] | BookmarkStorageAdapter[AsyncConnection]

tables = MetaData()

catalogue = Table(
    "catalogue",
    tables,
    Column("product_id", String(100), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("stock", BigInteger),
)

order_list = Table(
    "order_list",
    tables,
    Column("order_id", String(100), primary_key=True),
    Column("customer_id", String(100), nullable=False, index=True),
    Column("total", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
)


async def execute(transaction: Transaction, statement: Executable) -> None:
    """Execute a statement on the connection of either kind of engine."""
    result = transaction.execute(statement)
    if isawaitable(result):
        await result


def make_catalogue(products: ProductStore, bookmarks: Bookmarks) -> Projection[Transaction]:
    """Return the projection that keeps the products on sale in the table ``catalogue``."""
    projection = Projection("catalogue", event_stores=[products], bookmarks=bookmarks)

    def of(product_id: str) -> Update:
        return update(catalogue).where(catalogue.c.product_id == product_id)

    @projection.on(ProductListed)
    async def add(event: ProductListed, context: ProjectionContext[Transaction]) -> None:
        row = {"product_id": event.aggregate_id, **event.payload.model_dump()}
        await execute(context.transaction, insert(catalogue).values(row))

    @projection.on(PriceChanged)
    async def change_price(event: PriceChanged, context: ProjectionContext[Transaction]) -> None:
        changed = of(event.aggregate_id).values(price=event.payload.price)
        await execute(context.transaction, changed)

    @projection.on(StockReceived, StockReserved, StockReleased)
    async def change_stock(
        event: StockReceived | StockReserved | StockReleased,
        context: ProjectionContext[Transaction],
    ) -> None:
        is_reserved = isinstance(event, StockReserved)
        more = -event.payload.quantity if is_reserved else event.payload.quantity
        changed = of(event.aggregate_id).values(stock=catalogue.c.stock + more)
        await execute(context.transaction, changed)

    @projection.on(ProductWithdrawn)
    async def remove(event: ProductWithdrawn, context: ProjectionContext[Transaction]) -> None:
        gone = delete(catalogue).where(catalogue.c.product_id == event.aggregate_id)
        await execute(context.transaction, gone)

    return projection


def make_order_list(orders: OrderStore, bookmarks: Bookmarks) -> Projection[Transaction]:
    """Return the projection that keeps the orders of each customer in the table ``order_list``."""
    projection = Projection("order_list", event_stores=[orders], bookmarks=bookmarks)

    @projection.on(OrderPlaced)
    async def add(event: OrderPlaced, context: ProjectionContext[Transaction]) -> None:
        basket = event.payload
        row = insert(order_list).values(
            order_id=event.aggregate_id,
            customer_id=basket.customer_id,
            total=sum(line.quantity * line.price for line in basket.lines),
            status="placed",
        )
        await execute(context.transaction, row)

    @projection.on(OrderPaid, OrderCancelled)
    async def change_status(
        event: OrderPaid | OrderCancelled, context: ProjectionContext[Transaction]
    ) -> None:
        status = "paid" if isinstance(event, OrderPaid) else "cancelled"
        changed = update(order_list).where(order_list.c.order_id == event.aggregate_id)
        await execute(context.transaction, changed.values(status=status))

    return projection
