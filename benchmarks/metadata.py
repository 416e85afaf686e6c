"""The cost of metadata: a plain push, one with metadata in the event, and one within a context."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NotRequired, TypedDict

from sqlalchemy import create_engine

from castore_core import Event, EventStorageAdapter, EventStore, JSONValue, event_metadata
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from measuring import Job, Measurement, Target, interleave
from orders import Order, begin_order
from sizes import Measurements, Sizes
from workload import PLACED, STORE, ItemPayload, make_id, make_payload

PLAIN = "plain push"
BY_HAND = "two keys in the event"
IN_CONTEXT = "two keys of the context"
HOOK = "a hook that looks"

MEMORY_FACTOR = 20  # how many more pushes there are in memory


class Trace(TypedDict):
    """The metadata of the orders."""

    correlation_id: NotRequired[str]
    actor: NotRequired[str]


class OrderPlaced(Event, type=PLACED):
    """An order began, with its first item."""

    payload: ItemPayload
    metadata: Trace | None = None


Orders = EventStore[OrderPlaced, Order]
VALUES: dict[str, JSONValue] = {
    "correlation_id": "5ba97b64-2b0c-44d1-a11a-4e6a9a5b0ed8",
    "actor": "misty",
}
TRACE = Trace(correlation_id="5ba97b64-2b0c-44d1-a11a-4e6a9a5b0ed8", actor="misty")


async def measure_metadata(sizes: Sizes) -> Measurements:
    """Push first events one after the other, in memory and on SQLite."""
    memory = InMemoryEventStorageAdapter()
    yield await _measure("in memory", memory, sizes.rounds, sizes.pushes * MEMORY_FACTOR)
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder)}/orders.db")
        adapter = SQLEventStorageAdapter(engine, commits_in_loop=True)
        await adapter.create_tables()
        yield await _measure("on SQLite", adapter, sizes.rounds, sizes.pushes)
        engine.dispose()


@dataclass(frozen=True)
class _Way:
    """A way to push orders, each in a context of its own, as each request has one."""

    store: Orders
    name: str
    metadata: Trace | None = None
    within: Callable[[], AbstractContextManager[None]] = nullcontext

    async def push(self, pushes: int, number: int) -> None:
        """Push orders."""
        for index in range(pushes):
            with self.within():
                order = make_id(f"{self.name} {number} {index}")
                event = OrderPlaced(order, 1, payload=make_payload(1), metadata=self.metadata)
                await self.store.push_event(event)


async def _measure(
    place: str, adapter: EventStorageAdapter, rounds: int, pushes: int
) -> Measurement:
    plain, hooked = _make_store(adapter), _make_store(adapter, prepare_event=_look)
    ways = [
        _Way(plain, PLAIN),
        _Way(plain, BY_HAND, metadata=TRACE),
        _Way(plain, IN_CONTEXT, within=lambda: event_metadata(VALUES)),
        _Way(hooked, HOOK),
    ]
    jobs: dict[str, Job] = {each.name: partial(each.push, pushes) for each in ways}
    seconds = await interleave(jobs, rounds=rounds, operations=pushes)
    targets = [Target(IN_CONTEXT, PLAIN, 1.5), Target(HOOK, PLAIN, 1.1)]
    baselines = dict.fromkeys(seconds, PLAIN)
    return Measurement("metadata", f"push {place}", seconds, baselines, targets)


def _make_store(
    adapter: EventStorageAdapter, prepare_event: Callable[[OrderPlaced], OrderPlaced] | None = None
) -> Orders:
    return EventStore(
        STORE,
        event_types=[OrderPlaced],
        reduce=_reduce,
        storage_adapter=adapter,
        prepare_event=prepare_event,
    )


def _reduce(_: Order | None, event: OrderPlaced) -> Order:
    return begin_order(event.aggregate_id, event.version, event.payload)


def _look(event: OrderPlaced) -> OrderPlaced:
    return event
