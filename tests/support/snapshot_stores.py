"""An event store whose aggregates tell all their events apart, and storages that misbehave."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from castore_core import (
    DataclassCodec,
    Event,
    EventStorageAdapter,
    EventStore,
    JSONValue,
    Snapshot,
    SnapshotOccasion,
    Snapshots,
    SnapshotStorageAdapter,
    StorageError,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter

STORE = "NOTES"


class Text(TypedDict):
    """What was added."""

    text: str


class NoteBegun(Event, type="NOTE_BEGUN"):
    """A note is there."""

    payload: Text


class TextAdded(Event, type="TEXT_ADDED"):
    """It became longer."""

    payload: Text


@dataclass(frozen=True)
class Note:
    """All the texts of a note."""

    aggregate_id: str
    version: int
    texts: list[JSONValue]


def reduce_note(note: Note | None, event: NoteBegun | TextAdded) -> Note:
    """Add a text."""
    texts = [] if note is None else note.texts
    return Note(event.aggregate_id, event.version, [*texts, event.payload["text"]])


NoteStore = EventStore[NoteBegun | TextAdded, Note]


def make_event(version: int, text: str = "", aggregate_id: str = "a1") -> NoteBegun | TextAdded:
    """Return an event of a version."""
    event_type = NoteBegun if version == 1 else TextAdded
    return event_type(aggregate_id, version, payload={"text": text or str(version)})


def make_store(
    snapshots: Snapshots | None = None,
    storage_adapter: EventStorageAdapter | None = None,
    *,
    reduce: Callable[[Note | None, NoteBegun | TextAdded], Note] = reduce_note,
    **options: Any,
) -> NoteStore:
    """Return a store of notes."""
    return EventStore(
        STORE,
        event_types=[NoteBegun, TextAdded],
        reduce=reduce,
        storage_adapter=storage_adapter or InMemoryEventStorageAdapter(),
        aggregate_codec=options.pop("aggregate_codec", DataclassCodec(Note)),
        snapshots=snapshots,
        **options,
    )


def make_snapshots(
    adapter: SnapshotStorageAdapter | None = None, *, in_background: bool = False, **options: Any
) -> Snapshots:
    """Return snapshots of reducer version 1, written at once at each third version."""
    every = None if "policy" in options else 3
    options = {"every": every, "reducer_version": "1", "in_background": in_background, **options}
    return Snapshots(InMemorySnapshotStorageAdapter() if adapter is None else adapter, **options)


def never(_: SnapshotOccasion) -> bool:
    """Write no snapshots: a policy."""
    return False


async def push(store: NoteStore, *versions: int, text: str = "", force: bool = False) -> None:
    """Push events, one by one."""
    for each in versions:
        await store.push_event(make_event(each, text), force=force)


async def load_plainly(store: NoteStore, max_version: int | None = None) -> Note | None:
    """Return the aggregate as it is without snapshots."""
    plain = make_store(None, store.get_storage_adapter())
    return (await plain.get_aggregate("a1", max_version=max_version)).aggregate


class FailingSnapshots(InMemorySnapshotStorageAdapter):
    """A storage whose methods fail, those that are named in ``failing``."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self.failing = set(failing)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Fail, or put."""
        self._fail("put")
        await super().put_snapshot(snapshot)

    async def get_snapshot(self, *args: Any, **options: Any) -> Snapshot | None:
        """Fail, or get."""
        self._fail("get")
        return await super().get_snapshot(*args, **options)

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Fail, or get."""
        self._fail("versions")
        return await super().get_reducer_versions(event_store_id, aggregate_id)

    async def delete_snapshots(self, *args: Any, **options: Any) -> None:
        """Fail, or delete."""
        self._fail("delete")
        await super().delete_snapshots(*args, **options)

    def _fail(self, name: str) -> None:
        if name in self.failing:
            raise StorageError(f"{name} failed")


class SlowSnapshots(InMemorySnapshotStorageAdapter):
    """A storage that writes when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()
        self.puts = 0

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Wait, and put."""
        self.puts += 1
        await self.may_write.wait()
        await super().put_snapshot(snapshot)


async def find_snapshots(
    adapter: InMemorySnapshotStorageAdapter, reducer_version: str = "1", aggregate_id: str = "a1"
) -> list[int]:
    """Return the versions that have a snapshot, the newest first."""
    versions: list[int] = []
    bound: int | None = None
    while bound is None or bound > 0:
        found = await adapter.get_snapshot(
            STORE, aggregate_id, reducer_version=reducer_version, max_version=bound
        )
        if found is None:
            break
        versions.append(found.version)
        bound = found.version - 1
    return versions
