"""Group commands load several aggregates, decide, and push one group."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from castore_core import (
    AggregateNotFoundError,
    AssertedVersion,
    CommandOptions,
    ConflictAttempt,
    ConnectedEventStore,
    DataclassCodec,
    Drafts,
    Event,
    EventAlreadyExistsError,
    EventDraft,
    EventRecord,
    EventStore,
    ForeignEventError,
    GroupedRecord,
    IdempotencyKeyReusedError,
    InvalidEventGroupError,
    NotificationMessage,
    NotificationMessageQueue,
    NotJSONError,
    Snapshots,
    UndefinedStorageAdapterError,
    VersionAssertionError,
    group_command,
    one,
    one_existing,
    several,
    several_existing,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from castore_test_tools import RecordedMessageChannelAdapter


class Placed(Event, type="PLACED"):
    """An order was placed."""

    payload: dict[str, int]


class Confirmed(Event, type="CONFIRMED"):
    """The order was confirmed."""


@dataclass(frozen=True)
class Order:
    """An order of products."""

    aggregate_id: str
    version: int
    lines: dict[str, int] = field(default_factory=dict[str, int])


class Stocked(Event, type="STOCKED"):
    """Products came in."""

    payload: int


class Reserved(Event, type="RESERVED"):
    """Products are kept for an order."""

    payload: int


@dataclass(frozen=True)
class Product:
    """A product and its stock."""

    aggregate_id: str
    version: int
    stock: int = 0


OrderEvent = Placed | Confirmed
ProductEvent = Stocked | Reserved
OrderStore = EventStore[OrderEvent, Order]
ProductStore = EventStore[ProductEvent, Product]


def reduce_order(order: Order | None, event: OrderEvent) -> Order:
    """Compute an order."""
    if isinstance(event, Placed):
        return Order(event.aggregate_id, event.version, event.payload)
    assert order is not None
    return replace(order, version=event.version)


def reduce_product(product: Product | None, event: ProductEvent) -> Product:
    """Compute a product."""
    stock = product.stock if product else 0
    stock += event.payload if isinstance(event, Stocked) else -event.payload
    return Product(event.aggregate_id, event.version, stock)


orders: OrderStore = EventStore(
    "ORDERS",
    event_types=[Placed, Confirmed],
    reduce=reduce_order,
    aggregate_codec=DataclassCodec(Order),
)
products: ProductStore = EventStore(
    "PRODUCTS",
    event_types=[Stocked, Reserved],
    reduce=reduce_product,
    aggregate_codec=DataclassCodec(Product),
)


class Adapter(InMemoryEventStorageAdapter):
    """An adapter that remembers what it was asked for, and is overtaken where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.at_once: list[int] = []  # reads, at the beginning of each
        self.groups: list[tuple[list[str], list[tuple[str, int]]]] = []
        self.overtake: list[Callable[[], Any]] = []
        self._reading = 0

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> list[EventRecord]:
        """Read, after a while."""
        self.reads.append(aggregate_id)
        self._reading += 1
        self.at_once.append(self._reading)
        try:
            await asyncio.sleep(0)
            return await super().get_events(event_store_id, aggregate_id, **options)
        finally:
            self._reading -= 1

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Push as somebody else."""
        group = [GroupedRecord(event_store_id, record, self)]
        await super().push_event_group(group, force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Push, after somebody else did."""
        self.groups.append(
            (
                [f"{each.record.aggregate_id}.{each.record.version}" for each in group],
                [(each.aggregate_id, each.version) for each in asserted],
            )
        )
        if self.overtake:
            await self.overtake.pop()()
        await super().push_event_group(group, asserted=asserted, force=force)


@dataclass(frozen=True)
class Shop:
    """Two stores of one adapter."""

    adapter: Adapter
    orders: OrderStore
    products: ProductStore

    async def stock(self, product_id: str, amount: int, version: int = 1) -> None:
        """Let products come in."""
        await self.products.push_event(Stocked(product_id, version, payload=amount))


@pytest.fixture
async def shop() -> Shop:
    """Give a shop with ten bikes and ten bells."""
    adapter = Adapter()
    shop = Shop(adapter, orders.using(adapter), products.using(adapter))
    await shop.stock("bike", 10)
    await shop.stock("bell", 10)
    return shop


class OutOfStockError(Exception):
    """There is not enough."""


