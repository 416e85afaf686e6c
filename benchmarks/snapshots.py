"""What a snapshot saves: a long aggregate that has one, beside a short one that has none."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine

from castore_core import DataclassCodec, EventStore, Snapshots, SnapshotStorageAdapter
from castore_in_memory import InMemorySnapshotStorageAdapter
from castore_sql import SQLEventStorageAdapter, SQLSnapshotStorageAdapter
from measuring import Job, Measurement, Target, interleave
from orders import Order
from sizes import Measurements, Sizes
from with_castore import GROUP, ItemAdded, OrderPlaced, OrderStore, make_event, reduce_order
from workload import STORE, make_id, make_payload

TIMES = 20
SHORT = "100 events"
LONG = "10,000 events"
ON_SQLITE = "10,000 events, snapshot"
SOME_AFTER = "10,000 events, snapshot and 99 after"
IN_MEMORY = "10,000 events, cached in memory"


async def measure_snapshots(sizes: Sizes) -> Measurements:
    """Load aggregates from SQLite: whole, from a snapshot, and from a cache in memory."""
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder)}/orders.db")
        events, snapshots = SQLEventStorageAdapter(engine), SQLSnapshotStorageAdapter(engine)
        await events.create_tables()
        await snapshots.create_tables()
        plain = _make_store(events)
        lengths = {SHORT: 100, LONG: 10_000, SOME_AFTER: 10_000}
        ids = {name: make_id(name) for name in lengths}
        for name, length in lengths.items():
            await _fill(plain, ids[name], 1, length - (99 if name == SOME_AFTER else 0))
        with_snapshots = _make_store(events, snapshots)
        cached = _make_store(events, InMemorySnapshotStorageAdapter(max_size=10))
        for each in (ids[LONG], ids[SOME_AFTER]):  # which writes a snapshot of each
            await with_snapshots.get_aggregate(each)
            await cached.get_aggregate(each)
        await _fill(plain, ids[SOME_AFTER], 10_000 - 98, 10_000)
        jobs: dict[str, Job] = {
            SHORT: partial(_load, plain, ids[SHORT], (None, 100)),
            ON_SQLITE: partial(_load, with_snapshots, ids[LONG], (10_000, 1)),
            SOME_AFTER: partial(_load, with_snapshots, ids[SOME_AFTER], (9901, 100)),
            IN_MEMORY: partial(_load, cached, ids[LONG], (10_000, 1)),
        }
        seconds = await interleave(jobs, rounds=sizes.rounds, operations=TIMES)
        # Apart: whoever came after it would wait for the memory that it gives back.
        whole: dict[str, Job] = {LONG: partial(_load, plain, ids[LONG], (None, 10_000))}
        seconds |= await interleave(whole, rounds=sizes.rounds, operations=TIMES)
        engine.dispose()
    targets = [Target(each, SHORT, 1.5) for each in (ON_SQLITE, SOME_AFTER, IN_MEMORY)]
    baselines = dict.fromkeys(seconds, SHORT)
    yield Measurement("snapshots", "load from SQLite", seconds, baselines, targets)


def _make_store(
    events: SQLEventStorageAdapter, snapshots: SnapshotStorageAdapter | None = None
) -> OrderStore:
    return EventStore(
        STORE,
        event_types=[OrderPlaced, ItemAdded],
        reduce=reduce_order,
        storage_adapter=events,
        aggregate_codec=DataclassCodec(Order),
        snapshots=None if snapshots is None else Snapshots(snapshots, in_background=False),
    )


async def _fill(store: OrderStore, aggregate_id: str, first: int, last: int) -> None:
    events = [make_event(aggregate_id, each, make_payload(each)) for each in range(first, last + 1)]
    for start in range(0, len(events), GROUP):
        group = [store.group_event(each) for each in events[start : start + GROUP]]
        await EventStore.push_event_group(*group)


async def _load(
    store: OrderStore, aggregate_id: str, expected: Sequence[int | None], _: int
) -> None:
    for _ in range(TIMES):
        loaded = await store.get_existing_aggregate(aggregate_id)
        assert (*expected,) == (loaded.snapshot_version, loaded.events_read)
