"""The shop behind Django."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from castore_core.sync import run
from shop import Origin
from shop.django_app import get_site

ONE_BIKE = {"customer_id": "misty", "lines": {"bike": {"quantity": 1, "price": 40_000}}}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Give a client of a shop that sells bikes."""
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{tmp_path}/shop.db")
    get_site.cache_clear()
    run(get_site().shop.list_product("bike", name="Bike", price=40_000, stock=10))
    yield Client()
    get_site().close()
    get_site.cache_clear()


def test_an_order_and_its_payment(client: Client) -> None:
    """Each step is an answer, and the catalogue follows."""
    placed = client.put("/orders/order-1", ONE_BIKE, "application/json")
    assert (201, "placed") == (placed.status_code, placed.json()["status"])

    payment = {"payment_id": "payment-1"}
    paid = client.post("/orders/order-1/payment", payment, "application/json")

    assert "paid" == paid.json()["status"]
    assert paid.json() == client.get("/orders/order-1").json()
    get_site().follow_once()
    assert [9] == [each["stock"] for each in client.get("/products").json()]


def test_what_a_rule_refuses(client: Client) -> None:
    """The answer says why."""
    basket = {"customer_id": "misty", "lines": {"bike": {"quantity": 11, "price": 40_000}}}
    refused = client.put("/orders/order-1", basket, "application/json")
    assert (409, "product 'bike': 10 left") == (refused.status_code, refused.json()["detail"])
    assert 404 == client.get("/orders/order-1").status_code


def test_events_tell_their_request(client: Client) -> None:
    """They have the id that came with it."""
    headers = {"X-Request-ID": "request-1"}
    client.put("/orders/order-1", ONE_BIKE, "application/json", headers=headers)

    (placed,) = run(get_site().shop.orders.get_events("order-1"))

    assert Origin(correlation_id="request-1") == placed.metadata