@group_command(one(orders), several_existing(products))
def place_order(
    order: Order | None, wanted: Mapping[str, Product], *, lines: dict[str, int]
) -> tuple[EventDraft[Placed] | None, dict[str, EventDraft[Reserved]]]:
    """Place an order, and reserve what it needs."""
    if order is not None:
        return None, {}
    if any(wanted[each].stock < amount for each, amount in lines.items()):
        raise OutOfStockError
    reserved = {each: Reserved.draft(payload=amount) for each, amount in lines.items() if amount}
    return Placed.draft(payload=lines), reserved


def test_the_parts_of_a_command_are_known() -> None:
    """Programs that show commands read its sources, and the annotations of its function."""
    sources = (one(orders), one_existing(orders), several(products), several_existing(products))

    def handler(*loaded: object) -> None:
        del loaded

    made = group_command(*sources)(handler)
    assert sources == made.sources
    assert [False, False, True, True] == [each.takes_several for each in made.sources]
    assert handler is made.handler_function


async def test_events_of_several_stores(shop: Shop) -> None:
    """One group has the events of all aggregates, in the order of the sources and the ids."""
    place = place_order.using(shop.orders, shop.products)

    order, reserved = await place("o1", ["bike", "bell"], lines={"bell": 2, "bike": 1})

    assert Order("o1", 1, {"bell": 2, "bike": 1}) == order
    assert [("bike", Product("bike", 2, 9)), ("bell", Product("bell", 2, 8))] == [*reserved.items()]
    assert [(["o1.1", "bike.2", "bell.2"], [])] == shop.adapter.groups
    assert order == (await shop.orders.get_aggregate("o1")).aggregate


async def test_unwritten_aggregates_are_asserted(shop: Shop) -> None:
    """An aggregate that was loaded and gets no event must not change before the write."""
    place = place_order.using(shop.orders, shop.products)

    await place("o1", ["bike", "bell"], lines={"bike": 1, "bell": 0})

    assert [(["o1.1", "bike.2"], [("bell", 1)])] == shop.adapter.groups


async def test_absence_is_asserted(shop: Shop) -> None:
    """An aggregate that was not there must still not be there."""

    @group_command(several(shop.orders), one(shop.products))
    def restock(
        _: Mapping[str, Order | None], product: Product | None
    ) -> tuple[None, EventDraft[Stocked]]:
        assert product
        return None, Stocked.draft(payload=1)

    found, _ = await restock(["o1", "o2"], "bike")

    assert {"o1": None, "o2": None} == found
    assert [(["bike.2"], [("o1", 0), ("o2", 0)])] == shop.adapter.groups


async def test_unasserted_source(shop: Shop) -> None:
    """An aggregate that is loaded for information only is left out of the assertions."""

    @group_command(one(shop.orders), several(shop.products, asserted=False))
    def place(_: Order | None, found: Mapping[str, Product | None]) -> Any:
        return Placed.draft(payload=dict.fromkeys(found, 0)), None

    shop.adapter.overtake = [lambda: shop.stock("bike", 1, version=2)]
    await place("o1", ["bike", "bell"])

    assert [(["o1.1"], [])] == shop.adapter.groups


async def test_several_drafts_of_an_aggregate(shop: Shop) -> None:
    """Drafts are numbered in their order, and the state goes from one to the next."""
    seen: list[Any] = []

    async def remember(pushed: Any) -> None:
        seen.append(pushed.next_aggregate)

    shop.products.on_event_pushed = remember

    @group_command(several(shop.products), one(shop.orders))
    def fill(
        found: Mapping[str, Product | None], _: Order | None
    ) -> tuple[dict[str, list[EventDraft[Stocked]]], list[EventDraft[OrderEvent]]]:
        return (
            {each: [Stocked.draft(payload=1), Stocked.draft(payload=2)] for each in found},
            [Placed.draft(payload={}), Confirmed.draft()],
        )

    found, order = await fill(["bike", "car"], "o1")

    assert {"bike": Product("bike", 3, 13), "car": Product("car", 2, 3)} == found
    assert Order("o1", 2) == order
    groups = [["bike.2", "bike.3", "car.1", "car.2", "o1.1", "o1.2"]]
    assert groups == [events for events, _ in shop.adapter.groups]
    assert [11, 13, 1, 3] == [each.stock for each in seen]


