"""The shop behind Django, in a synchronous program, with all of its settings in one file.

SHOP_DATABASE=sqlite:///shop.db python -m shop.django_app runserver
"""

import os
import sys
from collections.abc import Callable
from functools import cache
from json import loads
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from sqlalchemy import create_engine

from castore_core import AggregateNotFoundError, event_metadata
from castore_core.sync import run
from shop._errors import ShopError
from shop._wsgi import SyncShop, to_json

Handler = Callable[[HttpRequest], HttpResponse]


@cache
def get_site() -> SyncShop:
    """Return the shop on the database of ``SHOP_DATABASE``, the same for each request."""
    site = SyncShop(create_engine(os.environ["SHOP_DATABASE"]))
    site.create_tables()
    return site


class Shopkeeper:
    """A middleware: events tell their request, and the rules of the shop answer for themselves."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle a request."""
        request_id = request.headers.get("X-Request-ID") or str(uuid4())
        with event_metadata(correlation_id=request_id):
            return self._get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer where a rule says no."""
        if isinstance(error, ShopError):
            return JsonResponse({"detail": str(error)}, status=409)
        if isinstance(error, AggregateNotFoundError):
            return JsonResponse({"detail": str(error)}, status=404)
        return None


@require_GET
def list_products(_: HttpRequest) -> HttpResponse:
    """Show the products on sale."""
    return JsonResponse(get_site().list_products(), safe=False)


@require_http_methods(["GET", "PUT"])
def order(request: HttpRequest, order_id: str) -> HttpResponse:
    """Show an order, or place it."""
    site = get_site()
    if request.method == "GET":
        loaded = run(site.shop.orders.get_existing_aggregate(order_id))
        return JsonResponse(to_json(loaded.aggregate))
    basket: dict[str, Any] = loads(request.body)
    placed = site.place_order(order_id, basket["customer_id"], basket["lines"])
    return JsonResponse(to_json(placed), status=201)


@require_POST
def pay(request: HttpRequest, order_id: str) -> HttpResponse:
    """Note a payment."""
    return JsonResponse(to_json(get_site().pay(order_id, loads(request.body)["payment_id"])))


urlpatterns: Final = [
    path("products", list_products),
    path("orders/<str:order_id>", order),
    path("orders/<str:order_id>/payment", pay),
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["shop.django_app.Shopkeeper"],
        ROOT_URLCONF="shop.django_app",
        SECRET_KEY=os.environ.get("SHOP_SECRET_KEY", "not used: there are no sessions"),
    )

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
