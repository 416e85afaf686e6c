"""Event stores with snapshots answer as they do without, and read less."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from castore_core import (
    AggregateCommands,
    ConnectedEventStore,
    DataclassCodec,
    EventDraft,
    EventRecord,
    EventStore,
    JSONValue,
    NotificationMessageQueue,
    SnapshotOccasion,
    Snapshots,
    UndefinedAggregateCodecError,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
    InMemoryMessageQueueAdapter,
    InMemorySnapshotStorageAdapter,
)
from snapshot_stores import (
    Note,
    NoteBegun,
    TextAdded,
    find_snapshots,
    load_plainly,
    make_event,
    make_snapshots,
    make_store,
    push,
    reduce_note,
)


async def test_a_load_goes_on_from_a_snapshot() -> None:
    """It reads the event of the snapshot and those after it, and says so."""
    store = make_store(make_snapshots())
    await push(store, 1, 2, 3, 4, 5)
    loaded = await store.get_existing_aggregate("a1")
    assert await load_plainly(store) == loaded.aggregate
    assert (3, 3) == (loaded.snapshot_version, loaded.events_read)
    assert [4, 5] == [each.version for each in loaded.events]
    assert 5 == loaded.last_event.version


async def test_a_load_without_snapshots_says_what_it_read() -> None:
    """All events are read, and there is no version to go on from."""
    store = make_store()
    await push(store, 1, 2)
    loaded = await store.get_aggregate("a1")
    assert (None, 2) == (loaded.snapshot_version, loaded.events_read)


async def test_the_last_event_is_there_when_none_follows() -> None:
    """Commands number their events by it."""
    store = make_store(make_snapshots())
    await push(store, 1, 2, 3)
    loaded = await store.get_existing_aggregate("a1")
    assert (3, 1, ()) == (loaded.snapshot_version, loaded.events_read, loaded.events)
    assert (await store.get_events("a1"))[-1] == loaded.last_event


async def test_no_aggregate() -> None:
    """An aggregate without events has no snapshot, and none is missed."""
    snapshots = make_snapshots()
    loaded = await make_store(snapshots).get_aggregate("a1")
    assert (None, None, 0) == (loaded.aggregate, loaded.snapshot_version, loaded.events_read)
    assert {} == snapshots.counts


async def test_earlier_versions_go_on_from_earlier_snapshots() -> None:
    """The newest snapshot at or below the version is used, inclusively."""
    store = make_store(make_snapshots())
    await push(store, *range(1, 11))
    for version, expected in ((2, None), (3, 3), (5, 3), (6, 6), (9, 9), (10, 9), (99, 9)):
        loaded = await store.get_aggregate("a1", max_version=version)
        assert expected == loaded.snapshot_version
        assert await load_plainly(store, version) == loaded.aggregate
    assert (await store.get_aggregate("a1", max_version=0)).aggregate is None


async def test_a_load_of_an_earlier_version_writes_nothing() -> None:
    """Only the newest state is worth keeping."""
    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(None)
    await push(store, *range(1, 8))
    store.snapshots = make_snapshots(adapter)
    await store.get_aggregate("a1", max_version=6)
    assert 0 == len(adapter)


async def test_a_load_that_reads_many_events_writes_a_snapshot() -> None:
    """So a store gets snapshots that had none, or whose reducer changed."""
    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(None)
    await push(store, *range(1, 8))
    store.snapshots = make_snapshots(adapter)
    await store.get_aggregate("a1")
    assert [7] == await find_snapshots(adapter)
    await push(store, 8)
    assert 7 == (await store.get_aggregate("a1")).snapshot_version
    assert [7] == await find_snapshots(adapter)


async def test_every_so_many_versions() -> None:
    """After pushes, there is a snapshot at each multiple."""
    adapter = InMemorySnapshotStorageAdapter()
    await push(make_store(make_snapshots(adapter)), *range(1, 11))
    assert [9, 6, 3] == await find_snapshots(adapter)


async def test_groups_are_followed_by_snapshots() -> None:
    """A group that passes a multiple leaves a snapshot there."""
    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(make_snapshots(adapter))
    await EventStore.push_event_group(*[store.group_event(make_event(each)) for each in (1, 2)])
    assert [] == await find_snapshots(adapter)
    await EventStore.push_event_group(*[store.group_event(make_event(each)) for each in (3, 4)])
    assert [3] == await find_snapshots(adapter)
    assert 3 == (await store.get_aggregate("a1")).snapshot_version


async def test_a_policy_of_the_user() -> None:
    """It is asked after pushes and after loads that have read something new."""
    asked: list[tuple[int, int | None, bool]] = []

    def policy(occasion: SnapshotOccasion) -> bool:
        asked.append((occasion.event.version, occasion.events_read, occasion.is_push))
        return occasion.event.version == 2

    adapter = InMemorySnapshotStorageAdapter()
    store = make_store(make_snapshots(adapter, policy=policy))
    await push(store, 1, 2, 3)
    await store.get_aggregate("a1")
    assert [(1, None, True), (2, None, True), (3, None, True), (3, 1, False)] == asked
    assert [2] == await find_snapshots(adapter)


async def test_only_the_last_ones_are_kept() -> None:
    """Older snapshots of the reducer are forgotten; those of others, and of others', are not."""
    adapter = InMemorySnapshotStorageAdapter()
    events = InMemoryEventStorageAdapter()
    await push(make_store(make_snapshots(adapter, every=2), events), *range(1, 6))
    await make_store(make_snapshots(adapter, every=2), events).push_event(
        make_event(1, aggregate_id="b")
    )
    store = make_store(make_snapshots(adapter, every=2, keep=2, reducer_version="2"), events)
    await push(store, *range(6, 13))
    assert [12, 10] == await find_snapshots(adapter, "2")
    assert [4, 2] == await find_snapshots(adapter, "1")