async def test_one_source(shop: Shop) -> None:
    """With one source, the decision and the aggregates are no tuples."""

    @group_command(one_existing(shop.products))
    async def restock(product: Product, amount: int) -> list[EventDraft[Stocked]]:
        await asyncio.sleep(0)
        return [Stocked.draft(payload=product.stock + amount)]

    @group_command(several(shop.products))
    def move(
        found: Mapping[str, Product | None],
    ) -> dict[str, EventDraft[Reserved] | EventDraft[Stocked]]:
        source, target = found
        return {target: Stocked.draft(payload=3), source: Reserved.draft(payload=3)}

    assert Product("bike", 2, 21) == await restock("bike", 1)
    moved = await move(("bike", "bell"))
    assert {"bike": Product("bike", 3, 18), "bell": Product("bell", 2, 13)} == moved
    assert ["bike.3", "bell.2"] == shop.adapter.groups[-1][0]


@pytest.mark.parametrize("decision", [None, (None, None), ([], {}), ((), {"bike": []})], ids=repr)
async def test_nothing_happens(shop: Shop, decision: Any) -> None:
    """A decision on nothing writes and asserts nothing."""

    @group_command(one(shop.orders), several(shop.products))
    def look(_: Order | None, __: Mapping[str, Product | None]) -> Any:
        return decision

    assert (None, {"bike": Product("bike", 1, 10)}) == await look("o1", ["bike"])
    assert [] == shop.adapter.groups


async def test_no_ids(shop: Shop) -> None:
    """A command can be called with no ids."""
    place = place_order.using(shop.orders, shop.products)

    assert (Order("o1", 1), {}) == await place("o1", [], lines={})


@pytest.mark.parametrize("ids", [("bike", "bell"), {"bike": 1, "bell": 2}.keys()], ids=repr)
async def test_kinds_of_ids(shop: Shop, ids: Any) -> None:
    """Ids come in any collection, and keep its order."""
    place = place_order.using(shop.orders, shop.products)

    _, found = await place("o1", ids, lines={})

    assert ["bike", "bell"] == list(found)


# Refusals


@pytest.mark.parametrize(
    ("ids", "error", "text"),
    [
        (("o1", ["bike", "bike"]), ValueError, "'bike' of event store 'PRODUCTS' is given twice"),
        (("o1", "bike"), TypeError, "ids of several aggregates are a list, not a text: 'bike'"),
        (("o1", [1]), ValueError, "aggregate_id is not a string: 1"),
        (("", ["bike"]), ValueError, "aggregate_id is empty"),
        ((["o1"], ["bike"]), ValueError, "aggregate_id is not a string"),
        (("o1",), TypeError, r"GroupCommand\('place_order'\) is called with the ids of 2 sources"),
    ],
)
async def test_bad_ids(shop: Shop, ids: Any, error: type[Exception], text: str) -> None:
    """Ids that cannot be loaded, each once, are refused before anything is read."""
    place: Any = place_order.using(shop.orders, shop.products)

    with pytest.raises(error, match=text):
        await place(*ids, lines={})

    assert [] == shop.adapter.reads


async def test_an_aggregate_of_two_sources(shop: Shop) -> None:
    """An aggregate cannot be loaded by two sources: its events would have no order."""

    @group_command(one(shop.products), several(shop.products))
    def move(_: Product | None, __: Mapping[str, Product | None]) -> None: ...

    with pytest.raises(ValueError, match=r"'bike'.* is given twice to GroupCommand\('move'\)"):
        await move("bike", ["bell", "bike"])
    assert [] == shop.adapter.reads
    await move("bike", ["bell"])


async def test_one_id_in_two_stores(shop: Shop) -> None:
    """Aggregates of two stores may have one id, and so may those of one store on two adapters."""
    elsewhere = products.using(Adapter())

    @group_command(one(shop.orders), one(shop.products), one(elsewhere))
    def look(*found: object) -> Any:
        return None, Stocked.draft(payload=len(found)), Stocked.draft(payload=1)

    expected = None, Product("bike", 2, 13), Product("bike", 1, 1)
    assert expected == await look("bike", "bike", "bike")


