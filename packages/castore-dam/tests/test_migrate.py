"""Migrations carry each event once, as it is stored, whatever the target has already."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from castore_core import (
    ABSENT,
    AggregateIdsSlice,
    EventRecord,
    EventStore,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    PushedEvent,
    VersionGapError,
)
from castore_dam import (
    EventConflictError,
    FileCheckpoint,
    InvalidCheckpointError,
    Migration,
    Progress,
    SourceGapError,
    TransformError,
    migrate_event_store,
)
from castore_in_memory import InMemoryEventStorageAdapter
from notes import MOMENT, Note, Noted, NoteStore, make_notes


class TableAdapter:
    """A storage without a log, which holds the events in memory.

    It notes how many pushes were under way at most, and can be slow.
    """

    def __init__(self, *, is_slow: bool = False) -> None:
        self.inner = InMemoryEventStorageAdapter(allow_gaps=True)
        self.pushed: list[EventRecord] = []
        self.most_at_once = 0
        self._under_way = 0
        self._pause = 0.001 if is_slow else 0

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(self._pause)
            await self.inner.push_event(event_store_id, record, force=force)
        finally:
            self._under_way -= 1
        self.pushed.append(record)

    async def push_event_group(self, group: Sequence[GroupedRecord], **_: Any) -> None:
        """Refuse, as all groups are too large for it."""
        raise InvalidEventGroupError(f"it has {len(group)} events")

    async def get_events(self, *arguments: Any, **options: Any) -> Sequence[EventRecord]:
        """Read the events of an aggregate."""
        return await self.inner.get_events(*arguments, **options)

    async def list_aggregate_ids(self, *arguments: Any, **options: Any) -> AggregateIdsSlice:
        """List aggregates."""
        return await self.inner.list_aggregate_ids(*arguments, **options)


class SmallGroups(InMemoryEventStorageAdapter):
    """A storage that takes a few events at a time."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self._size = size

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write a small group."""
        if len(group) > self._size:
            raise InvalidEventGroupError("it is too large")
        self.sizes.append(len(group))
        await super().push_event_group(group, **options)


def make_record(aggregate_id: str, version: int, payload: Any = "") -> EventRecord:
    """Return an event, as it is stored; each has a moment of its own."""
    moment = MOMENT + timedelta(seconds=sum(map(ord, aggregate_id)), milliseconds=version)
    return EventRecord(aggregate_id, version, "NOTED", moment, payload)


def make_log(count: int, versions: int) -> list[EventRecord]:
    """Return the events of some aggregates, mixed."""
    return [
        make_record(f"n{each}", version)
        for version in range(1, versions + 1)
        for each in range(count)
    ]


async def fill(adapter: Any, records: Sequence[EventRecord], store_id: str = "NOTES") -> None:
    """Push events one by one."""
    for each in records:
        await adapter.push_event(store_id, each)


async def make_source(*records: EventRecord, allow_gaps: bool = False) -> NoteStore:
    """Return a store with a log."""
    adapter = InMemoryEventStorageAdapter(allow_gaps=allow_gaps)
    await fill(adapter, records)
    return make_notes(adapter)


async def read_log(store: EventStore[Any, Any]) -> list[EventRecord]:
    """Return all the events of a store with a log."""
    adapter: Any = store.storage_adapter
    return [
        each.record
        for each in (await adapter.read_events([store.event_store_id], "", 100_000)).entries
    ]


async def read(store: EventStore[Any, Any], aggregate_id: str) -> list[EventRecord]:
    """Return the events of an aggregate."""
    return [*await store.get_storage_adapter().get_events(store.event_store_id, aggregate_id)]


async def test_every_event_is_carried_in_the_order_of_the_log() -> None:
    """The log of the target is that of the source."""
    records = make_log(30, 40)
    source, target = await make_source(*records), make_notes(InMemoryEventStorageAdapter())

    migration = await migrate_event_store(source, target)

    assert Migration(events_read=1200, events_written=1200) == migration
    assert records == await read_log(target)


async def test_what_no_class_declares_is_carried() -> None:
    """Unknown types, payloads that do not fit, and metadata are carried as they are."""
    odd = EventRecord("n1", 1, "UNHEARD_OF", MOMENT, {"a": [1.5, None]}, {"by": "ann"})
    nothing = EventRecord("n1", 2, "NOTED", MOMENT, ABSENT, None)
    source = await make_source(odd, nothing)
    target = make_notes(InMemoryEventStorageAdapter(), event_store_id="OTHER")

    await migrate_event_store(source, target)

    assert [odd, nothing] == await read(target, "n1")


async def test_a_second_migration_writes_nothing() -> None:
    """Events that are there, equal ones, are counted, and new ones are added."""
    source, target = await make_source(*make_log(3, 3)), make_notes(InMemoryEventStorageAdapter())
    await migrate_event_store(source, target)
    await fill(source.storage_adapter, [make_record("n1", 4)])

    assert Migration(10, 1, 9) == await migrate_event_store(source, target)
    assert Migration(10, 0, 10) == await migrate_event_store(source, target)


async def test_deeply_nested_events_are_carried() -> None:
    """A payload is compared at any depth that the storages take."""
    deep: JSONValue = []
    for _ in range(450):
        deep = [{"deep": deep}]
    source = await make_source(make_record("n1", 1)._replace(payload=deep))
    target = make_notes(InMemoryEventStorageAdapter())

    assert Migration(1, 1, 0) == await migrate_event_store(source, target)
    assert Migration(1, 0, 1) == await migrate_event_store(source, target)


@pytest.mark.parametrize("make", [InMemoryEventStorageAdapter, TableAdapter])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_another_event_is_not_overwritten(make: Callable[[], Any], dry_run: bool) -> None:
    """A different event of one version ends the migration, and stays."""
    source, target = await make_source(*make_log(2, 3)), make_notes(make())
    mine = [make_record("n1", 1), make_record("n1", 2, "mine")]
    await fill(target.storage_adapter, mine)

    with pytest.raises(EventConflictError, match="version 2 of aggregate 'n1'"):
        await migrate_event_store(source, target, dry_run=dry_run)

    assert mine == await read(target, "n1")


async def test_an_integral_float_equals_the_integer() -> None:
    """A storage with one kind of number gives back an equal event."""
    source = await make_source(make_record("n1", 1, {"a": 2.0, "b": [1]}))
    target = make_notes(InMemoryEventStorageAdapter())
    await fill(target.storage_adapter, [make_record("n1", 1, {"b": [1.0], "a": 2})])

    assert Migration(1, 0, 1) == await migrate_event_store(source, target)


async def test_true_is_not_one() -> None:
    """They are equal in Python, and two things in JSON."""
    source = await make_source(make_record("n1", 1, 1))
    target = make_notes(InMemoryEventStorageAdapter())
    await fill(target.storage_adapter, [make_record("n1", 1, True)])

    with pytest.raises(EventConflictError):
        await migrate_event_store(source, target)


async def test_no_hook_of_the_target_runs() -> None:
    """Events that happened long ago are not told again."""
    told: list[Noted] = []
    source = await make_source(*make_log(2, 2))
    target = make_notes(InMemoryEventStorageAdapter())

    async def tell(pushed: PushedEvent[Noted, Note]) -> None:
        told.append(pushed.event)

    target.on_event_pushed = tell

    await migrate_event_store(source, target)

    assert [] == told


async def test_large_groups_are_halved() -> None:
    """A storage that takes a few events at once is given as many."""
    records = make_log(10, 10)
    adapter = SmallGroups(30)
    target = make_notes(adapter)

    migration = await migrate_event_store(await make_source(*records), target)

    assert Migration(100, 100) == migration
    assert [25, 25, 25, 25] == adapter.sizes
    assert records == await read_log(target)


async def test_halves_that_are_there_count_once() -> None:
    """A migration that ended between two halves goes on with the second."""
    records = make_log(10, 10)
    target = make_notes(SmallGroups(30))
    await fill(target.storage_adapter, records[:40])

    assert Migration(100, 60, 40) == await migrate_event_store(await make_source(*records), target)
    assert records == await read_log(target)


async def test_a_target_without_log_takes_aggregates_at_once() -> None:
    """No more than were asked for, each in the order of its versions."""
    adapter = TableAdapter(is_slow=True)
    target = make_notes(adapter)

    await migrate_event_store(await make_source(*make_log(20, 5)), target, at_once=4)

    assert 4 == adapter.most_at_once
    for each in range(20):
        own = [record.version for record in adapter.pushed if record.aggregate_id == f"n{each}"]
        assert [1, 2, 3, 4, 5] == own


async def test_a_target_without_log_may_have_some_events() -> None:
    """Those that are missing are added, wherever they are."""
    target = make_notes(TableAdapter())
    await fill(target.storage_adapter, [make_record("n1", 2), make_record("n2", 1)])

    migration = await migrate_event_store(await make_source(*make_log(3, 3)), target)

    assert Migration(9, 7, 2) == migration
    assert [1, 2, 3] == [each.version for each in await read(target, "n1")]


async def test_a_source_without_log_is_carried_aggregate_by_aggregate() -> None:
    """Long aggregates are read page by page."""
    adapter = TableAdapter()
    await fill(adapter, make_log(3, 1_100))
    target = make_notes(InMemoryEventStorageAdapter())

    assert Migration(3300, 3300) == await migrate_event_store(make_notes(adapter), target)
    assert [*range(1, 1101)] == [each.version for each in await read(target, "n2")]


async def test_two_migrations_at_once_carry_each_event_once() -> None:
    """They meet each other's events, and both end well."""
    source = await make_source(*make_log(20, 60))
    for adapter in (InMemoryEventStorageAdapter(), TableAdapter(is_slow=True)):
        target = make_notes(adapter)

        both = await asyncio.gather(*(migrate_event_store(source, target) for _ in range(2)))

        assert 1200 == sum(each.events_written for each in both)


