"""The shop: its stores and commands on a storage, and the readers that follow its events."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from castore_core import EventStorageAdapter, NotificationMessageBus, Snapshots
from castore_in_memory import InMemoryMessageBusAdapter, InMemorySnapshotStorageAdapter
from castore_projections import Relay
from shop._commands import (
    cancel_order,
    change_price,
    list_product,
    pay,
    place_order,
    receive_stock,
    withdraw,
)
from shop._letters import Letters
from shop._orders import OrderEvent, orders
from shop._products import ProductEvent, products
from shop._read_models import Bookmarks, make_catalogue, make_order_list


class Shop:
    """The stores and commands of the shop, on a storage.

    It is cheap to make: make one for a transaction, with ``adapter.within(connection)``.
    """

    def __init__(self, storage: EventStorageAdapter, snapshots: Snapshots | None = None) -> None:
        # Each order is an event of its products: they have many.
        self.products = products.using(storage, snapshots=snapshots)
        self.list_product = list_product.using(self.products)
        self.receive_stock = receive_stock.using(self.products)
        self.change_price = change_price.using(self.products)
        self.withdraw = withdraw.using(self.products)

        self.orders = orders.using(storage)
        self.pay = pay.using(self.orders)
        self.place_order = place_order.using(self.orders, self.products)
        self._cancel_order = cancel_order.using(self.orders, self.products)

    async def cancel_order(self, order_id: str, *, reason: str) -> None:
        """Give up an order.

        Raises:
            AggregateNotFoundError: there is no such order.
            OrderStatusError: it is paid, or given up already.
        """
        order = (await self.orders.get_existing_aggregate(order_id)).aggregate
        product_ids = [line.product_id for line in order.lines]  # they never change
        await self._cancel_order(order_id, product_ids, reason=reason)


def make_cache() -> Snapshots:
    """Return a cache of products, in this process: a load reads the events since the last one."""
    return Snapshots(InMemorySnapshotStorageAdapter(max_size=1000), every=20, keep=1)


class Followers:
    """The readers that follow the events of the shop: its read models, and the relay to its bus."""

    def __init__(self, shop: Shop, bookmarks: Bookmarks) -> None:
        self.bus: NotificationMessageBus[ProductEvent | OrderEvent] = NotificationMessageBus(
            "SHOP_EVENTS", source_event_stores=(shop.products, shop.orders)
        )
        self.letters = Letters()
        # In several processes, this is `RedisMessageBusAdapter`, say.
        self.bus_adapter = InMemoryMessageBusAdapter.attach_to(self.bus)
        self.bus_adapter.on(self.letters.thank)
        self.catalogue = make_catalogue(shop.products, bookmarks)
        self.order_list = make_order_list(shop.orders, bookmarks)
        self.relay = Relay(
            "to-the-bus",
            event_stores=[shop.products, shop.orders],
            channels=[self.bus],
            bookmarks=bookmarks,
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Follow the events in the background."""
        async with self.bus_adapter, self.catalogue, self.order_list, self.relay:
            yield

    async def run_once(self) -> None:
        """Handle the events that there are: for tests."""
        for each in (self.catalogue, self.order_list, self.relay):
            await each.run_once()
        await self.bus_adapter.join()
