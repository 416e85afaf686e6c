"""Archives of stores on each backend: exported, imported, damaged and read by others."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    ABSENT,
    AggregateIdsSlice,
    EventRecord,
    EventStorageAdapter,
    ListedAggregate,
    VersionGapError,
)
from castore_dam import (
    EventConflictError,
    FileCheckpoint,
    InvalidArchiveError,
    InvalidCheckpointError,
    export_event_store,
    import_event_store,
    read_archive,
    verify_archive,
)
from castore_in_memory import InMemoryEventStorageAdapter
from event_storages import LOGS, STORAGES, MakeStorage, read_all
from notes import MOMENT, make_notes, make_record
from wrapped_storage import WrappedStorage

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
VALUES: list[Any] = [
    ABSENT,
    None,
    0,
    "",
    {"big": 2**70, "small": 0.1, "text": "é\u2028\u0001 🐢"},
    {"list": [1, {"a": None}, []], "undeclared": False},
]

each_kind = pytest.mark.parametrize("kind", STORAGES)


@pytest.fixture
async def adapter(kind: str, make_storage: MakeStorage) -> EventStorageAdapter:
    """Give an empty storage."""
    return await make_storage(kind)


async def fill(adapter: EventStorageAdapter, store_id: str = "NOTES", versions: int = 6) -> None:
    """Store events of several aggregates."""
    for version in range(1, versions + 1):
        for name in ("a", "b#é", "c"):
            value = VALUES[(version - 1) % len(VALUES)]
            extra = {"metadata": value} if name == "c" else {}
            await adapter.push_event(store_id, make_record(name, version, value, **extra))


async def make_archive(path: Path, versions: int = 6) -> None:
    """Export a small store in memory."""
    adapter = InMemoryEventStorageAdapter()
    await fill(adapter, versions=versions)
    await export_event_store(make_notes(adapter), path)


async def count_readable(path: Path) -> int:
    """Return how many events an archive has, all of which are right."""
    return len([each async for each in read_archive(path)])


@each_kind
@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_round_trip(adapter: EventStorageAdapter, suffix: str, tmp_path: Path) -> None:
    """Each backend's store comes back equal, from each kind of file, and a second time."""
    await fill(adapter)
    source, target = make_notes(adapter), make_notes(adapter, event_store_id="COPY")
    path = tmp_path / f"notes{suffix}"
    exported = await export_event_store(source, path)

    options: dict[str, Any] = {"archived_ids": {"COPY": "NOTES"}}
    imported = await import_event_store(path, target, **options)
    again = await import_event_store(path, target, **options)

    assert exported == imported.archive == await verify_archive(path)
    assert {"NOTES": 18} == exported.event_counts
    assert (18, 0) == (imported.imported_event_count, imported.present_event_count)
    assert (0, 18) == (again.imported_event_count, again.present_event_count)
    assert await read_all(source) == await read_all(target)
    assert [path.name] == [each.name for each in tmp_path.glob("notes*")]


@each_kind
async def test_conflict(adapter: EventStorageAdapter, tmp_path: Path) -> None:
    """A different event in the way is named and kept; equal ones before it are passed over."""
    path = tmp_path / "notes.jsonl"
    await make_archive(path)
    other = make_record("b#é", 2, "other")
    await adapter.push_event("NOTES", make_record("b#é", 1))
    await adapter.push_event("NOTES", other)

    with pytest.raises(EventConflictError) as caught:
        await import_event_store(path, make_notes(adapter))
    assert ("NOTES", "b#é", 2) == caught.value.args
    assert other == (await adapter.get_events("NOTES", "b#é"))[-1]


@pytest.mark.parametrize("kind", LOGS)
async def test_partly_there(adapter: EventStorageAdapter, tmp_path: Path) -> None:
    """Events that are missing are written among those that are there."""
    path = tmp_path / "notes.jsonl"
    await make_archive(path)
    await fill(adapter, versions=3)
    imported = await import_event_store(path, make_notes(adapter))
    assert (9, 9) == (imported.imported_event_count, imported.present_event_count)