def transform(record: EventRecord) -> EventRecord | list[EventRecord] | None:
    """Drop what is to be dropped, split what is to be split, and write all else in capitals."""
    match record.payload:
        case "drop":
            return None
        case "split":
            return [record._replace(payload=each) for each in ("A", "B")]
        case _:
            return record._replace(payload=str(record.payload).upper())


STORY = ["one", "drop", "THREE", "split", "five", "drop", "drop", "eight"]
TRANSFORMED = ["ONE", "THREE", "A", "B", "FIVE", "EIGHT"]


def make_story(aggregate_id: str) -> list[EventRecord]:
    """Return events that are changed, dropped and split."""
    return [make_record(aggregate_id, 1 + index, each) for index, each in enumerate(STORY)]


async def test_transformed_events_are_numbered_anew() -> None:
    """Versions have no gap where events were dropped, and room where one became two."""
    source, target = await make_source(*make_story("n1")), make_notes(InMemoryEventStorageAdapter())

    migration = await migrate_event_store(source, target, transform=transform)

    assert Migration(8, 6, 0, events_dropped=3, events_changed=4) == migration
    found = await read(target, "n1")
    assert TRANSFORMED == [each.payload for each in found]
    assert [1, 2, 3, 4, 5, 6] == [each.version for each in found]
    assert make_record("n1", 8).timestamp == found[-1].timestamp


