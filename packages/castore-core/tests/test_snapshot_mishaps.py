"""Whatever happens to snapshots, or to their storage, aggregates are the same as without them."""

import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from castore_core import (
    EventStore,
    InvalidEventGroupError,
    JSONValue,
    Snapshot,
    Snapshots,
    StorageError,
    UnknownOutcomeError,
    VersionAssertionError,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from snapshot_stores import (
    STORE,
    FailingSnapshots,
    NoteStore,
    find_snapshots,
    load_plainly,
    make_event,
    make_snapshots,
    make_store,
    never,
    push,
)

HIDDEN = "hunter2"


async def make_history(adapter: InMemorySnapshotStorageAdapter, last: int = 8) -> NoteStore:
    """Return a store with events, and with snapshots at 3 and 6."""
    store = make_store(make_snapshots(adapter))
    await push(store, *range(1, last + 1))
    return store


def begin_anew(store: NoteStore, adapter: InMemorySnapshotStorageAdapter) -> Snapshots:
    """Give a store snapshots on the same storage that have counted nothing yet."""
    store.snapshots = snapshots = make_snapshots(adapter, policy=never)
    return snapshots


async def take(adapter: InMemorySnapshotStorageAdapter, version: int) -> Snapshot:
    """Return the snapshot of a version."""
    found = await adapter.get_snapshot(STORE, "a1", reducer_version="1", max_version=version)
    assert found is not None
    return found


def change(**values: JSONValue) -> Callable[[Snapshot], Snapshot]:
    """Return a function that changes what a snapshot holds."""

    def changed(snapshot: Snapshot) -> Snapshot:
        content = cast("dict[str, JSONValue]", snapshot.aggregate)
        return snapshot._replace(aggregate={**content, **values})

    return changed


STATE: JSONValue = {"aggregate_id": "a1", "version": 6, "texts": ["made up"]}

CORRUPTIONS: dict[str, Callable[[Snapshot], Snapshot]] = {
    "no content": lambda snapshot: snapshot._replace(aggregate=None),
    "a list": lambda snapshot: snapshot._replace(aggregate=[]),
    "the state alone": lambda snapshot: snapshot._replace(aggregate=STATE),
    "another state": change(state=STATE),
    "a text": change(state="state"),
    "no checksum": change(checksum=None),
    "more": change(more=1),
    "another event": change(event="0"),
    "another generation": change(generation="0"),
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
async def test_a_corrupt_snapshot_is_not_used(
    corrupt: Callable[[Snapshot], Snapshot], caplog: pytest.LogCaptureFixture
) -> None:
    """The one before is; the corruption is counted, and logged without values."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    await adapter.put_snapshot(corrupt(await take(adapter, 6)))
    snapshots = begin_anew(store, adapter)
    loaded = await store.get_aggregate("a1")
    assert (3, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert {"corrupt": 1, "used": 1} == snapshots.counts
    assert ["castore_core"] == [each.name for each in caplog.records]
    assert "made up" not in caplog.text


async def test_the_snapshot_of_another_version_is_not_used() -> None:
    """A checksum holds for one place."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    await adapter.put_snapshot((await take(adapter, 3))._replace(version=7))
    snapshots = begin_anew(store, adapter)
    assert 6 == (await store.get_aggregate("a1")).snapshot_version
    assert {"corrupt": 1, "used": 1} == snapshots.counts


async def test_many_snapshots_that_cannot_be_used() -> None:
    """After some of them, all the events are read."""
    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(make_snapshots(adapter, every=1))
    await push(store, *range(1, 31))
    for version in range(10, 31):
        await adapter.put_snapshot((await take(adapter, version))._replace(aggregate=None))
    snapshots = begin_anew(store, adapter)
    loaded = await store.get_aggregate("a1")
    assert (None, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert snapshots.counts["corrupt"] < 10


async def test_a_corrupt_snapshot_is_replaced() -> None:
    """The next one that is written heals it."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter, last=6)
    for version in (3, 6):
        await adapter.put_snapshot((await take(adapter, version))._replace(aggregate=None))
    assert (await store.get_aggregate("a1")).snapshot_version is None
    assert 6 == (await store.get_aggregate("a1")).snapshot_version


@pytest.mark.parametrize("failing", [["get"], ["put"], ["delete"], ["versions"], ["get", "put"]])
async def test_a_storage_that_fails(failing: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """No push and no load fails with it."""
    adapter = FailingSnapshots(*failing)
    snapshots = make_snapshots(adapter, keep=1)
    store = make_store(snapshots)
    await push(store, *range(1, 8))
    loaded = await store.get_aggregate("a1")
    assert await load_plainly(store) == loaded.aggregate
    adapter.failing.clear()
    assert await load_plainly(store) == (await store.get_aggregate("a1")).aggregate
    if failing != ["versions"]:  # which are looked up where a snapshot is missing
        assert snapshots.counts.keys() & {"unreadable", "not_written"}
        assert {logging.WARNING} == {each.levelno for each in caplog.records}


async def test_a_storage_that_gives_something_else() -> None:
    """The snapshot of another aggregate or reducer, or of a later version, is refused."""

    class Confused(InMemorySnapshotStorageAdapter):
        changes: dict[str, Any]

        async def get_snapshot(self, *args: Any, **options: Any) -> Snapshot | None:
            found = await super().get_snapshot(*args, **options)
            return found and found._replace(**self.changes)

    adapter = Confused()
    adapter.changes = {}
    store = await make_history(adapter)
    for name, value in (
        ("aggregate_id", "a2"),
        ("event_store_id", "OTHER"),
        ("reducer_version", "2"),
        ("version", 100),
        ("version", 0),
        ("version", "6"),
    ):
        adapter.changes = {name: value}
        snapshots = begin_anew(store, adapter)
        loaded = await store.get_aggregate("a1", max_version=7)
        assert (None, await load_plainly(store, 7)) == (loaded.snapshot_version, loaded.aggregate)
        assert {"unreadable": 1} == snapshots.counts


async def test_a_codec_that_refuses() -> None:
    """An undecodable snapshot is passed over, whatever the codec raises or returns."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)

    class Codec:
        def __init__(self, result: Any) -> None:
            self.result = result

        def encode(self, _: Any) -> JSONValue:
            raise LookupError

        def decode(self, _: JSONValue) -> Any:
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    note = await load_plainly(store, 4)
    for result in (LookupError(HIDDEN), None, "text", note):
        snapshots = make_snapshots(adapter)
        other = make_store(snapshots, store.storage_adapter, aggregate_codec=Codec(result))
        loaded = await other.get_aggregate("a1")
        assert (None, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
        assert {"undecodable": 2, "not_written": 1} == snapshots.counts


async def test_events_that_are_gone() -> None:
    """A snapshot ahead of the events, which were lost or deleted, is not used."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    events = [(STORE, each.to_record()) for each in (await store.get_events("a1"))[:4]]
    store.storage_adapter = InMemoryEventStorageAdapter(events)
    snapshots = begin_anew(store, adapter)
    loaded = await store.get_aggregate("a1")
    assert (3, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert {"ahead": 1, "used": 1} == snapshots.counts
    store.storage_adapter = InMemoryEventStorageAdapter()
    assert (await store.get_aggregate("a1")).aggregate is None


async def test_events_that_are_others() -> None:
    """A snapshot whose last event is another one by now is not used."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    plain = make_store(None, store.storage_adapter)
    await push(plain, 6, text="replaced", force=True)
    snapshots = begin_anew(store, adapter)
    loaded = await store.get_aggregate("a1")
    assert (3, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)
    assert {"replaced": 1, "used": 1} == snapshots.counts


async def test_a_reducer_that_fails_on_a_snapshot(caplog: pytest.LogCaptureFixture) -> None:
    """All the events are reduced; if that fails too, its error is raised."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    snapshots = make_snapshots(adapter)

    def reduce(*_: Any) -> Any:
        raise LookupError(HIDDEN)

    broken = make_store(snapshots, store.storage_adapter, reduce=reduce)
    with pytest.raises(LookupError, match=HIDDEN) as caught:
        await broken.get_aggregate("a1")
    assert "at event 1" in caught.value.__notes__[0]
    assert {"failed": 2} == snapshots.counts
    assert HIDDEN not in caplog.text


@pytest.mark.parametrize("version", [1, 2, 3, 5, 6, 7])
async def test_force_invalidates(version: int) -> None:
    """A replaced event is seen, wherever it is."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    await push(store, version, text="new", force=True)
    loaded = await store.get_existing_aggregate("a1")
    assert await load_plainly(store) == loaded.aggregate
    assert "new" == loaded.aggregate.texts[version - 1]
    expected = 6 if version == 6 else 8  # the push of version 6 is followed by one
    assert expected == (await store.get_aggregate("a1")).snapshot_version


async def test_force_in_a_group_invalidates() -> None:
    """All the aggregates of a group are seen anew."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    for version in (1, 2, 3):
        await store.push_event(make_event(version, aggregate_id="b1"))
    grouped = [store.group_event(make_event(1, "new", each)) for each in ("a1", "b1")]
    await EventStore.push_event_group(*grouped, force=True)
    for each in ("a1", "b1"):
        assert "new" == (await store.get_existing_aggregate(each)).aggregate.texts[0]


async def test_a_reader_that_is_late_writes_nothing_that_is_used() -> None:
    """A snapshot of events that were replaced meanwhile is taken back, and not used before."""

    class Late(InMemorySnapshotStorageAdapter):
        meanwhile: Callable[[], Any] | None = None
        used: JSONValue = None

        async def put_snapshot(self, snapshot: Snapshot) -> None:
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is None or snapshot.reducer_version != "1":
                self.meanwhile = meanwhile
                await super().put_snapshot(snapshot)
                return
            await meanwhile()
            await super().put_snapshot(snapshot)
            found = await other.get_existing_aggregate("a1")
            assert (None, "new") == (found.snapshot_version, found.aggregate.texts[0])

    adapter = Late()
    store = make_store(None)
    await push(store, *range(1, 8))
    other = make_store(make_snapshots(adapter, policy=never), store.storage_adapter)
    store.snapshots = snapshots = make_snapshots(adapter)
    adapter.meanwhile = lambda: push(other, 1, text="new", force=True)
    await store.get_aggregate("a1")
    assert [] == await find_snapshots(adapter)
    assert {"missing": 1, "invalidated": 1} == snapshots.counts
    assert await load_plainly(store) == (await store.get_aggregate("a1")).aggregate


async def test_force_needs_the_storage_of_snapshots() -> None:
    """What could not be invalidated is not replaced: nothing is written."""
    adapter = FailingSnapshots()
    store = await make_history(adapter)
    adapter.failing = {"put"}
    with pytest.raises(StorageError, match="put failed"):
        await push(store, 1, text="new", force=True)
    adapter.failing = set()
    assert "1" == (await store.get_existing_aggregate("a1")).aggregate.texts[0]


async def test_a_storage_that_fails_after_force() -> None:
    """The push is written, and the aggregate stays without snapshots."""
    adapter = FailingSnapshots()
    store = await make_history(adapter)
    adapter.failing = {"delete"}
    await push(store, 1, text="new", force=True)
    adapter.failing = set()
    for _ in range(2):
        loaded = await store.get_existing_aggregate("a1")
        assert (None, "new") == (loaded.snapshot_version, loaded.aggregate.texts[0])


class UnknownEvents(InMemoryEventStorageAdapter):
    """Loses answers, or is refused; the events are written later, or never."""

    error: Exception | None = None

    async def push_event(self, *args: Any, **options: Any) -> None:
        """Raise."""
        if self.error is not None:
            raise self.error
        await super().push_event(*args, **options)


async def test_an_unknown_outcome_blocks_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that may still be replaced is waited for, at most an hour."""
    adapter, events = InMemorySnapshotStorageAdapter(), UnknownEvents()
    store = make_store(make_snapshots(adapter), events)
    await push(store, *range(1, 8))
    events.error = UnknownOutcomeError(STORE, "a1", 1, "lost")
    with pytest.raises(UnknownOutcomeError):
        await push(store, 1, text="new", force=True)
    events.error = None
    snapshots = store.snapshots = make_snapshots(adapter)
    for _ in range(2):
        assert (await store.get_aggregate("a1")).snapshot_version is None
    assert {"invalidated": 2} == snapshots.counts
    await push(make_store(None, events), 1, text="late", force=True)

    later = SimpleNamespace(time=lambda: time.time() + 3700)
    monkeypatch.setattr("castore_core._snapshot_format.time", later)
    for expected in (None, None, 7):
        loaded = await store.get_existing_aggregate("a1")
        assert (expected, "late") == (loaded.snapshot_version, loaded.aggregate.texts[0])


@pytest.mark.parametrize(
    "error",
    [InvalidEventGroupError("no"), VersionAssertionError(STORE, "b1", 1)],
    ids=lambda each: type(each).__name__,
)
async def test_a_refused_replacement_unblocks(error: Exception) -> None:
    """Where nothing was written, snapshots go on."""
    adapter, events = InMemorySnapshotStorageAdapter(), UnknownEvents()
    store = make_store(make_snapshots(adapter), events)
    await push(store, *range(1, 8))
    events.error = error
    with pytest.raises(type(error)):
        await push(store, 1, text="new", force=True)
    await store.get_aggregate("a1")
    assert 7 == (await store.get_aggregate("a1")).snapshot_version


async def test_an_unknown_outcome_blocks_whatever_follows() -> None:
    """Another replacement does not end the wait for the first one; `invalidate` does."""
    adapter, events = InMemorySnapshotStorageAdapter(), UnknownEvents()
    store = make_store(make_snapshots(adapter), events)
    await push(store, *range(1, 8))
    events.error = UnknownOutcomeError(STORE, "a1", 1, "lost")
    with pytest.raises(UnknownOutcomeError):
        await push(store, 1, text="new", force=True)
    events.error = None
    await push(store, 2, text="new", force=True)
    await store.get_aggregate("a1")
    assert [] == await find_snapshots(adapter)
    await push(make_store(None, events), 1, text="late", force=True)
    assert "late" == (await store.get_existing_aggregate("a1")).aggregate.texts[0]
    assert store.snapshots is not None
    await store.snapshots.invalidate(STORE, "a1")
    await store.get_aggregate("a1")
    assert [7] == await find_snapshots(adapter)


async def test_others_call_invalidate() -> None:
    """Who changes events by other means says so."""
    adapter = InMemorySnapshotStorageAdapter()
    store = await make_history(adapter)
    await push(make_store(None, store.storage_adapter), 1, text="new", force=True)
    assert store.snapshots is not None
    await store.snapshots.invalidate(STORE, "a1")
    assert [] == await find_snapshots(adapter)
    assert await load_plainly(store) == (await store.get_aggregate("a1")).aggregate


class JoiningEvents(UnknownEvents):
    """Stands in for a storage within a transaction of the user's."""

    joins_transaction = True


async def test_a_refusal_within_a_transaction_opens_nothing() -> None:
    """What was replaced before it is not committed."""
    adapter = InMemorySnapshotStorageAdapter()
    outer = await make_history(adapter)
    joining = JoiningEvents([(STORE, each.to_record()) for each in await outer.get_events("a1")])
    inner = outer.using(joining)
    await push(inner, 1, text="new", force=True)
    joining.error = InvalidEventGroupError("no")
    with pytest.raises(InvalidEventGroupError):
        await push(inner, 2, text="new", force=True)
    for _ in range(2):
        assert (await outer.get_aggregate("a1")).snapshot_version is None


async def test_force_within_a_transaction() -> None:
    """It has no snapshots from then on, because nobody tells when it is committed."""
    adapter = InMemorySnapshotStorageAdapter()
    outer = await make_history(adapter)
    events = [(STORE, each.to_record()) for each in await outer.get_events("a1")]
    inner = outer.using(JoiningEvents(events))
    await push(inner, 1, text="new", force=True)
    assert "new" == (await inner.get_existing_aggregate("a1")).aggregate.texts[0]
    loaded = await outer.get_existing_aggregate("a1")  # it is not committed
    assert (None, "1") == (loaded.snapshot_version, loaded.aggregate.texts[0])
    outer.storage_adapter = InMemoryEventStorageAdapter(
        [(STORE, each.to_record()) for each in await inner.get_events("a1")]
    )
    assert outer.snapshots is not None
    assert "new" == (await outer.get_existing_aggregate("a1")).aggregate.texts[0]
    await outer.snapshots.invalidate(STORE, "a1")
    for expected in (None, 8):
        loaded = await outer.get_existing_aggregate("a1")
        assert (expected, "new") == (loaded.snapshot_version, loaded.aggregate.texts[0])


async def test_gaps_that_may_be_filled() -> None:
    """An event that is missing can be pushed without force: no snapshot is beyond it."""
    adapter = InMemorySnapshotStorageAdapter()
    snapshots = make_snapshots(adapter)
    store = make_store(snapshots)
    await push(store, 1, 2)
    await push(store, 6, 7, force=True)
    await store.get_aggregate("a1")
    assert [] == await find_snapshots(adapter)
    assert snapshots.counts["gaps"] > 0
    await push(store, 3, 4, 5)
    assert [*"1234567"] == (await store.get_existing_aggregate("a1")).aggregate.texts
    assert [7, 3] == await find_snapshots(adapter)


async def test_gaps_after_a_snapshot() -> None:
    """Events after a gap are read, and are in no snapshot."""
    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(make_snapshots(adapter, every=2))
    await push(store, 1, 2)
    events = store.get_storage_adapter()
    for version in (4, 5, 6):
        await events.push_event(STORE, make_event(version).to_record(), force=True)
    loaded = await store.get_existing_aggregate("a1")
    assert (2, [*"12456"]) == (loaded.snapshot_version, loaded.aggregate.texts)
    assert [2] == await find_snapshots(adapter)


async def test_a_policy_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """No push and no load fails with it."""

    def policy(_: object) -> bool:
        raise LookupError(HIDDEN)

    adapter = InMemorySnapshotStorageAdapter()
    snapshots = make_snapshots(adapter, policy=policy)
    store = make_store(snapshots)
    await push(store, 1)
    await store.get_aggregate("a1")
    assert {"not_written": 2, "missing": 1} == snapshots.counts
    assert HIDDEN not in caplog.text
