"""The parts that the synchronous applications of the shop share."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import TypeAdapter
from sqlalchemy import Engine, insert, select

from castore_core import event_metadata
from castore_core.sync import run
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from shop._orders import Order
from shop._payments import payments
from shop._read_models import catalogue, tables
from shop._shop import Followers, Shop, make_cache

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_orders: TypeAdapter[Order | None] = TypeAdapter(Order | None)


class Correlation:
    """Gives the events of a request its ``X-Request-ID``: a WSGI middleware."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Handle a request."""
        request_id = environ.get("HTTP_X_REQUEST_ID") or str(uuid4())
        with event_metadata(correlation_id=request_id):
            return self._app(environ, start_response)


class SyncShop:
    """The work of the views, on a database of yours."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._storage = SQLEventStorageAdapter(engine)
        self._bookmarks = SQLBookmarkStorageAdapter(engine)
        self.shop = Shop(self._storage, make_cache())

    def create_tables(self) -> None:
        """Create the tables that are missing."""
        run(self._storage.create_tables())
        run(self._bookmarks.create_tables())
        tables.create_all(self._engine)

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def follow_once(self) -> None:
        """Handle the events that there are: for a test, or a job that runs each minute."""
        run(Followers(self.shop, self._bookmarks).run_once())

    def place_order(
        self, order_id: str, customer_id: str, lines: dict[str, dict[str, int]]
    ) -> Order | None:
        """Order some pieces of products, each line with its ``quantity`` and its ``price``."""
        placed, _ = run(
            self.shop.place_order(
                order_id,
                list(lines),
                customer_id=customer_id,
                quantities={each: line["quantity"] for each, line in lines.items()},
                prices={each: line["price"] for each, line in lines.items()},
            )
        )
        return placed

    def pay(self, order_id: str, payment_id: str) -> Order:
        """Note a payment: its row and the event of the order are committed together."""
        with self._engine.begin() as connection:
            shop = Shop(self._storage.within(connection))
            paid = run(shop.pay(order_id, payment_id=payment_id))
            row = {"payment_id": payment_id, "order_id": order_id}
            connection.execute(insert(payments).values(row))
        return paid

    def list_products(self) -> list[dict[str, Any]]:
        """Return the products on sale."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(catalogue).order_by(catalogue.c.name))
            return [dict(row) for row in rows.mappings()]


def to_json(order: Order | None) -> dict[str, Any]:
    """Return an order as JSON values."""
    encoded: dict[str, Any] = _orders.dump_python(order, mode="json")
    return encoded
