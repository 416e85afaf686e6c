"""Event stores go on from snapshots on servers, also within the user's transactions."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from castore_core import Snapshots
from castore_sql import SQLEventStorageAdapter, SQLSnapshotStorageAdapter
from snapshot_stores import NoteStore, load_plainly, make_event, make_store, push
from sql_servers import Kind, ServerDatabase, dispose

KINDS = ["asyncpg", "psycopg", "asyncmy", "asyncmy-mysql"]
VALUES: list[Any] = ["é 🦆", 2.0, 1e22, 0.1, -0.0, {"b": 1, "a": [None, True]}]


async def make_stored(engine: AsyncEngine) -> tuple[NoteStore, SQLEventStorageAdapter]:
    """Return a store with snapshots on a server."""
    events, snapshots = SQLEventStorageAdapter(engine), SQLSnapshotStorageAdapter(engine)
    await events.create_tables()
    await snapshots.create_tables()
    taken = Snapshots(snapshots, every=3, keep=2, reducer_version="1", in_background=False)
    return make_store(taken, events), events


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_store_goes_on_from_snapshots(database: ServerDatabase, kind: Kind) -> None:
    """Values of all kinds come back as they were: neither checksum nor digest complains."""
    engine = database.make_engine(kind)
    assert isinstance(engine, AsyncEngine)
    store, _ = await make_stored(engine)
    for version, value in enumerate(VALUES, 1):
        await store.push_event(make_event(version, value))
    loaded = await store.get_aggregate("a1")
    assert (6, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    await push(store, 2, text="new", force=True)
    for expected in (None, 6):
        loaded = await store.get_aggregate("a1")
        assert (expected, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert store.snapshots is not None
    assert {"written", "used", "missing"} == store.snapshots.counts.keys()
    await dispose(engine)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_a_transaction_that_is_rolled_back(database: ServerDatabase, kind: Kind) -> None:
    """Its events are in no snapshot, whether they were new or replaced others."""
    engine = database.make_engine(kind)
    assert isinstance(engine, AsyncEngine)
    store, events = await make_stored(engine)
    await push(store, 1, 2, 3, 4)
    before = await load_plainly(store)
    async with engine.connect() as connection:
        inner = store.using(events.within(connection))
        assert 3 == (await inner.get_aggregate("a1")).snapshot_version
        await push(inner, 5, 6)
        await push(inner, 1, text="new", force=True)
        loaded = await inner.get_existing_aggregate("a1")
        assert ["new", *"23456"] == loaded.aggregate.texts
        await connection.rollback()
    for _ in range(2):
        assert before == (await store.get_aggregate("a1")).aggregate
    await dispose(engine)
