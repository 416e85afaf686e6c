"""The cost of an idempotency key: commands with a key beside those without, and a plain push."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import create_engine

from castore_core import AggregateCommands, EventDraft, command
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from measuring import Job, Measurement, Target, interleave
from orders import Order
from postgres_server import describe_server, opened_schema
from sizes import Measurements, Sizes
from with_castore import OrderPlaced, OrderStore, make_event, make_store
from with_castore_postgres import CastoreAsyncpg
from workload import make_id, make_payload

PUSH = "push_event alone"
PLAIN = "command: load and push"
KEYED = "command with a key"
AGGREGATE = "aggregate command"
KEYED_AGGREGATE = "aggregate command with a key"
REPEATED = "command with a key that came before"
BASELINES: Final = {
    PUSH: PLAIN,
    PLAIN: PLAIN,
    KEYED: PLAIN,
    REPEATED: PLAIN,
    AGGREGATE: AGGREGATE,
    KEYED_AGGREGATE: AGGREGATE,
}

Call = Callable[[str], Awaitable[object]]


async def measure_idempotency(sizes: Sizes) -> Measurements:
    """Place orders in memory, on SQLite and, where it answers, on PostgreSQL."""
    yield await _measure(make_store(InMemoryEventStorageAdapter()), "in memory", sizes)
    async with _opened_on_sqlite() as store:
        yield await _measure(store, "on SQLite", sizes, Target(KEYED, PLAIN, 2.0))
    if await describe_server() is not None:
        async with _opened_on_postgresql() as store:
            yield await _measure(store, "on PostgreSQL", sizes, Target(KEYED, PLAIN, 2.0))


async def _measure(store: OrderStore, where: str, sizes: Sizes, *targets: Target) -> Measurement:
    calls = _make_calls(store)
    jobs: dict[str, Job] = {
        name: partial(_call, name, call, sizes.pushes) for name, call in calls.items()
    }
    seconds = await interleave(jobs, rounds=sizes.rounds, operations=sizes.pushes)
    title = f"place an order, {where}"
    return Measurement("idempotency", title, seconds, BASELINES, targets)


async def _call(name: str, call: Call, times: int, number: int) -> None:
    for each in range(times):
        await call(make_id(f"{name} {number} {each}"))


def _make_calls(store: OrderStore) -> dict[str, Call]:
    @command("PLACE", required_event_stores=(store,))
    async def place(order_id: str, event_stores: tuple[OrderStore]) -> int:
        (orders,) = event_stores
        loaded = await orders.get_aggregate(order_id)
        assert loaded.aggregate is None
        await orders.push_event(make_event(order_id, 1, make_payload(1)))
        return 1

    commands = AggregateCommands(store)

    @commands.handler
    def place_one(order: Order | None) -> EventDraft[OrderPlaced]:
        assert order is None
        return OrderPlaced.draft(payload=make_payload(1))

    keys = count()

    async def repeat(_: str) -> object:
        first = make_id("the one that came before")
        return await place.with_idempotency_key("before")(first, (store,))

    return {
        PUSH: lambda order_id: store.push_event(make_event(order_id, 1, make_payload(1))),
        PLAIN: lambda order_id: place(order_id, (store,)),
        KEYED: lambda order_id: place.with_idempotency_key(f"{next(keys)}")(order_id, (store,)),
        REPEATED: repeat,
        AGGREGATE: place_one,
        KEYED_AGGREGATE: lambda order_id: place_one.with_idempotency_key(order_id)(order_id),
    }


@asynccontextmanager
async def _opened_on_sqlite() -> AsyncGenerator[OrderStore]:
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder)}/orders.db")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        yield make_store(adapter)
        engine.dispose()


@asynccontextmanager
async def _opened_on_postgresql() -> AsyncGenerator[OrderStore]:
    async with opened_schema() as schema:
        castore = CastoreAsyncpg()
        await castore.open(schema)
        yield castore.store
        await castore.close()