async def test_one_is_kept() -> None:
    """The least that can be kept is the newest."""
    adapter = InMemorySnapshotStorageAdapter()
    await push(make_store(make_snapshots(adapter, every=2, keep=1)), *range(1, 8))
    assert [6] == await find_snapshots(adapter)


async def test_another_reducer_version_begins_anew() -> None:
    """Snapshots of another reducer are not used, which is counted as such."""
    adapter = InMemorySnapshotStorageAdapter()
    old = make_store(make_snapshots(adapter))
    await push(old, 1, 2, 3, 4)

    def shout(note: Note | None, event: NoteBegun | TextAdded) -> Note:
        note = reduce_note(note, event)
        return Note(note.aggregate_id, note.version, [*note.texts[:-1], f"{note.texts[-1]}!"])

    snapshots = make_snapshots(adapter, reducer_version="2")
    new = make_store(snapshots, old.storage_adapter, reduce=shout)
    loaded = await new.get_existing_aggregate("a1")
    assert ["1!", "2!", "3!", "4!"] == loaded.aggregate.texts
    assert {"outdated": 1, "written": 1} == snapshots.counts
    assert 4 == (await new.get_aggregate("a1")).snapshot_version


async def test_what_happens_is_counted() -> None:
    """The counters tell what snapshots were good for."""
    snapshots = make_snapshots()
    store = make_store(snapshots)
    await push(store, 1, 2)
    await store.get_aggregate("a1")
    await push(store, 3)
    await store.get_aggregate("a1")
    assert {"missing": 1, "written": 1, "used": 1} == snapshots.counts


async def test_a_reducer_that_changes_its_input() -> None:
    """Neither a kept snapshot nor the next load sees what a reducer does to a state."""

    def reduce(note: Note | None, event: NoteBegun | TextAdded) -> Note:
        texts = [] if note is None else note.texts
        texts.append(event.payload["text"])
        return Note(event.aggregate_id, event.version, texts)

    store = make_store(make_snapshots(), reduce=reduce)
    await push(store, *range(1, 6))
    for _ in range(3):
        loaded = await store.get_existing_aggregate("a1")
        loaded.aggregate.texts.append("mine")
        assert [*"12345", "mine"] == loaded.aggregate.texts


@pytest.mark.parametrize("in_background", [True, False])
async def test_a_caller_that_changes_what_it_loaded(in_background: bool) -> None:
    """The snapshot of a load is the state as it was loaded."""
    store = make_store(None)
    await push(store, *range(1, 6))
    snapshots = Snapshots(
        InMemorySnapshotStorageAdapter(), every=3, reducer_version="1", in_background=in_background
    )
    store.snapshots = snapshots
    (await store.get_existing_aggregate("a1")).aggregate.texts.clear()
    await snapshots.drain()
    loaded = await store.get_existing_aggregate("a1")
    assert (5, await load_plainly(store)) == (loaded.snapshot_version, loaded.aggregate)