async def test_missing_aggregate(shop: Shop) -> None:
    """An aggregate that must exist, and does not, is named; the handler does not run."""
    place = place_order.using(shop.orders, shop.products)

    with pytest.raises(AggregateNotFoundError, match="'car'"):
        await place("o1", ["bike", "car", "plane"], lines={"none": 1})

    assert [] == shop.adapter.groups


BAD_DECISIONS: list[tuple[Any, type[Exception], str]] = [
    ((None, {"car": []}), ValueError, "'car' of event store 'PRODUCTS', which the command did"),
    ((None, []), TypeError, "by a mapping of their ids to drafts, not list"),
    ((None,), TypeError, r"handler of GroupCommand\('decide'\) returns a tuple of 2 decisions"),
    ((None, {}, None), TypeError, "returns a tuple of 2 decisions, one on each source"),
    ([None, {}], TypeError, "returns a tuple of 2 decisions, one on each source"),
    ((Confirmed("o1", 1), None), TypeError, r"returns drafts, made by draft\(\).* not Confirm"),
    ((None, {"bike": "Stocked"}), TypeError, r"returns drafts, made by draft\(\)"),
    ((Stocked.draft(payload=1), None), ForeignEventError, "STOCKED"),
]


@pytest.mark.parametrize(("decision", "error", "text"), BAD_DECISIONS)
async def test_bad_decisions(shop: Shop, decision: Any, error: type[Exception], text: str) -> None:
    """A decision that does not fit the sources is refused, and nothing is written."""

    @group_command(one(shop.orders), several(shop.products))
    def decide(_: Order | None, __: Mapping[str, Product | None]) -> Any:
        return decision

    with pytest.raises(error, match=text):
        await decide("o1", ["bike"])
    assert [] == shop.adapter.groups


async def test_all_or_none(shop: Shop) -> None:
    """If one draft is bad, none is pushed."""
    bad_draft: Any = Reserved.draft

    @group_command(one(shop.orders), one(shop.products))
    def decide(_: Order | None, __: Product | None) -> Any:
        return Placed.draft(payload={}), bad_draft(payload=float("nan"))

    with pytest.raises(NotJSONError):
        await decide("o1", "bike")
    assert [] == await shop.orders.get_events("o1")


async def test_handler_that_raises(shop: Shop) -> None:
    """A refusal is an error of the handler's own, which is not retried."""
    place = place_order.using(shop.orders, shop.products)

    with pytest.raises(OutOfStockError):
        await place("o1", ["bike"], lines={"bike": 11})
    assert ["o1", "bike"] == shop.adapter.reads
    assert [] == shop.adapter.groups


async def test_adapters_that_cannot_write_together(shop: Shop) -> None:
    """A group has one kind of adapter, and the error says which two there are."""
    place = place_order.using(orders.using(InMemoryEventStorageAdapter()), shop.products)

    with pytest.raises(InvalidEventGroupError, match="InMemoryEventStorageAdapter and Adapter"):
        await place("o1", ["bike"], lines={"bike": 1})


async def test_no_adapter() -> None:
    """A store without a storage is named before anything is read."""
    with pytest.raises(UndefinedStorageAdapterError, match="ORDERS"):
        await place_order("o1", ["bike"], lines={})


def test_what_is_no_source() -> None:
    """A command takes sources, and a source takes a store."""
    make: Any = group_command
    source: Any = one
    with pytest.raises(TypeError, match=r"needs a source, such as one\(orders\)"):
        make()
    with pytest.raises(TypeError, match=r"sources are made by one\(\).* and not EventStore"):
        make(orders)
    with pytest.raises(TypeError, match="a source takes an EventStore, not str"):
        source("ORDERS")
    with pytest.raises(TypeError, match=r"GroupCommand\('place_order'\) is a command already"):
        make(one(orders))(place_order)


# Conflicts


async def test_a_conflict_is_retried(shop: Shop) -> None:
    """After a conflict, the handler decides again on all aggregates as they are now."""
    place = place_order.using(shop.orders, shop.products)
    shop.adapter.overtake = [lambda: shop.stock("bike", 5, version=2)]

    _, found = await place("o1", ["bike"], lines={"bike": 1})

    assert {"bike": Product("bike", 3, 14)} == found
    assert [["o1.1", "bike.2"], ["o1.1", "bike.3"]] == [each for each, _ in shop.adapter.groups]