class ListedTwice(WrappedStorage):
    """Lists its aggregates twice, as one is whose first event is replaced by a later one.

    Attributes:
        payloads: those of the events that are read, one after the other.
    """

    def __init__(self, *payloads: Any) -> None:
        super().__init__(InMemoryEventStorageAdapter())
        self.payloads = [*payloads]

    async def list_aggregate_ids(self, *arguments: Any, **options: Any) -> AggregateIdsSlice:
        """List an aggregate twice."""
        del arguments, options
        return AggregateIdsSlice([ListedAggregate("a", MOMENT)] * 2)

    async def get_events(self, *arguments: Any, **options: Any) -> Sequence[EventRecord]:
        """Read the next payload."""
        del arguments, options
        return [make_record("a", 1, self.payloads.pop(0))]


@each_kind
async def test_an_event_that_is_in_an_archive_twice(
    adapter: EventStorageAdapter, tmp_path: Path
) -> None:
    """It is written once; two events of one version are a conflict."""
    path, other = tmp_path / "notes.jsonl", tmp_path / "others.jsonl"
    await export_event_store(make_notes(ListedTwice("same", "same")), path)
    await export_event_store(make_notes(ListedTwice("same", "other")), other)

    imported = await import_event_store(path, make_notes(adapter))
    assert (1, 1) == (imported.imported_event_count, imported.present_event_count)
    target = make_notes(adapter, event_store_id="COPY")
    with pytest.raises(EventConflictError):
        await import_event_store(other, target, archived_ids={"COPY": "NOTES"})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text("aé\n", max_size=2), values, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(values=st.lists(st.tuples(JSON | st.just(ABSENT), JSON | st.just(ABSENT)), max_size=5))