async def test_a_transform_may_be_asynchronous() -> None:
    """It may look something up."""

    async def transform(record: EventRecord) -> EventRecord:
        await asyncio.sleep(0)
        return record._replace(type="WRITTEN")

    source, target = await make_source(*make_log(1, 2)), make_notes(InMemoryEventStorageAdapter())

    await migrate_event_store(source, target, transform=transform)

    assert ["WRITTEN"] * 2 == [each.type for each in await read_log(target)]


async def test_a_transform_may_change_what_it_is_given() -> None:
    """It has a copy; the event counts as changed."""

    def transform(record: EventRecord) -> EventRecord:
        assert isinstance(record.payload, list)
        record.payload.append(1)
        return record

    source = await make_source(make_record("n1", 1, []))
    target = make_notes(InMemoryEventStorageAdapter())

    migration = await migrate_event_store(source, target, transform=transform)

    assert Migration(1, 1, events_changed=1) == migration
    assert [1] == (await read(target, "n1"))[0].payload


@pytest.mark.parametrize("has_log", [True, False])
@pytest.mark.parametrize("stop", range(1, 8))
async def test_numbers_are_right_after_a_restart(tmp_path: Path, stop: int, has_log: bool) -> None:
    """The numbers of an aggregate go on where they were, without its earlier events at hand."""
    story = make_story("n1")
    adapter = InMemoryEventStorageAdapter() if has_log else TableAdapter()
    source, target = make_notes(adapter), make_notes(InMemoryEventStorageAdapter())
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    await fill(adapter, story[:stop])
    await migrate_event_store(source, target, transform=transform, checkpoint=checkpoint)
    await fill(adapter, story[stop:])

    await migrate_event_store(source, target, transform=transform, checkpoint=checkpoint)

    assert TRANSFORMED == [each.payload for each in await read(target, "n1")]


