"""The cost of telemetry: not there, off, with providers that do nothing, and with the SDK."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from sqlalchemy import create_engine

from castore_core import EventStorageAdapter, EventStore
from castore_in_memory import InMemoryEventStorageAdapter
from castore_opentelemetry import instrument_castore, uninstrument_castore
from castore_sql import SQLEventStorageAdapter
from measuring import Job, Measurement, Target, interleave
from sizes import Measurements, Sizes
from with_castore import OrderEvent, OrderStore, make_event, make_store
from workload import make_id, make_payload

NOT_THERE = "without the seam"
OFF = "off"
NO_OP = "on, providers that do nothing"
SDK = "on, SDK without exporter"

IN_MEMORY_TIMES = 20
"""How many times as much is done in memory, where an operation takes microseconds."""

Call: TypeAlias = Callable[..., Awaitable[object]]


async def measure_telemetry(sizes: Sizes) -> Measurements:
    """Push and load, in memory and on SQLite, with and without telemetry."""
    rounds, pushes = 2 * sizes.rounds, sizes.pushes
    async for each in _measure(
        InMemoryEventStorageAdapter(), "in memory", rounds, IN_MEMORY_TIMES * pushes
    ):
        yield each
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder)}/orders.db")
        adapter = SQLEventStorageAdapter(engine)
        await adapter.create_tables()
        async for each in _measure(adapter, "on SQLite", rounds, pushes):
            yield each
        engine.dispose()


async def _measure(
    adapter: EventStorageAdapter, place: str, rounds: int, operations: int
) -> Measurements:
    store = make_store(adapter)
    for name, work in (("push", _push), ("load", _load)):
        jobs: dict[str, Job] = {
            NOT_THERE: partial(_run, store, work, NOT_THERE, operations),
            OFF: partial(_run, store, work, OFF, operations),
            NO_OP: partial(_run, store, work, NO_OP, operations),
            SDK: partial(_run, store, work, SDK, operations),
        }
        seconds = await interleave(jobs, rounds=rounds, operations=operations)
        title = f"telemetry: {name} {place}"
        baselines = dict.fromkeys(seconds, NOT_THERE)
        yield Measurement("telemetry", title, seconds, baselines, [Target(OFF, NOT_THERE, 1.03)])


async def _run(
    store: OrderStore,
    work: Callable[[OrderStore, Call | None, str, int], Awaitable[None]],
    name: str,
    operations: int,
    number: int,
) -> None:
    kind = "push_event" if work is _push else "get_aggregate"
    call: Any = getattr(EventStore, kind)
    if name == NOT_THERE:
        call = partial(_push_bare if work is _push else _load_bare, EventStore)
    _switch(name)
    try:
        await work(store, call, f"{kind} {name} {number}", operations)
    finally:
        uninstrument_castore()


def _switch(name: str) -> None:
    if name == NO_OP:
        instrument_castore(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
    elif name == SDK:
        instrument_castore(
            tracer_provider=TracerProvider(shutdown_on_exit=False),
            meter_provider=MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False),
        )


async def _push_bare(kind: Any, store: OrderStore, event: OrderEvent) -> object:
    """Push as a store does that does not look whether there is telemetry."""
    return await kind._push(store, event, None, force=False)


async def _load_bare(kind: Any, store: OrderStore, aggregate_id: str) -> object:
    """Load as a store does that does not look whether there is telemetry."""
    return await kind._load(store, aggregate_id, None)


async def _push(store: OrderStore, call: Any, name: str, operations: int) -> None:
    for each in range(operations):
        await call(store, make_event(make_id(f"{name} {each}"), 1, make_payload(1)))


async def _load(store: OrderStore, call: Any, name: str, operations: int) -> None:
    del name
    aggregate_id = make_id("loaded")
    if not await store.get_events(aggregate_id):
        await store.push_event(make_event(aggregate_id, 1, make_payload(1)))
    for _ in range(operations):
        await call(store, aggregate_id)