async def test_a_failed_assertion_is_retried(shop: Shop) -> None:
    """The handler also decides again if an aggregate that was only read has changed."""
    place = place_order.using(shop.orders, shop.products)
    shop.adapter.overtake = [lambda: shop.stock("bike", 5, version=2)]

    _, found = await place("o1", ["bike"], lines={"bike": 0})

    assert {"bike": Product("bike", 2, 15)} == found
    assert [[("bike", 1)], [("bike", 2)]] == [each for _, each in shop.adapter.groups]


async def test_retries_end(shop: Shop) -> None:
    """After the last retry the conflict is raised; the callback saw each one."""
    seen: list[tuple[type[Exception], ConflictAttempt]] = []

    @group_command(
        one(shop.orders),
        one(shop.products),
        event_already_exists_retries=1,
        event_already_exists_pause=0,
        on_event_already_exists=lambda error, attempt: seen.append((type(error), attempt)),
    )
    def place(order: Order | None, _: Product | None) -> tuple[EventDraft[Placed], None]:
        assert order is None
        return Placed.draft(payload={}), None

    shop.adapter.overtake = [
        lambda: shop.stock("bike", 1, version=3),
        lambda: shop.stock("bike", 1, version=2),
    ]
    with pytest.raises(VersionAssertionError):
        await place.using(shop.orders, shop.products)("o1", "bike")

    expected = [
        (VersionAssertionError, ConflictAttempt(1, 1)),
        (VersionAssertionError, ConflictAttempt(2, 0)),
    ]
    assert expected == seen


def test_options(shop: Shop) -> None:
    """A command tells its options, and keeps them on other stores; bad ones are refused."""
    options: CommandOptions = {
        "event_already_exists_retries": 1,
        "on_event_already_exists": lambda _error, _attempt: None,
    }
    command = group_command(one(orders), **options)(lambda _: None)

    for each in (command, command.using(shop.orders)):
        assert options == {
            "event_already_exists_retries": each.event_already_exists_retries,
            "on_event_already_exists": each.on_event_already_exists,
        }
    with pytest.raises(ValueError, match="event_already_exists_retries is not 0 or more"):
        group_command(one(orders), event_already_exists_retries=-1)(lambda _: None)


async def test_what_comes_up_after_the_write_is_not_retried(shop: Shop) -> None:
    """A conflict that is raised after the write is not retried: the group is written already."""

    async def fail(_: object) -> None:
        await shop.stock("bike", 1, version=1)

    shop.orders.on_event_pushed = fail
    place = place_order.using(shop.orders, shop.products)

    with pytest.raises(EventAlreadyExistsError):
        await place("o1", ["bike"], lines={"bike": 1})
    assert 1 == len(shop.adapter.groups)


async def test_concurrent_orders(shop: Shop) -> None:
    """Of many orders at once, as many succeed as there are products."""
    place = place_order.using(shop.orders, shop.products)

    answers = await asyncio.gather(
        *(place(f"o{each}", ["bike", "bell"], lines={"bike": 1, "bell": 1}) for each in range(16)),
        return_exceptions=True,
    )

    assert 6 == sum(isinstance(each, OutOfStockError) for each in answers)
    assert 10 == sum(isinstance(each, tuple) for each in answers)
    assert Product("bike", 11, 0) == (await shop.products.get_aggregate("bike")).aggregate


# Loading


async def test_aggregates_are_loaded_at_once(shop: Shop) -> None:
    """Aggregates are loaded a few at a time, and returned in the order of their ids."""

    @group_command(several(shop.orders), several(shop.products))
    def look(_: Mapping[str, Order | None], __: Mapping[str, Product | None]) -> None: ...

    ids = [f"p{each}" for each in range(30)]
    found_orders, found = await look(["o1", "o2"], [*ids, "bike"])

    assert [*ids, "bike"] == list(found)
    assert (["o1", "o2"], Product("bike", 1, 10)) == (list(found_orders), found["bike"])
    assert 33 == len(shop.adapter.reads)
    assert 8 == max(shop.adapter.at_once)


async def test_within_a_transaction_one_aggregate_is_loaded_after_the_other(shop: Shop) -> None:
    """Within a transaction there is one load at a time, since its connection does one thing."""
    inner: Any = shop.adapter
    inner.joins_transaction = True
    place = place_order.using(shop.orders, shop.products)

    with pytest.raises(AggregateNotFoundError, match="'car'"):
        await place("o1", ["bike", "car", "bell"], lines={})

    assert (["o1", "bike", "car"], 1) == (shop.adapter.reads, max(shop.adapter.at_once))


