"""With snapshots, an aggregate is the one that its events alone make, whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from castore_core import (
    EventStorageAdapter,
    EventStore,
    JSONValue,
    Snapshot,
    SnapshotOccasion,
    Snapshots,
    SnapshotStorageAdapter,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from castore_sql import SQLEventStorageAdapter, SQLSnapshotStorageAdapter
from snapshot_stores import (
    STORE,
    Note,
    NoteBegun,
    NoteStore,
    TextAdded,
    make_event,
    make_store,
    reduce_note,
)

Storages: TypeAlias = tuple[EventStorageAdapter, SnapshotStorageAdapter]
Step: TypeAlias = tuple[str, int]

MOST_VERSIONS = 12


@asynccontextmanager
async def in_memory() -> AsyncGenerator[Storages]:
    """Give storages in memory."""
    yield InMemoryEventStorageAdapter(), InMemorySnapshotStorageAdapter()


@asynccontextmanager
async def bounded() -> AsyncGenerator[Storages]:
    """Give a small cache."""
    yield InMemoryEventStorageAdapter(), InMemorySnapshotStorageAdapter(max_size=3)


@asynccontextmanager
async def on_sqlite() -> AsyncGenerator[Storages]:
    """Give storages in one file."""
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder)}/events.db")
        events, snapshots = SQLEventStorageAdapter(engine), SQLSnapshotStorageAdapter(engine)
        await events.create_tables()
        await snapshots.create_tables()
        yield events, snapshots
        engine.dispose()


def reduce_loudly(note: Note | None, event: NoteBegun | TextAdded) -> Note:
    """Reduce otherwise, and change the state that was given."""
    texts = [] if note is None else note.texts
    texts.append(event.payload["text"].upper() + "!")
    return Note(event.aggregate_id, event.version, texts)


REDUCERS = {"quiet": reduce_note, "loud": reduce_loudly}


@dataclass
class History:
    """What is done with an aggregate, by stores with two reducers."""

    steps: list[Step]
    every: int | None
    wanted: frozenset[int]
    keep: int | None
    in_background: bool
    is_computed: bool
    taken: set[int] = field(default_factory=set[int], init=False)

    def make_snapshots(self, adapter: SnapshotStorageAdapter, name: str) -> Snapshots:
        """Return the snapshots of a reducer."""

        def policy(occasion: SnapshotOccasion) -> bool:
            return occasion.event.version in self.wanted

        return Snapshots(
            adapter,
            every=self.every,
            policy=None if self.every else policy,
            keep=self.keep,
            in_background=self.in_background,
            reducer_version=None if self.is_computed else name,
        )

    async def play(self, events: EventStorageAdapter, snapshots: SnapshotStorageAdapter) -> None:
        """Do it, and compare after each step."""
        made = {name: self.make_snapshots(snapshots, name) for name in REDUCERS}
        stores = [
            make_store(made[name], events, reduce=reduce) for name, reduce in REDUCERS.items()
        ]
        for step in self.steps:
            await self.do(step, stores[step[1] % 2], snapshots)
            for each in stores:
                await self.compare(each, None if step[1] % 3 else step[1])
        for each in made.values():
            await each.drain()
        for version in (None, *range(MOST_VERSIONS + 2)):
            for each in stores:
                await self.compare(each, version)

    async def do(self, step: Step, store: NoteStore, snapshots: SnapshotStorageAdapter) -> None:
        """Do one thing."""
        name, number = step
        text = f"{name}{number}"
        last = max(self.taken, default=0)
        version = number % (last + 1) or 1
        free = next(each for each in count(1) if each not in self.taken)
        match name:
            case "push" if free <= MOST_VERSIONS:  # also where force has left a gap
                self.taken.add(free)
                await store.push_event(make_event(free, text))
            case "group" if last + 2 <= MOST_VERSIONS and free == last + 1:
                self.taken |= {last + 1, last + 2}
                events = [make_event(last + each, text) for each in (1, 2)]
                await EventStore.push_event_group(*[store.group_event(each) for each in events])
            case "force" if last:
                self.taken.add(version)
                await store.push_event(make_event(version, text), force=True)
            case "gap" if 0 < last <= MOST_VERSIONS - 2:
                self.taken.add(last + 2)
                await store.push_event(make_event(last + 2, text), force=True)
            case "corrupt":
                await self.corrupt(snapshots, version)
            case "forget":
                await snapshots.delete_snapshots(STORE, max_version=version)
            case _:
                pass

    async def corrupt(self, snapshots: SnapshotStorageAdapter, version: int) -> None:
        """Overwrite the state of a snapshot."""
        for reducer_version in await snapshots.get_reducer_versions(STORE, "a1"):
            found = await snapshots.get_snapshot(
                STORE, "a1", reducer_version=reducer_version, max_version=version
            )
            if found is not None and isinstance(found.aggregate, dict):
                state: JSONValue = {"aggregate_id": "a1", "version": version, "texts": ["x"]}
                value: dict[str, JSONValue] = {**found.aggregate, "state": state}
                await snapshots.put_snapshot(Snapshot(*found[:4], value))

    async def compare(self, store: NoteStore, max_version: int | None) -> None:
        """Compare an aggregate with the one of a store without snapshots."""
        plain = make_store(None, store.get_storage_adapter(), reduce=store.reduce)
        expected = await plain.get_aggregate("a1", max_version=max_version)
        found = await store.get_aggregate("a1", max_version=max_version)
        assert (expected.aggregate, expected.last_event) == (found.aggregate, found.last_event)
        first = found.snapshot_version or 0
        assert [each.version for each in expected.events if each.version > first] == [
            each.version for each in found.events
        ]


names = st.sampled_from(["push", "push", "push", "group", "force", "gap", "corrupt", "forget"])
histories = st.builds(
    History,
    steps=st.lists(st.tuples(names, st.integers(0, 20)), min_size=4, max_size=25),
    every=st.none() | st.integers(1, 4),
    wanted=st.frozensets(st.integers(1, MOST_VERSIONS)),
    keep=st.none() | st.integers(1, 3),
    in_background=st.booleans(),
    is_computed=st.booleans(),
)

KINDS: dict[str, tuple[Callable[[], AbstractAsyncContextManager[Storages]], int]] = {
    "in memory": (in_memory, 300),
    "bounded": (bounded, 200),
    "SQLite": (on_sqlite, 40),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_history(kind: str) -> None:
    """For any events, policy, forced event and reducer version, the aggregates are equal."""
    storages, max_examples = KINDS[kind]

    @settings(max_examples=max_examples)
    @given(histories)
    def check(history: History) -> None:
        async def play() -> None:
            async with storages() as found:
                await history.play(*found)

        asyncio.run(play())

    check()


class YieldingSnapshots(InMemorySnapshotStorageAdapter):
    """Lets other tasks have a turn before and after."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Put."""
        await asyncio.sleep(0)
        await super().put_snapshot(snapshot)
        await asyncio.sleep(0)

    async def get_snapshot(self, *args: Any, **options: Any) -> Snapshot | None:
        """Get."""
        await asyncio.sleep(0)
        found = await super().get_snapshot(*args, **options)
        await asyncio.sleep(0)
        return found


