"""The shop behind FastAPI, in an asynchronous program.

SHOP_DATABASE=sqlite+aiosqlite:///shop.db uvicorn --factory shop.fastapi_app:create_app
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, NonNegativeInt, PositiveInt
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.types import ASGIApp, Receive, Scope, Send

from castore_core import AggregateNotFoundError, IdempotencyKeyReusedError, event_metadata
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from shop._errors import ShopError
from shop._orders import Order
from shop._products import Product
from shop._read_models import catalogue, order_list, tables
from shop._shop import Followers, Shop, make_cache


class NewProduct(BaseModel):
    """A product to sell. Without ``stock``, it has no end."""

    name: str
    price: PositiveInt
    stock: NonNegativeInt | None = None


class NewLine(BaseModel):
    """Some pieces of a product, at the price in cents that the page has shown."""

    quantity: PositiveInt
    price: PositiveInt


class NewOrder(BaseModel):
    """The basket of a customer, by product."""

    customer_id: str
    lines: dict[str, NewLine]


class NewPayment(BaseModel):
    """A payment that was received."""

    payment_id: str


class Correlation:
    """Gives the events of a request its ``X-Request-ID``: an ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Request(scope).headers.get("x-request-id") or str(uuid4())
        with event_metadata(correlation_id=request_id):
            await self._app(scope, receive, send)


class Site:
    """The parts that the routes use, on a database of yours."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._storage = SQLEventStorageAdapter(engine)
        self._bookmarks = SQLBookmarkStorageAdapter(engine)
        self.shop = Shop(self._storage, make_cache())
        self.followers = Followers(self.shop, self._bookmarks)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Create the tables that are missing, and follow the events."""
        await self._storage.create_tables()
        await self._bookmarks.create_tables()
        async with self._engine.begin() as connection:
            await connection.run_sync(tables.create_all)
        async with self.followers.running():
            yield

    async def select(self, query: Select[Any]) -> list[dict[str, Any]]:
        """Read a read model."""
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def get_site(request: Request) -> Site:
    """Return the site of the application."""
    site: Site = request.app.state.site
    return site


OnSite = Annotated[Site, Depends(get_site)]
router = APIRouter()


@router.get("/products")
async def list_products(site: OnSite) -> list[dict[str, Any]]:
    """Show the products on sale."""
    return await site.select(select(catalogue).order_by(catalogue.c.name))


@router.put("/products/{product_id}", status_code=201)
async def offer(product_id: str, product: NewProduct, site: OnSite) -> Product | None:
    """Offer a product."""
    return await site.shop.list_product(product_id, **product.model_dump())


@router.put("/orders/{order_id}", status_code=201)
async def order(
    order_id: str,
    basket: NewOrder,
    site: OnSite,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Order | None:
    """Place an order. A request with the key of an earlier one gets the answer of that one."""
    place_order = site.shop.place_order
    if idempotency_key:
        place_order = place_order.with_idempotency_key(idempotency_key)
    placed, _ = await place_order(
        order_id,
        list(basket.lines),
        customer_id=basket.customer_id,
        quantities={each: line.quantity for each, line in basket.lines.items()},
        prices={each: line.price for each, line in basket.lines.items()},
    )
    return placed


@router.get("/orders/{order_id}")
async def show_order(order_id: str, site: OnSite) -> Order:
    """Show an order as it is."""
    return (await site.shop.orders.get_existing_aggregate(order_id)).aggregate


@router.post("/orders/{order_id}/payment")
async def pay(order_id: str, payment: NewPayment, site: OnSite) -> Order:
    """Note a payment, and wait until the list of the customer's orders shows it."""
    paid = await site.shop.pay(order_id, payment_id=payment.payment_id)
    await site.followers.order_list.wait_for(paid)
    return paid


@router.delete("/orders/{order_id}", status_code=204)
async def cancel(order_id: str, site: OnSite) -> None:
    """Give up an order."""
    await site.shop.cancel_order(order_id, reason="the customer asked for it")


@router.get("/customers/{customer_id}/orders")
async def list_orders(customer_id: str, site: OnSite) -> list[dict[str, Any]]:
    """Show the orders of a customer."""
    own = select(order_list).where(order_list.c.customer_id == customer_id)
    return await site.select(own.order_by(order_list.c.order_id))


_STATUSES: dict[type[Exception], int] = {
    ShopError: 409,
    AggregateNotFoundError: 404,
    IdempotencyKeyReusedError: 422,
}


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that a rule refuses."""
    status = next(_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES)
    return JSONResponse({"detail": str(error)}, status)


def create_app(engine: AsyncEngine | None = None) -> FastAPI:
    """Return the application, on the database of ``engine`` or of ``SHOP_DATABASE``."""
    database = engine or create_async_engine(os.environ["SHOP_DATABASE"])
    site = Site(database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with site.running():
            yield
        if engine is None:  # it is the application's own
            await database.dispose()

    app = FastAPI(title="Shop", lifespan=lifespan)
    app.state.site = site
    app.include_router(router)
    app.add_middleware(Correlation)
    for each in _STATUSES:
        app.add_exception_handler(each, refuse)
    return app
