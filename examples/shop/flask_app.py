"""The shop behind Flask, in a synchronous program.

SHOP_DATABASE=sqlite:///shop.db flask --app shop.flask_app run
"""

import os
from typing import Any

from flask import Flask, request
from sqlalchemy import Engine, create_engine

from castore_core import AggregateNotFoundError
from castore_core.sync import run
from shop._errors import ShopError
from shop._wsgi import Correlation, SyncShop, to_json


def create_app(engine: Engine | None = None) -> Flask:
    """Return the application, on the database of ``engine`` or of ``SHOP_DATABASE``."""
    site = SyncShop(engine or create_engine(os.environ["SHOP_DATABASE"]))
    site.create_tables()
    app = Flask(__name__)
    app.wsgi_app = Correlation(app.wsgi_app)

    @app.errorhandler(ShopError)
    def refuse(error: ShopError) -> tuple[dict[str, str], int]:
        return {"detail": str(error)}, 409

    @app.errorhandler(AggregateNotFoundError)
    def miss(error: AggregateNotFoundError) -> tuple[dict[str, str], int]:
        return {"detail": str(error)}, 404

    @app.get("/products")
    def list_products() -> list[dict[str, Any]]:
        return site.list_products()

    @app.put("/orders/<order_id>")
    def order(order_id: str) -> tuple[dict[str, Any], int]:
        lines: dict[str, dict[str, int]] = request.json["lines"]
        placed = site.place_order(order_id, request.json["customer_id"], lines)
        return to_json(placed), 201

    @app.get("/orders/<order_id>")
    def show_order(order_id: str) -> dict[str, Any]:
        return to_json(run(site.shop.orders.get_existing_aggregate(order_id)).aggregate)

    @app.post("/orders/<order_id>/payment")
    def pay(order_id: str) -> dict[str, Any]:
        return to_json(site.pay(order_id, request.json["payment_id"]))

    return app