async def test_a_wrong_prev_aggregate_is_not_kept() -> None:
    """The state that a caller gives to a push is the caller's: snapshots are loaded."""
    store = make_store(make_snapshots())
    await push(store, 1, 2)
    await store.push_event(make_event(3), prev_aggregate=Note("a1", 2, ["made", "up"]))
    loaded = await store.get_existing_aggregate("a1")
    assert (3, [*"123"]) == (loaded.snapshot_version, loaded.aggregate.texts)


async def test_commands_go_on_from_snapshots() -> None:
    """Aggregate commands number their drafts rightly, also right after a snapshot."""
    snapshots = make_snapshots(every=1)
    store = make_store(snapshots)
    commands = AggregateCommands(store)

    @commands.handler
    def add(note: Note | None, *, text: str) -> EventDraft[NoteBegun | TextAdded]:
        event_type = NoteBegun if note is None else TextAdded
        return event_type.draft(payload={"text": text})

    for each in "abc":
        await add("a1", text=each)
    loaded = await store.get_existing_aggregate("a1")
    assert (3, [*"abc"]) == (loaded.snapshot_version, loaded.aggregate.texts)
    assert snapshots.counts["used"] > 2


async def test_connected_stores_have_the_snapshots_of_their_store() -> None:
    """They are read and written through both, and set in both."""
    store = make_store(make_snapshots())
    queue = NotificationMessageQueue("QUEUE", source_event_stores=[store])
    queue.message_channel_adapter = InMemoryMessageQueueAdapter(queue)
    connected = ConnectedEventStore(store, queue)
    await push(connected, 1, 2, 3)
    assert 3 == (await connected.get_aggregate("a1")).snapshot_version
    assert 3 == (await store.get_aggregate("a1")).snapshot_version
    connected.snapshots = None
    assert store.snapshots is None
    assert (await connected.get_aggregate("a1")).snapshot_version is None


async def test_upcasters_see_the_events_after_a_snapshot() -> None:
    """A load upcasts as one without snapshots does; digests are those of what is stored."""

    def rename(record: EventRecord) -> EventRecord:
        return record._replace(type="TEXT_ADDED") if record.type == "OLD" else record

    store = make_store(make_snapshots(), upcasters=[rename])
    await push(store, 1, 2)
    adapter = store.get_storage_adapter()
    for version in (3, 4):
        old = make_event(version).to_record()._replace(type="OLD")
        await adapter.push_event(store.event_store_id, old)
    await push(store, 5, 6, 7)
    loaded = await store.get_existing_aggregate("a1")
    assert (6, [*"1234567"]) == (loaded.snapshot_version, loaded.aggregate.texts)


def test_a_codec_is_needed() -> None:
    """A store with snapshots and without a codec is refused at once."""
    snapshots = make_snapshots()
    with pytest.raises(UndefinedAggregateCodecError):
        make_store(snapshots, aggregate_codec=None)
    store = make_store(None, aggregate_codec=None)
    with pytest.raises(UndefinedAggregateCodecError):
        store.snapshots = snapshots


def test_snapshots_are_no_adapter() -> None:
    """A storage in the place of snapshots is refused, and a class in that of a storage."""
    adapter: Any = InMemorySnapshotStorageAdapter
    with pytest.raises(TypeError, match="make one"):
        Snapshots(adapter)
    with pytest.raises(TypeError, match="snapshots is Snapshots"):
        make_store(adapter())


def test_a_policy_is_no_coroutine_function() -> None:
    """It would say yes each time."""

    async def policy(_: SnapshotOccasion) -> bool:
        raise NotImplementedError

    wrong: Any = policy
    with pytest.raises(TypeError, match="policy is async"):
        Snapshots(InMemorySnapshotStorageAdapter(), policy=wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"every": 0},
        {"every": True},
        {"every": 1.5},
        {"keep": 0},
        {"every": 5, "policy": bool},
        {"reducer_version": ""},
        {"reducer_version": 1},
        {"reducer_version": "castore:generation"},
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """Mistakes are found when the snapshots are made."""
    with pytest.raises(ValueError, match=r"every|keep|reducer_version"):
        Snapshots(InMemorySnapshotStorageAdapter(), **options)


