"""The check of event stores on each backend, with each thing that can be wrong."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from castore_core import EventRecord, EventStorageAdapter, EventStore
from castore_dam import Progress, check_event_store
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sql import SQLEventStorageAdapter
from event_storages import LOGS, STORAGES, MakeStorage
from notes import MOMENT, Noted, NoteStore, make_notes, make_record, reduce_note

each_kind = pytest.mark.parametrize("kind", STORAGES)
PRIVATE = "a private thing"
DECODE_ERROR = "ValueError"


@pytest.fixture
async def adapter(kind: str, make_storage: MakeStorage) -> EventStorageAdapter:
    """Give an empty storage that allows gaps."""
    return await make_storage(kind, allow_gaps=True)


async def push(adapter: EventStorageAdapter, *records: EventRecord) -> None:
    """Store records, in their order."""
    for each in records:
        await adapter.push_event("NOTES", each)


@each_kind
async def test_a_sound_store(adapter: EventStorageAdapter) -> None:
    """Nothing is found where nothing is wrong, and all is counted."""
    await push(adapter, *(make_record(name, each, 1) for each in (1, 2, 3) for name in "abc"))
    seen: list[EventRecord] = []
    report = await check_event_store(make_notes(adapter), with_reducer=True, on_record=seen.append)
    assert report.is_sound
    assert (9, 3, ()) == (report.event_count, report.aggregate_count, report.findings)
    assert len(seen) == 9


@each_kind
async def test_findings(adapter: EventStorageAdapter) -> None:
    """Gaps, timestamps, unknown types and events that do not decode are found, without values."""
    await push(
        adapter,
        make_record("gap", 1, 1),
        make_record("gap", 4, 1),
        make_record("time", 1, 1),
        make_record("time", 2, 1, timestamp=MOMENT - timedelta(days=1)),
        make_record("type", 1, PRIVATE, type="OTHER"),
        make_record("decode", 1),
    )
    report = await check_event_store(make_notes(adapter), with_reducer=True)
    found = {each.aggregate_id: each[2:] for each in report.findings}
    before = (
        "its timestamp 2023-12-31T00:00:00.000Z is before that of version 1, "
        "2024-01-01T00:00:01.000Z"
    )
    assert {
        "gap": (4, "versions 2 to 3 are missing"),
        "time": (2, before),
        "type": (1, "the store does not have its type 'OTHER'"),
        "decode": (1, "it does not fit its type 'NOTED': " + DECODE_ERROR),
    } == found
    assert {
        "version gap": 1,
        "timestamp before": 1,
        "unknown type": 1,
        "undecodable": 1,
    } == report.counts
    assert PRIVATE not in repr(report)


@pytest.mark.parametrize("kind", LOGS)
async def test_an_aggregate_that_is_not_listed(adapter: EventStorageAdapter) -> None:
    """An aggregate without an event of version 1 is found by the log."""
    await push(adapter, make_record("a", 2, 1), make_record("a", 3, 1))
    report = await check_event_store(make_notes(adapter))
    reason = "version 1 is missing: the aggregate is never listed"
    assert (("no initial event", "a", 2, reason),) == report.findings


@pytest.mark.parametrize("kind", LOGS)
async def test_the_order_of_the_log(adapter: EventStorageAdapter) -> None:
    """A version that the log has before an earlier one is no gap, but is told."""
    await push(adapter, *(make_record("a", each, 1) for each in (1, 3, 2, 4)))
    report = await check_event_store(make_notes(adapter))
    assert (("log order", "a", 2, "it comes after version 3 in the log"),) == report.findings


async def test_progress() -> None:
    """Checked events are told page by page, and loaded aggregates one by one."""
    adapter = InMemoryEventStorageAdapter()
    await push(adapter, *(make_record(name, each, "") for each in (1, 2) for name in "ab"))
    told: list[Progress] = []
    await check_event_store(make_notes(adapter), with_reducer=True, on_progress=told.append)
    assert [("checking", 4, None), ("loading", 1, None), ("loading", 2, None)] == told


async def test_the_list_is_bounded() -> None:
    """Findings beyond the bound of the list are counted."""
    adapter = InMemoryEventStorageAdapter()
    await push(adapter, *(make_record(str(each), 1, 1, type="OTHER") for each in range(10)))
    report = await check_event_store(make_notes(adapter), max_findings=3)
    assert {"unknown type": 10} == report.counts
    assert (3, 10) == (len(report.findings), report.finding_count)


async def test_upcasters_are_applied() -> None:
    """An old event that the upcasters make a new one of is sound; one that they fail on is not."""

    def upcast(record: EventRecord) -> EventRecord:
        if record.payload == PRIVATE:
            raise ValueError(PRIVATE)
        return record._replace(type="NOTED")

    adapter = InMemoryEventStorageAdapter()
    old = {"type": "OLD"}
    await push(adapter, make_record("a", 1, 1, **old), make_record("a", 2, PRIVATE, **old))
    store: NoteStore = EventStore(
        "NOTES",
        event_types=[Noted],
        reduce=reduce_note,
        storage_adapter=adapter,
        upcasters=[upcast],
    )
    report = await check_event_store(store)
    reason = "it does not fit its type 'OLD': ValueError"
    assert (("undecodable", "a", 2, reason),) == report.findings


@each_kind
async def test_unreached_upcasters(adapter: EventStorageAdapter) -> None:
    """The report counts the events that each upcaster changes, and names those that none needs."""

    def rename(record: EventRecord) -> EventRecord:
        return record._replace(type="NOTED") if record.type == "OLD" else record

    def fail(record: EventRecord) -> EventRecord:
        if record.payload == PRIVATE:
            raise ValueError(PRIVATE)
        return record

    def leave(record: EventRecord) -> EventRecord:
        return record

    await push(
        adapter,
        make_record("a", 1, 1, type="OLD"),
        make_record("a", 2, 1, type="OLD"),
        make_record("a", 3, 1),
        make_record("b", 1, PRIVATE),
    )
    store: NoteStore = EventStore(
        "NOTES",
        event_types=[Noted],
        reduce=reduce_note,
        storage_adapter=adapter,
        upcasters=[leave, rename, fail],
    )
    report = await check_event_store(store)
    assert [(0, 0), (2, 0), (0, 1)] == [(each.changed, each.failed) for each in report.upcasters]
    assert [leave, rename, fail] == [each.upcaster for each in report.upcasters]
    assert (report.upcasters[0].name,) == report.unreached_upcasters
    assert report.unreached_upcasters[0].endswith(".leave")
    assert {"undecodable": 1} == report.counts  # an unreached upcaster is no finding


@dataclass(frozen=True)
class Wrong:
    """A state whose version is wrong."""

    aggregate_id: str
    version: int = 0


async def test_reducers() -> None:
    """A reducer that raises, or returns another state, is found where it is asked for."""

    def reduce(_: Wrong | None, event: Noted) -> Wrong:
        if event.aggregate_id == "raises":
            raise KeyError(PRIVATE)
        return Wrong(event.aggregate_id)

    adapter = InMemoryEventStorageAdapter()
    await push(adapter, make_record("raises", 1, 1), make_record("wrong", 1, 1))
    store: EventStore[Noted, Wrong] = EventStore(
        "NOTES", event_types=[Noted], reduce=reduce, storage_adapter=adapter
    )
    assert (await check_event_store(store)).is_sound
    report = await check_event_store(store, with_reducer=True)
    assert {("raises", None), ("wrong", 1)} == {
        (each.aggregate_id, each.version) for each in report.findings
    }
    assert {"reducer failed": 2} == report.counts
    assert PRIVATE not in repr(report)


async def test_values_that_no_json_has(tmp_path: Path) -> None:
    """A number that something else has written, and JSON does not have, is found by its path."""
    engine = create_engine(f"sqlite:///{tmp_path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    await push(adapter, make_record("a", 1, {"text": "?"}))
    with engine.begin() as connection:
        connection.exec_driver_sql("""UPDATE event SET data = '{"text":"\\ud800"}'""")
    report = await check_event_store(make_notes(adapter))
    assert ["not JSON"] == [*report.counts]
    assert "payload.text" in report.findings[0].reason
    engine.dispose()
