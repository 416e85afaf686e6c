"""A test fails when a reducer changed, and its version did not."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from castore_core import DataclassCodec, Event, EventStore, Snapshots
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from castore_test_tools import check_reducer_version, mock_event_store, mute_event_store


class Counted(Event, type="COUNTED"):
    """One more."""


@dataclass(frozen=True)
class Count:
    """How many there were."""

    aggregate_id: str
    version: int


def reduce_count(_: Count | None, event: Counted) -> Count:
    """Count."""
    return Count(event.aggregate_id, event.version)


def reduce_otherwise(count: Count | None, event: Counted) -> Count:
    """Count in another way."""
    return Count(event.aggregate_id, 1 if count is None else count.version + 1)


def make_store(
    reducer_version: str | None = "1", reduce: Any = reduce_count
) -> EventStore[Counted, Count]:
    """Return a store with snapshots."""
    return EventStore(
        "COUNTS",
        event_types=[Counted],
        reduce=reduce,
        storage_adapter=InMemoryEventStorageAdapter(),
        aggregate_codec=DataclassCodec(Count),
        snapshots=Snapshots(InMemorySnapshotStorageAdapter(), reducer_version=reducer_version),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the version is recorded, of a store that was checked."""
    path = tmp_path / "counts.json"
    with pytest.raises(AssertionError, match=r"recorded in .*counts\.json now: commit the file"):
        check_reducer_version(make_store(), path)
    return path


def test_the_first_run_records(path: Path) -> None:
    """The file is readable, and the next run passes."""
    recorded = json.loads(path.read_text())
    assert "1" == recorded["reducer_version"]
    assert [each for each in recorded["sources"] if each.endswith(".reduce_count")]
    check_reducer_version(make_store(), str(path))


def test_a_changed_reducer_fails(path: Path) -> None:
    """The message names what changed, and says what to do; the file is left alone."""
    before = path.read_text()
    with pytest.raises(AssertionError) as caught:
        check_reducer_version(make_store(reduce=reduce_otherwise), path)
    message = str(caught.value)
    assert "reducer of event store 'COUNTS' has changed (" in message
    assert "reduce_otherwise" in message
    assert "its version is '1' as before" in message
    assert before == path.read_text()


def test_a_raised_version_is_recorded(path: Path) -> None:
    """It fails once, so that the file is committed, and passes then."""
    store = make_store("2", reduce_otherwise)
    with pytest.raises(AssertionError, match="reducer version '2'"):
        check_reducer_version(store, path)
    check_reducer_version(store, path)


@pytest.mark.parametrize("snapshots", [True, False])
def test_there_must_be_a_version(tmp_path: Path, snapshots: bool) -> None:
    """A computed version needs no check."""
    store = make_store(None)
    if not snapshots:
        store.snapshots = None
    with pytest.raises(ValueError, match="nothing to check"):
        check_reducer_version(store, tmp_path / "counts.json")


async def test_a_muted_store_leaves_its_snapshots_alone() -> None:
    """Neither are they used, nor are events of a test kept in them."""
    store = make_store()
    adapter = InMemorySnapshotStorageAdapter()
    snapshots = store.snapshots = Snapshots(adapter, every=1, reducer_version="1")
    with mute_event_store(store, [Counted("a", 1)]):
        await store.push_event(Counted("a", 2))
        assert (await store.get_aggregate("a")).snapshot_version is None
    await snapshots.drain()
    assert (snapshots, 0) == (store.snapshots, len(adapter))


async def test_a_mock_has_no_snapshots() -> None:
    """It is of the same definition, with other events."""
    mock = mock_event_store(make_store(), [Counted("a", 1)])
    assert mock.snapshots is None
    assert 1 == (await mock.get_existing_aggregate("a")).aggregate.version