async def test_a_store_on_another_storage_has_other_snapshots() -> None:
    """Events of a tenant are not those of another: there are none, unless they are given."""
    store = make_store(make_snapshots())
    await push(store, 1, 2, 3)
    other = store.using(InMemoryEventStorageAdapter())
    await push(other, 1, 2, 3, text="other")
    assert other.snapshots is None
    assert ["other"] * 3 == (await other.get_existing_aggregate("a1")).aggregate.texts
    own = make_snapshots()
    assert own is store.using(InMemoryEventStorageAdapter(), snapshots=own).snapshots


class JoiningEvents(InMemoryEventStorageAdapter):
    """Stands in for a storage within a transaction of the user's."""

    joins_transaction = True


async def test_a_transaction_writes_no_snapshot() -> None:
    """It may be rolled back; it goes on from snapshots, and sees its own events."""
    adapter = InMemorySnapshotStorageAdapter()
    outer = make_store(make_snapshots(adapter))
    await push(outer, 1, 2, 3)
    events = [("NOTES", each.to_record()) for each in await outer.get_events("a1")]
    inner = outer.using(JoiningEvents(events))
    await push(inner, *range(4, 10))
    loaded = await inner.get_existing_aggregate("a1")
    assert (3, [*"123456789"]) == (loaded.snapshot_version, loaded.aggregate.texts)
    assert [3] == await find_snapshots(adapter)


@dataclass(frozen=True)
class Forgetful(Note):
    """An aggregate with a field that its codec does not keep."""

    length: int = field(default=0, init=False)


async def test_a_codec_that_is_not_faithful(caplog: pytest.LogCaptureFixture) -> None:
    """A snapshot that would be read as another aggregate is not written."""

    def reduce(note: Forgetful | None, event: NoteBegun | TextAdded) -> Forgetful:
        length = 0 if note is None else note.length
        after = Forgetful(**vars(reduce_note(None, event)))
        object.__setattr__(after, "length", length + 1)
        return after

    snapshots = make_snapshots()
    store: EventStore[NoteBegun | TextAdded, Forgetful] = EventStore(
        "NOTES",
        event_types=[NoteBegun, TextAdded],
        reduce=reduce,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(Forgetful),
        snapshots=snapshots,
    )
    for each in range(1, 6):
        await store.push_event(make_event(each))
    assert 5 == (await store.get_existing_aggregate("a1")).aggregate.length
    assert snapshots.counts["not_faithful"] > 0
    assert "written" not in snapshots.counts
    assert "the codec makes another aggregate" in caplog.text


class Unequal:
    """An aggregate that is equal to itself alone."""

    def __init__(self, aggregate_id: str, version: int) -> None:
        self.aggregate_id = aggregate_id
        self.version = version


class UnequalCodec:
    """Its codec."""

    def encode(self, aggregate: Unequal) -> JSONValue:
        """Return its attributes."""
        return deepcopy(vars(aggregate))

    def decode(self, value: JSONValue) -> Unequal:
        """Make one."""
        assert isinstance(value, dict)
        return Unequal(str(value["aggregate_id"]), int(str(value["version"])))


async def test_aggregates_without_equality() -> None:
    """They are kept if what was read is written in the same way."""

    def reduce(_: Unequal | None, event: NoteBegun | TextAdded) -> Unequal:
        return Unequal(event.aggregate_id, event.version)

    store: EventStore[NoteBegun | TextAdded, Unequal] = EventStore(
        "NOTES",
        event_types=[NoteBegun, TextAdded],
        reduce=reduce,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=UnequalCodec(),
        snapshots=make_snapshots(),
    )
    for each in range(1, 4):
        await store.push_event(make_event(each))
    assert 3 == (await store.get_aggregate("a1")).snapshot_version


async def test_a_bounded_storage_is_a_cache() -> None:
    """After a load, the next one reads one event; memory is bounded."""
    adapter = InMemorySnapshotStorageAdapter(max_size=10)
    store = make_store(None)
    for number in range(20):
        for version in range(1, 4):
            await store.push_event(make_event(version, aggregate_id=f"a{number}"))
    store.snapshots = make_snapshots(adapter, every=1, keep=1)
    for number in range(20):
        await store.get_aggregate(f"a{number}")
    assert 10 == len(adapter)
    assert [3, 1] == [(await store.get_aggregate(each)).events_read for each in ("a0", "a19")]
