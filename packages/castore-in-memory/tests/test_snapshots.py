"""What is the in-memory snapshot storage's own: its bound."""

import pytest

from castore_core import Snapshot
from castore_in_memory import InMemorySnapshotStorageAdapter


def make_snapshot(aggregate_id: str, version: int = 1, aggregate: str = "state") -> Snapshot:
    """Return a snapshot to keep."""
    return Snapshot("NOTES", aggregate_id, version, "1", aggregate)


async def get_ids(adapter: InMemorySnapshotStorageAdapter, *ids: str) -> list[str]:
    """Return the aggregates that have a snapshot."""
    found = [await adapter.get_snapshot("NOTES", each, reducer_version="1") for each in ids]
    return [each.aggregate_id for each in found if each]


async def test_without_a_bound_all_are_kept() -> None:
    """By default nothing is forgotten."""
    adapter = InMemorySnapshotStorageAdapter()
    for number in range(2000):
        await adapter.put_snapshot(make_snapshot(f"a{number}"))
    assert 2000 == len(adapter)


async def test_the_bound_holds() -> None:
    """Never more than the given number are kept."""
    adapter = InMemorySnapshotStorageAdapter(max_size=3)
    for number in range(10):
        await adapter.put_snapshot(make_snapshot(f"a{number}"))
        assert min(number + 1, 3) == len(adapter)


async def test_the_oldest_is_forgotten() -> None:
    """When there is no room, the snapshot that was put first goes."""
    adapter = InMemorySnapshotStorageAdapter(max_size=2)
    for each in "abc":
        await adapter.put_snapshot(make_snapshot(each))
    assert ["b", "c"] == await get_ids(adapter, "a", "b", "c")


async def test_reading_keeps_a_snapshot() -> None:
    """A snapshot that was read is not the one that was not used for the longest time."""
    adapter = InMemorySnapshotStorageAdapter(max_size=2)
    await adapter.put_snapshot(make_snapshot("a"))
    await adapter.put_snapshot(make_snapshot("b"))
    await get_ids(adapter, "a")
    await adapter.put_snapshot(make_snapshot("c"))
    assert ["a", "c"] == await get_ids(adapter, "a", "b", "c")


async def test_replacing_keeps_a_snapshot() -> None:
    """A snapshot that is replaced takes no more room, and counts as used."""
    adapter = InMemorySnapshotStorageAdapter(max_size=2)
    await adapter.put_snapshot(make_snapshot("a"))
    await adapter.put_snapshot(make_snapshot("b"))
    await adapter.put_snapshot(make_snapshot("a", aggregate="new"))
    assert 2 == len(adapter)
    await adapter.put_snapshot(make_snapshot("c"))
    assert ["a", "c"] == await get_ids(adapter, "a", "b", "c")


async def test_versions_of_one_aggregate_are_forgotten_one_by_one() -> None:
    """What is left of an aggregate is still read."""
    adapter = InMemorySnapshotStorageAdapter(max_size=2)
    for version in (3, 1, 2):
        await adapter.put_snapshot(make_snapshot("a", version))
    found = await adapter.get_snapshot("NOTES", "a", reducer_version="1")
    assert make_snapshot("a", 2) == found


async def test_deleting_makes_room() -> None:
    """Snapshots that were deleted do not count."""
    adapter = InMemorySnapshotStorageAdapter(max_size=2)
    await adapter.put_snapshot(make_snapshot("a"))
    await adapter.put_snapshot(make_snapshot("b"))
    await adapter.delete_snapshots("NOTES", "b")
    await adapter.put_snapshot(make_snapshot("c"))
    assert ["a", "c"] == await get_ids(adapter, "a", "b", "c")


async def test_notes_of_event_stores_stay() -> None:
    """They do not count, and are deleted with the snapshots of their aggregate."""
    adapter = InMemorySnapshotStorageAdapter(max_size=1)
    note = Snapshot("NOTES", "a", 9, "castore:generation", "note")
    await adapter.put_snapshot(note)
    for each in "abc":
        await adapter.put_snapshot(make_snapshot(each))
    assert ["c"] == await get_ids(adapter, "a", "b", "c")
    assert note == await adapter.get_snapshot("NOTES", "a", reducer_version="castore:generation")
    await adapter.delete_snapshots("NOTES")
    assert 0 == len(adapter)


@pytest.mark.parametrize("max_size", [0, -1])
def test_a_bound_is_1_or_more(max_size: int) -> None:
    """There is no cache without room."""
    with pytest.raises(ValueError, match="max_size is not 1 or more"):
        InMemorySnapshotStorageAdapter(max_size=max_size)
