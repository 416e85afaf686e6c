"""The shop behind FastAPI."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shop import Origin, Shop
from shop.fastapi_app import Site, create_app

BIKE: Final = {"name": "Bike", "price": 40_000, "stock": 50}
ONE_BIKE: Final = {
    "customer_id": "misty",
    "lines": {"bike": {"quantity": 1, "price": 40_000}},
}


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """Give an engine on the database."""
    engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def app(engine: AsyncEngine) -> AsyncIterator[FastAPI]:
    """Give the application while it runs."""
    app = create_app(engine)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Give a client of a shop that sells bikes."""
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://shop") as client:
        assert 201 == (await client.put("/products/bike", json=BIKE)).status_code
        yield client


@pytest.fixture
def shop(app: FastAPI) -> Shop:
    """Give the shop itself."""
    site: Site = app.state.site
    return site.shop


async def test_an_order_from_the_basket_to_the_payment(client: AsyncClient) -> None:
    """Each step is an answer, and the list of the customer's orders shows it."""
    placed = await client.put("/orders/order-1", json=ONE_BIKE)
    assert (201, "placed") == (placed.status_code, placed.json()["status"])

    paid = await client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})
    assert (200, "paid") == (paid.status_code, paid.json()["status"])

    listed = await client.get("/customers/misty/orders")
    expected = {"order_id": "order-1", "customer_id": "misty", "total": 40_000, "status": "paid"}
    assert [expected] == listed.json()
    assert paid.json() == (await client.get("/orders/order-1")).json()


async def test_the_customer_is_thanked(client: AsyncClient, app: FastAPI) -> None:
    """The relay tells the bus of the payment, and the letters listen."""
    site: Site = app.state.site
    await client.put("/orders/order-1", json=ONE_BIKE)
    await client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})

    while (await site.followers.relay.status()).events_behind:  # noqa: ASYNC110 it counts
        await asyncio.sleep(0.01)
    await site.followers.bus_adapter.join()

    assert ["thanks for order-1"] == site.followers.letters.sent


async def test_a_cancelled_order(client: AsyncClient, shop: Shop) -> None:
    """Its pieces can be sold again."""
    await client.put("/orders/order-1", json=ONE_BIKE)

    assert 204 == (await client.delete("/orders/order-1")).status_code

    assert 50 == (await shop.products.get_existing_aggregate("bike")).aggregate.stock
    assert 409 == (await client.delete("/orders/order-1")).status_code


async def test_what_a_rule_refuses(client: AsyncClient) -> None:
    """The answer says why."""
    basket = {"customer_id": "misty", "lines": {"bike": {"quantity": 51, "price": 40_000}}}
    refused = await client.put("/orders/order-1", json=basket)
    assert (409, "product 'bike': 50 left") == (refused.status_code, refused.json()["detail"])
    assert 404 == (await client.get("/orders/order-1")).status_code
    missing = {"customer_id": "misty", "lines": {"car": {"quantity": 1, "price": 1}}}
    assert 404 == (await client.put("/orders/order-1", json=missing)).status_code
    assert 422 == (await client.put("/orders/order-1", json={"lines": {}})).status_code


async def test_a_request_that_comes_twice(client: AsyncClient, shop: Shop) -> None:
    """With the same key it gets the same answer, and orders nothing more."""
    headers = {"Idempotency-Key": "click-1"}
    first = await client.put("/orders/order-1", json=ONE_BIKE, headers=headers)
    await client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})

    second = await client.put("/orders/order-1", json=ONE_BIKE, headers=headers)

    assert (201, first.json()) == (second.status_code, second.json())
    assert 49 == (await shop.products.get_existing_aggregate("bike")).aggregate.stock
    other = await client.put("/orders/order-2", json=ONE_BIKE, headers=headers)
    assert 422 == other.status_code


async def test_events_tell_their_request(client: AsyncClient, shop: Shop) -> None:
    """Both events of the group have the id of the request; others have an id of their own."""
    await client.put("/orders/order-1", json=ONE_BIKE, headers={"X-Request-ID": "request-1"})

    (placed,) = await shop.orders.get_events("order-1")
    listed, reserved = await shop.products.get_events("bike")
    assert Origin(correlation_id="request-1") == placed.metadata == reserved.metadata
    assert listed.metadata
    assert listed.metadata.correlation_id not in {None, "request-1"}


async def test_a_hundred_customers_at_a_time(client: AsyncClient, shop: Shop) -> None:
    """Of 100 orders of 50 bikes, 50 succeed, and a rule refuses the others: none is a conflict."""

    async def order(number: int) -> Any:
        return await client.put(f"/orders/order-{number}", json=ONE_BIKE)

    answers = await asyncio.gather(*map(order, range(100)))

    assert {201: 50, 409: 50} == Counter(each.status_code for each in answers)
    refused = {each.json()["detail"] for each in answers if each.status_code == 409}
    assert {"product 'bike': 0 left"} == refused
    assert 0 == (await shop.products.get_existing_aggregate("bike")).aggregate.stock


async def test_the_catalogue(client: AsyncClient, app: FastAPI) -> None:
    """It follows the products."""
    site: Site = app.state.site
    manual = {"name": "Manual", "price": 500}
    await client.put("/products/manual", json=manual)
    await client.put("/orders/order-1", json=ONE_BIKE)
    await site.shop.receive_stock("bike", quantity=3)
    await site.shop.change_price("bike", price=39_000)
    withdrawn = await site.shop.withdraw("manual")

    await site.followers.catalogue.wait_for(withdrawn)

    expected = {"product_id": "bike", "name": "Bike", "price": 39_000, "stock": 52}
    assert [expected] == (await client.get("/products")).json()