class Fails(Adapter):
    """An adapter whose reads of some aggregates fail, and of others take long."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    async def get_events(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Read, fail, or wait."""
        try:
            if aggregate_id.startswith("broken"):
                raise OSError(aggregate_id)
            if aggregate_id.startswith("foreign"):
                raise asyncio.CancelledError(aggregate_id)  # somebody else's
            await asyncio.sleep(3600 if aggregate_id.startswith("endless") else 0.01)
            return await super().get_events(event_store_id, aggregate_id, **options)
        finally:
            self.ended.append(aggregate_id)


@group_command(several(products))
def look_at(_: Mapping[str, Product | None]) -> None:
    """Load products."""


async def test_an_error_of_a_load(shop: Shop) -> None:
    """An error of a load is raised once the loads that run have ended; no other begins."""
    look = look_at.using(products.using(adapter := Fails()))
    later = [f"later{each}" for each in range(20)]
    tasks = asyncio.all_tasks()

    with pytest.raises(OSError, match="broken1"):
        await look(["slow", "broken1", "broken2", *later])

    assert ["broken1", "broken2", "slow", *later[:5]] == adapter.ended
    assert tasks == asyncio.all_tasks()
    assert [] == shop.adapter.reads


async def test_a_load_that_is_cancelled_by_others() -> None:
    """A cancellation that is not the caller's is raised as an error of the load is."""
    look = look_at.using(products.using(Fails()))

    with pytest.raises(asyncio.CancelledError, match="foreign"):
        await look(["slow", "foreign"])


async def test_a_cancelled_command_leaves_no_load_behind() -> None:
    """The loads of a cancelled command end with it."""
    look = look_at.using(products.using(adapter := Fails()))
    tasks = asyncio.all_tasks()
    command = asyncio.create_task(look(["endless1", "endless2"]))
    await asyncio.sleep(0.01)

    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command

    assert ["endless1", "endless2"] == sorted(adapter.ended)
    assert tasks == asyncio.all_tasks()


async def test_snapshots_are_used(shop: Shop) -> None:
    """Aggregates are loaded from their snapshots, and asserted at their last versions."""
    snapshots = Snapshots(
        InMemorySnapshotStorageAdapter(), every=2, reducer_version="1", in_background=False
    )
    shop.products.snapshots = snapshots
    for version in range(2, 8):
        await shop.stock("bike", 1, version=version)
    read: list[int] = []

    @group_command(one(shop.orders), several(shop.products))
    def place(_: Order | None, found: Mapping[str, Product | None]) -> Any:
        read.extend(each.version for each in found.values() if each)
        return Placed.draft(payload={}), {"bell": Stocked.draft(payload=1)}

    await place("o1", ["bike", "bell"])

    assert [7, 1] == read
    assert (["o1.1", "bell.2"], [("bike", 7)]) == shop.adapter.groups[-1]
    assert snapshots.counts["used"] > 0


async def test_connected_stores_publish(shop: Shop) -> None:
    """A connected store publishes the events of its aggregates."""
    queue = NotificationMessageQueue("QUEUE", source_event_stores=(shop.products,))
    queue.message_channel_adapter = recorded = RecordedMessageChannelAdapter()
    connected = ConnectedEventStore(shop.products, queue)
    place = place_order.using(shop.orders, connected)

    await place("o1", ["bell", "bike"], lines={"bike": 1, "bell": 2})

    messages = recorded.parse(queue)
    assert all(isinstance(each, NotificationMessage) for each in messages)
    assert [("bell", 2), ("bike", 2)] == [
        (each.event.aggregate_id, each.event.version) for each in messages
    ]


# Names, and other stores


async def test_a_command_has_the_name_of_its_handler(shop: Shop) -> None:
    """A command tells its name, its documentation and its stores."""
    assert "place_order" == place_order.command_id
    assert "GroupCommand('place_order')" == repr(place_order)
    assert "Place an order, and reserve what it needs." == place_order.__doc__
    assert (orders, products) == place_order.event_stores
    assert (shop.orders, shop.products) == place_order.using(
        shop.orders, shop.products
    ).event_stores