async def test_another_transform_is_a_conflict() -> None:
    """Events that would have other numbers are not mixed with those of an earlier run."""
    source, target = await make_source(*make_story("n1")), make_notes(InMemoryEventStorageAdapter())
    await migrate_event_store(source, target)

    with pytest.raises(EventConflictError):
        await migrate_event_store(source, target, transform=transform)


def fail(_: EventRecord) -> EventRecord:
    """Fail, with private data."""
    raise LookupError("secret")


UNFIT: dict[str, tuple[Callable[[EventRecord], Any], str]] = {
    "fails": (fail, "LookupError"),
    "moves": (lambda record: record._replace(aggregate_id="n9"), "aggregate_id"),
    "forgets": (lambda _: 5, "no EventRecord"),
    "mixes": (lambda record: [record, "secret"], "no EventRecord"),
    "no type": (lambda record: record._replace(type=""), "type"),
    "no JSON": (lambda record: record._replace(payload={"a": {1}}), "NotJSONError"),
    "no moment": (lambda record: record._replace(timestamp=datetime(2024, 1, 1)), "ValueError"),  # noqa: DTZ001 that is it
}


@pytest.mark.parametrize("name", UNFIT)
async def test_a_transform_that_fails_names_the_event(name: str) -> None:
    """The error says where, and quotes nothing; nothing of the batch is written."""
    transform, reason = UNFIT[name]
    source, target = await make_source(*make_log(1, 3)), make_notes(InMemoryEventStorageAdapter())

    with pytest.raises(TransformError, match=reason) as caught:
        await migrate_event_store(source, target, transform=transform)

    error = caught.value
    assert ("NOTES", "n0", 1) == (error.event_store_id, error.aggregate_id, error.version)
    assert "secret" not in str(error)
    assert [] == await read_log(target)


async def test_a_dry_run_writes_nothing() -> None:
    """It counts what a run would do, and leaves the checkpoint alone."""
    source, target = await make_source(*make_story("n1")), make_notes(InMemoryEventStorageAdapter())

    counts = await migrate_event_store(source, target, transform=transform, dry_run=True)

    assert [] == await read_log(target)
    assert counts == await migrate_event_store(source, target, transform=transform)


async def test_a_dry_run_begins_after_the_checkpoint(tmp_path: Path) -> None:
    """It counts what the next run would do, any number of times."""
    source, target = await make_source(*make_log(2, 2)), make_notes(InMemoryEventStorageAdapter())
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    await migrate_event_store(source, target, checkpoint=checkpoint)
    await fill(source.storage_adapter, [make_record("n1", 3)])

    for dry_run in (True, True, False):
        migration = await migrate_event_store(
            source, target, checkpoint=checkpoint, dry_run=dry_run
        )
        assert Migration(1, 1) == migration


async def test_a_checkpoint_is_of_one_migration(tmp_path: Path) -> None:
    """It is not used for another target, or with a transform."""
    source, target = await make_source(*make_log(2, 2)), make_notes(InMemoryEventStorageAdapter())
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
    await migrate_event_store(source, target, checkpoint=checkpoint)

    with pytest.raises(InvalidCheckpointError):
        await migrate_event_store(source, target, checkpoint=checkpoint, transform=transform)


async def test_a_failed_migration_goes_on(tmp_path: Path) -> None:
    """With a checkpoint, the counts are those of both runs, and no batch is read again."""
    source, target = (
        await make_source(*make_log(1, 1_200)),
        make_notes(InMemoryEventStorageAdapter()),
    )
    checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")

    def stop(progress: Progress) -> None:
        if progress.done == 1_000:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await migrate_event_store(source, target, checkpoint=checkpoint, on_progress=stop)

    done: list[int] = []
    migration = await migrate_event_store(
        source, target, checkpoint=checkpoint, on_progress=lambda each: done.append(each.done)
    )
    assert Migration(1200, 1200) == migration
    assert [1200] == sorted(set(done))