async def test_any_json(
    suffix: str, values: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any JSON values come back exactly: with their types, and the order of their keys."""
    source, target = InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()
    for version, (payload, metadata) in enumerate(values, 1):
        await source.push_event("NOTES", make_record("a", version, payload, metadata=metadata))
    path = tmp_path_factory.mktemp("archive") / f"notes{suffix}"
    await export_event_store(make_notes(source), path)
    await import_event_store(path, make_notes(target))
    expected = await source.get_events("NOTES", "a")
    assert repr(expected) == repr(await target.get_events("NOTES", "a"))


async def test_each_flipped_bit_shows(tmp_path: Path) -> None:
    """No bit of a plain archive can be another."""
    path = tmp_path / "notes.jsonl"
    await make_archive(path, versions=1)
    whole = path.read_bytes()
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(InvalidArchiveError):
            await verify_archive(path)


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
async def test_each_flipped_bit_of_a_compressed_archive(suffix: str, tmp_path: Path) -> None:
    """A bit of a compressed file shows, or changes nothing of what is in it, such as a date."""
    path = tmp_path / f"notes{suffix}"
    await make_archive(path, versions=1)
    whole, expected = path.read_bytes(), [each async for each in read_archive(path)]
    unnoticed = 0
    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert expected == [each async for each in read_archive(path)]
            unnoticed += 1
        except InvalidArchiveError:
            pass
    assert unnoticed < len(whole) * 8 / 10


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_each_truncation_shows(suffix: str, tmp_path: Path) -> None:
    """An archive that was cut off, at whichever byte, is refused, and nothing is imported."""
    path = tmp_path / f"notes{suffix}"
    await make_archive(path, versions=1)
    whole = path.read_bytes()
    target = make_notes(InMemoryEventStorageAdapter())
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidArchiveError):
            await import_event_store(path, target)
    assert {} == await read_all(target)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("change", ["removed", "swapped", "added", "doubled"])
async def test_changed_lines_show(change: str, number: int, tmp_path: Path) -> None:
    """A line that is missing, moved, new or there twice shows, and is named."""
    path = tmp_path / "notes.jsonl"
    await make_archive(path, versions=1)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 5
    match change:
        case "removed":
            del lines[number]
        case "swapped":
            lines[number], lines[number - 1] = lines[number - 1], lines[number]
        case "added":
            lines.insert(number + 1, b'{"eventStoreId":"NOTES"}\n')
        case _:
            lines.insert(number, lines[number])
    path.write_bytes(b"".join(lines))
    with pytest.raises(InvalidArchiveError) as caught:
        await verify_archive(path)
    assert caught.value.line <= number + 2


async def test_reads_without_castore(tmp_path: Path) -> None:
    """An archive is read and checked with the standard library alone."""
    path = tmp_path / "notes.jsonl.gz"
    await make_archive(path)
    bodies: list[Any] = []
    previous = b""
    with gzip.open(path) as lines:
        for line in lines:
            content, _, rest = line.rpartition(b',"hash":"')
            assert hashlib.sha256(previous + content).hexdigest().encode() == rest[:64]
            previous = rest[:64]
            bodies.append(json.loads(line))
    assert bodies[-1]["eventCount"] == len(bodies) - 2 == 18
    assert {"big": 2**70, "small": 0.1, "text": "é\u2028\u0001 🐢"} == bodies[-6]["payload"]
    assert "payload" not in bodies[1]
    assert bodies[4]["payload"] is None


async def test_several_stores(tmp_path: Path) -> None:
    """Stores of several storages share an archive, of which some can be imported."""
    adapters = [InMemoryEventStorageAdapter(), InMemoryEventStorageAdapter()]
    await fill(adapters[0])
    await fill(adapters[1], "OTHERS", 2)
    path = tmp_path / "both.jsonl"
    stores = [make_notes(adapters[0]), make_notes(adapters[1], event_store_id="OTHERS")]
    archive = await export_event_store(stores, path)
    assert {"NOTES": 18, "OTHERS": 6} == archive.event_counts

    target = make_notes(InMemoryEventStorageAdapter(), event_store_id="COPY")
    with pytest.raises(
        InvalidArchiveError, match="'NOTES', 'OTHERS', and those to fill are 'COPY'"
    ):
        await import_event_store(path, target)
    imported = await import_event_store(path, target, archived_ids={"COPY": "OTHERS"})
    assert imported.imported_event_count == 6
    assert await read_all(stores[1]) == await read_all(target)


async def test_another_version_of_the_format(tmp_path: Path) -> None:
    """An archive of a later format is refused, with its version."""
    path = tmp_path / "notes.jsonl"
    content = b'{"format":"castore-archive","formatVersion":2'
    path.write_bytes(
        content + b',"hash":"' + hashlib.sha256(content).hexdigest().encode() + b'"}\n'
    )
    with pytest.raises(InvalidArchiveError, match="version 2 of the format"):
        await verify_archive(path)


async def test_existing_file_is_kept(tmp_path: Path) -> None:
    """An export replaces no file, and one that fails leaves none."""
    path = tmp_path / "notes.jsonl"
    await make_archive(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        await make_archive(path)
    assert before == path.read_bytes()

    def fail(_: object) -> None:
        raise RuntimeError

    adapter = InMemoryEventStorageAdapter()
    await fill(adapter)
    with pytest.raises(RuntimeError):
        await export_event_store(make_notes(adapter), tmp_path / "o.jsonl", on_progress=fail)
    assert [path] == [*tmp_path.iterdir()]


async def test_checkpoint_of_another_archive(tmp_path: Path) -> None:
    """The checkpoint of an import is refused by another archive."""
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    target = make_notes(InMemoryEventStorageAdapter())
    await make_archive(tmp_path / "one.jsonl")
    await make_archive(tmp_path / "two.jsonl", versions=2)
    await import_event_store(tmp_path / "one.jsonl", target, checkpoint=checkpoint)
    with pytest.raises(InvalidCheckpointError, match="other values of archive"):
        await import_event_store(tmp_path / "two.jsonl", target, checkpoint=checkpoint)


async def test_a_changed_part_is_refused(tmp_path: Path) -> None:
    """An export does not go on with a part that is not the one of its checkpoint."""
    checkpoint = FileCheckpoint(tmp_path / "checkpoint")
    adapter = InMemoryEventStorageAdapter()
    await fill(adapter)
    path = tmp_path / "notes.jsonl"

    def fail(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await export_event_store(make_notes(adapter), path, checkpoint=checkpoint, on_progress=fail)
    part = tmp_path / "notes.jsonl.part"
    part.write_bytes(part.read_bytes().replace(b"NOTES", b"OTHER"))
    with pytest.raises(InvalidArchiveError):
        await export_event_store(make_notes(adapter), path, checkpoint=checkpoint)


async def test_gaps(tmp_path: Path) -> None:
    """A gap is imported only by an adapter that allows it."""
    source = InMemoryEventStorageAdapter(allow_gaps=True)
    await source.push_event("NOTES", make_record(version=2))
    path = tmp_path / "notes.jsonl"
    await export_event_store(make_notes(source), path)
    with pytest.raises(VersionGapError):
        await import_event_store(path, make_notes(InMemoryEventStorageAdapter()))
    target = InMemoryEventStorageAdapter(allow_gaps=True)
    await import_event_store(path, make_notes(target))
    assert [2] == [each.version for each in await target.get_events("NOTES", "a")]