class YieldingEvents(InMemoryEventStorageAdapter):
    """Lets other tasks have a turn before and after."""

    async def get_events(self, *args: Any, **options: Any) -> Any:
        """Read."""
        await asyncio.sleep(0)
        found = await super().get_events(*args, **options)
        await asyncio.sleep(0)
        return found


@pytest.mark.parametrize("delay", range(0, 60, 2))
async def test_a_writer_a_reader_and_a_replacer_at_once(delay: int) -> None:
    """However tasks take turns, no store is left with a stale snapshot."""
    events, adapter = YieldingEvents(), YieldingSnapshots()
    replacer, reader, writer = stores = [
        make_store(Snapshots(adapter, every=1, reducer_version="1"), events) for _ in range(3)
    ]
    for version in range(1, 6):
        await writer.push_event(make_event(version))

    async def replace() -> None:
        for _ in range(delay):
            await asyncio.sleep(0)
        await replacer.push_event(make_event(2, "new"), force=True)

    async def read() -> None:
        for _ in range(5):
            await reader.get_aggregate("a1")

    async def write() -> None:
        for version in range(6, 9):
            await writer.push_event(make_event(version))

    await asyncio.gather(replace(), read(), write())
    for each in stores:
        assert each.snapshots is not None
        await each.snapshots.drain()
        loaded = await each.get_existing_aggregate("a1")
        assert ["1", "new", *"345678"] == loaded.aggregate.texts