async def test_using_other_stores(shop: Shop) -> None:
    """The same command runs on other stores, with its sources' options, and the first stays."""
    calls: list[int] = []

    @group_command(one(orders), one(products, asserted=False))
    def place(_: Order | None, __: Product | None) -> tuple[Drafts[OrderEvent], None]:
        calls.append(1)
        return Placed.draft(payload={}), None

    elsewhere = place.using(shop.orders, shop.products)
    shop.adapter.overtake = [lambda: shop.stock("bike", 5, version=2)]

    assert (Order("o1", 1), Product("bike", 1, 10)) == await elsewhere("o1", "bike")
    assert ([1], None) == (calls, place.event_stores[0].storage_adapter)
    using: Any = place.using
    with pytest.raises(TypeError, match="has 2 event stores"):
        using(shop.orders)
    with pytest.raises(TypeError, match="a source takes an EventStore, not str"):
        using(shop.orders, "PRODUCTS")


async def test_arguments_are_the_handlers(shop: Shop) -> None:
    """Arguments that the handler does not take are refused as in any call."""
    place: Any = place_order.using(shop.orders, shop.products)

    with pytest.raises(TypeError, match="amount"):
        await place("o1", [], lines={}, amount=1)


# Keys


async def test_a_repeated_call_with_a_key(shop: Shop) -> None:
    """A repeated call pushes nothing, and returns the aggregates as they were after the first."""
    place = place_order.using(shop.orders, shop.products).with_idempotency_key("request-1")
    first = await place("o1", ["bike", "bell"], lines={"bike": 1, "bell": 0})
    await shop.products.push_event(Reserved("bike", 3, payload=9))

    assert first == await place("o1", ["bell", "bike"], lines={"bike": 1, "bell": 0})

    ((written, asserted),) = shop.adapter.groups
    assert ["o1.1", "bike.2"] == written[:2]
    assert [("bell", 1)] == asserted
    assert 3 == len(written)  # the record of the run


async def test_a_key_with_other_arguments(shop: Shop) -> None:
    """Other aggregates or other arguments are refused."""
    place = place_order.using(shop.orders, shop.products).with_idempotency_key("request-1")
    await place("o1", ["bike"], lines={"bike": 1})

    with pytest.raises(IdempotencyKeyReusedError):
        await place("o2", ["bike"], lines={"bike": 1})
    with pytest.raises(IdempotencyKeyReusedError):
        await place("o1", ["bike"], lines={"bike": 2})
    assert 1 == len(shop.adapter.groups)


async def test_a_key_of_a_command_that_decides_nothing(shop: Shop) -> None:
    """The run is recorded alone, with nothing asserted; states that were missing stay so."""

    @group_command(one(shop.orders), one_existing(shop.products))
    def look(_: Order | None, product: Product) -> None:
        seen.append(product.stock)

    seen: list[int] = []
    keyed = look.with_idempotency_key("request-1")
    first = await keyed("o1", "bike")
    await shop.orders.push_event(Placed("o1", 1, payload={}))

    assert (None, Product("bike", 1, 10)) == first == await keyed("o1", "bike")
    assert [10] == seen
    assert [1] == [len(written) for written, _ in shop.adapter.groups]
    assert [] == shop.adapter.groups[0][1]


async def test_calls_with_a_key_at_once(shop: Shop) -> None:
    """One of several calls at once has an effect, and all return the same."""
    place = place_order.using(shop.orders, shop.products).with_idempotency_key("request-1")

    results = await asyncio.gather(*(place("o1", ["bike"], lines={"bike": 1}) for _ in range(16)))

    assert [results[0]] * 16 == results
    assert 9 == (await shop.products.get_existing_aggregate("bike")).aggregate.stock
    assert 1 == len(await shop.orders.get_events("o1"))


async def test_a_key_holds_for_its_command_and_stores(shop: Shop) -> None:
    """The key of one command says nothing about another."""
    place = place_order.using(shop.orders, shop.products).with_idempotency_key("request-1")

    @group_command(one(shop.orders))
    def confirm(_: Order | None) -> EventDraft[Confirmed]:
        return Confirmed.draft()

    await place("o1", ["bike"], lines={"bike": 1})
    confirmed = await confirm.with_idempotency_key("request-1")("o1")

    assert Order("o1", 2, {"bike": 1}) == confirmed