async def test_a_missing_version_is_an_error() -> None:
    """An aggregate whose history has a hole is not carried by accident."""
    records = [make_record("n1", 1), make_record("n1", 3), make_record("n2", 2)]
    for each in (records[:2], records[2:]):
        source = await make_source(*each, allow_gaps=True)
        with pytest.raises(SourceGapError, match=r"version [12]\b"):
            await migrate_event_store(source, make_notes(InMemoryEventStorageAdapter()))


async def test_gaps_are_carried_where_that_is_asked_for() -> None:
    """Both the migration and the target have to be told."""
    source = await make_source(make_record("n1", 2), make_record("n1", 4), allow_gaps=True)
    strict = make_notes(InMemoryEventStorageAdapter())
    target = make_notes(InMemoryEventStorageAdapter(allow_gaps=True))

    with pytest.raises(VersionGapError):
        await migrate_event_store(source, strict, allow_gaps=True)
    await migrate_event_store(source, target, allow_gaps=True)

    assert [2, 4] == [each.version for each in await read(target, "n1")]


@pytest.mark.parametrize("has_log", [True, False])
async def test_versions_that_a_log_has_too_early_wait(has_log: bool) -> None:
    """The events before them go first, also those of a later page."""
    early = [make_record("n1", 3), make_record("n1", 2)]
    adapter = InMemoryEventStorageAdapter(allow_gaps=True)
    others = make_log(1, 700)
    await fill(adapter, [*early, *others, make_record("n1", 1), make_record("n1", 4)])
    target = make_notes(InMemoryEventStorageAdapter() if has_log else TableAdapter())

    migration = await migrate_event_store(make_notes(adapter), target)

    assert Migration(704, 704) == migration
    assert [1, 2, 3, 4] == [each.version for each in await read(target, "n1")]
    if has_log:
        assert [1, 2, 3, 4] == [
            each.version for each in await read_log(target) if each.aggregate_id == "n1"
        ]


async def test_progress_at_a_rate() -> None:
    """At a rate, progress is told after each small batch, and not after a page only."""
    source, target = await make_source(*make_log(1, 20)), make_notes(InMemoryEventStorageAdapter())
    done: list[int] = []

    await migrate_event_store(
        source, target, rate_limit=100, on_progress=lambda each: done.append(each.done)
    )
    assert [5, 10, 15, 20] == done


async def test_a_rate_is_kept() -> None:
    """So many events a second are written."""
    source, target = await make_source(*make_log(2, 10)), make_notes(InMemoryEventStorageAdapter())
    loop = asyncio.get_running_loop()
    begin = loop.time()

    await migrate_event_store(source, target, rate_limit=100)

    assert 0.15 <= loop.time() - begin < 1


async def test_a_store_is_not_carried_to_itself() -> None:
    """That is a mistake, as are options that mean nothing."""
    source = await make_source()
    with pytest.raises(ValueError, match="one event store"):
        await migrate_event_store(source, source)
    target = make_notes(InMemoryEventStorageAdapter())
    with pytest.raises(ValueError, match="rate_limit"):
        await migrate_event_store(source, target, rate_limit=0)
    with pytest.raises(ValueError, match="at_once"):
        await migrate_event_store(source, target, at_once=0)
    with pytest.raises(TypeError):
        await migrate_event_store(source, cast("Any", "POKEMONS"))


async def test_a_transform_that_goes_on_changing_its_event() -> None:
    """Each event is as it was when a generator yielded it."""
    source = await make_source(make_record("a", 1, {"n": 0}))

    def count(record: EventRecord) -> Iterator[EventRecord]:
        payload = cast("dict[str, int]", record.payload)
        for payload["n"] in range(3):
            yield record

    target = make_notes(InMemoryEventStorageAdapter())
    await migrate_event_store(source, target, transform=count)
    found = await target.get_storage_adapter().get_events("NOTES", "a")
    assert [{"n": 0}, {"n": 1}, {"n": 2}] == [each.payload for each in found]
