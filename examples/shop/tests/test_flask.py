"""The shop behind Flask."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, func, select

from castore_core.sync import run
from shop import Origin, payments
from shop._wsgi import SyncShop
from shop.flask_app import create_app

ONE_BIKE = {"customer_id": "misty", "lines": {"bike": {"quantity": 1, "price": 40_000}}}


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Give an engine on the database."""
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine: Engine) -> SyncShop:
    """Give a shop that sells bikes."""
    site = SyncShop(engine)
    site.create_tables()
    run(site.shop.list_product("bike", name="Bike", price=40_000, stock=10))
    return site


@pytest.fixture
def app(engine: Engine) -> Flask:
    """Give the application."""
    return create_app(engine)


def count_payments(engine: Engine) -> int:
    """Return how many rows of payments there are."""
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(payments)) or 0


@pytest.mark.usefixtures("site")
def test_an_order_and_its_payment(app: Flask, engine: Engine) -> None:
    """The row of the payment and the event of the order are there."""
    client = app.test_client()
    assert 201 == client.put("/orders/order-1", json=ONE_BIKE).status_code

    paid = client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})

    assert "paid" == paid.get_json()["status"]
    assert paid.json == client.get("/orders/order-1").json
    assert 1 == count_payments(engine)


@pytest.mark.usefixtures("site")
def test_a_payment_that_a_rule_refuses(app: Flask, engine: Engine) -> None:
    """Neither its row nor an event is stored."""
    client = app.test_client()
    client.put("/orders/order-1", json=ONE_BIKE)
    client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})

    refused = client.post("/orders/order-1/payment", json={"payment_id": "payment-2"})

    assert 409 == refused.status_code
    again = client.post("/orders/order-1/payment", json={"payment_id": "payment-1"})
    assert (409, 1) == (again.status_code, count_payments(engine))
    missing = client.post("/orders/order-2/payment", json={"payment_id": "payment-3"})
    assert 404 == missing.status_code
    assert 1 == count_payments(engine)


def test_events_tell_their_request(app: Flask, site: SyncShop) -> None:
    """They have the id that came with it."""
    headers = {"X-Request-ID": "request-1"}
    app.test_client().put("/orders/order-1", json=ONE_BIKE, headers=headers)

    (placed,) = run(site.shop.orders.get_events("order-1"))

    assert Origin(correlation_id="request-1") == placed.metadata


def test_many_threads(app: Flask, site: SyncShop) -> None:
    """Of 40 orders of 10 bikes in 8 threads, 10 succeed, and a rule refuses the others."""

    def order(number: int) -> int:
        return app.test_client().put(f"/orders/order-{number}", json=ONE_BIKE).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(order, range(40)))

    assert {201: 10, 409: 30} == statuses
    site.follow_once()
    assert [0] == [each["stock"] for each in app.test_client().get("/products").get_json()]
