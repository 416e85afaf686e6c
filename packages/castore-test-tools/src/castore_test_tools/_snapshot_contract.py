"""The contract of snapshot storages."""

import asyncio
from copy import deepcopy
from itertools import product
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    CastoreError,
    JSONValue,
    Snapshot,
    SnapshotStorageAdapter,
)
from castore_test_tools._any_ids import with_any_ids
from castore_test_tools._contract import properties
from castore_test_tools._running import (
    change_meanwhile,
)
from castore_test_tools._snapshot_backend import SnapshotBackendContract
from castore_test_tools._snapshot_base import make_snapshot
from castore_test_tools._values import (
    JSON_SAMPLES,
    OTHER_STORE,
    STORE,
    exact,
    json_values,
    make_long_values,
)

_AT_ONCE = 32
_versions = st.integers(1, 6)


class SnapshotStorageAdapterTests(SnapshotBackendContract):
    """The contract that every `castore_core.SnapshotStorageAdapter` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns a storage without
    snapshots, for each test anew. A storage with a bound needs room for 50.
    The fixtures ``connect_again`` and ``break_backend``, where the suite has them, are for tests
    of the client and of failures.
    """

    async def test_no_snapshot(self, adapter: SnapshotStorageAdapter) -> None:
        """An aggregate without snapshots has none."""
        assert await self.get(adapter) is None

    async def test_a_snapshot_is_read_as_it_was_put(self, adapter: SnapshotStorageAdapter) -> None:
        """Every field of a snapshot comes back."""
        snapshot = make_snapshot(7, {"text": "milk", "done": None}, reducer_version="2.0")
        await adapter.put_snapshot(snapshot)
        read = await adapter.get_snapshot(STORE, "a1", reducer_version="2.0")
        assert snapshot == read
        assert isinstance(read, Snapshot)
        assert type(read.version) is int

    async def test_the_greatest_version_is_read(self, adapter: SnapshotStorageAdapter) -> None:
        """Of several snapshots the one of the greatest version counts, whenever it was put."""
        for version in (2, 10, 9):
            await adapter.put_snapshot(make_snapshot(version, version))
        assert make_snapshot(10, 10) == await self.get(adapter)

    async def test_the_greatest_version_of_a_snapshot_is_inclusive(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """With a greatest version, the last snapshot at or below it is read."""
        for version in (2, 4, 6):
            await adapter.put_snapshot(make_snapshot(version, version))
        read = [await self.get(adapter, max_version=each) for each in (1, 2, 3, 4, 5, 100)]
        assert [None, 2, 2, 4, 4, 6] == [each and each.version for each in read]

    async def test_a_snapshot_is_replaced(self, adapter: SnapshotStorageAdapter) -> None:
        """A snapshot of the same version takes the place of the one before."""
        await adapter.put_snapshot(make_snapshot(1, "old"))
        await adapter.put_snapshot(make_snapshot(1, "new"))
        assert make_snapshot(1, "new") == await self.get(adapter)

    async def test_reducers_have_snapshots_of_their_own(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """The snapshots of another reducer version are not used, and not replaced."""
        await adapter.put_snapshot(make_snapshot(1, "of 1", reducer_version="1"))
        await adapter.put_snapshot(make_snapshot(1, "of 2", reducer_version="2"))
        await adapter.put_snapshot(make_snapshot(5, "of 10", reducer_version="10"))
        read = [await self.get(adapter, reducer_version=each) for each in ("1", "2", "10", "3")]
        assert ["of 1", "of 2", "of 10", None] == [each and each.aggregate for each in read]

    async def test_aggregates_have_snapshots_of_their_own(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """Other aggregates, and those of the same id in other stores, are kept apart."""
        places = list(product((STORE, OTHER_STORE, "NOTE"), ("a1", "a", "Sa1")))
        snapshots = [
            make_snapshot(1, list(place), event_store_id=place[0], aggregate_id=place[1])
            for place in places
        ]
        for each in snapshots:
            await adapter.put_snapshot(each)
        read = [await adapter.get_snapshot(*place, reducer_version="1") for place in places]
        assert snapshots == read

    @with_any_ids
    async def test_ids_of_snapshots_are_data(
        self, adapter: SnapshotStorageAdapter, ids: list[str]
    ) -> None:
        """Stores, aggregates and reducers of any name, of which some look alike, are different."""
        for field in ("event_store_id", "aggregate_id", "reducer_version"):
            snapshots = [make_snapshot(1, each, **{field: each}) for each in ids]
            for each in snapshots:
                await adapter.put_snapshot(each)
            read = [
                await adapter.get_snapshot(*each[:2], reducer_version=each.reducer_version)
                for each in snapshots
            ]
            assert snapshots == read

    async def test_joined_ids_of_snapshots_are_kept_apart(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """However ids are joined: another split of the same characters is another aggregate."""
        splits = [(f"a{s}b", "c") for s in "#/:|_ "] + [("a", f"b{s}c") for s in "#/:|_ "]
        snapshots = [
            make_snapshot(1, list(each), event_store_id=each[0], aggregate_id=each[1])
            for each in splits
        ]
        for each in snapshots:
            await adapter.put_snapshot(each)
        read = [await adapter.get_snapshot(*each, reducer_version="1") for each in splits]
        assert snapshots == read

    @pytest.mark.parametrize("samples", JSON_SAMPLES.values(), ids=JSON_SAMPLES)
    async def test_json_of_snapshots(
        self, adapter: SnapshotStorageAdapter, samples: dict[str, JSONValue]
    ) -> None:
        """An aggregate is read as it was written, with the types of its numbers."""
        for name, value in samples.items():
            await self._check(adapter, make_snapshot(1, value, aggregate_id=name))

    @properties
    @given(json_values)
    async def test_any_json_of_snapshots(
        self, adapter: SnapshotStorageAdapter, value: JSONValue
    ) -> None:
        """Any JSON value is read as it was written."""
        await adapter.delete_snapshots(STORE)
        await self._check(adapter, make_snapshot(1, value))

    async def test_putting_does_not_change_the_aggregate(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """A storage leaves the aggregate that it was given as it is."""
        aggregate: JSONValue = {"list": [1, 1.5, None, {"a": 2.5}], "text": "milk"}
        expected = deepcopy(aggregate)
        await adapter.put_snapshot(make_snapshot(1, aggregate))
        assert expected == aggregate

    async def test_no_reference_to_a_snapshot_is_kept(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """A caller that changes an aggregate after putting it does not change the snapshot."""
        aggregate: list[JSONValue] = [1, [2]]
        await adapter.put_snapshot(make_snapshot(1, aggregate))
        cast("list[JSONValue]", aggregate[1]).append(3)
        aggregate.clear()
        assert make_snapshot(1, [1, [2]]) == await self.get(adapter)

    async def test_an_aggregate_that_changes_while_it_is_put(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """The kept aggregate is that of the call, whatever the caller does to it afterwards."""
        values = make_long_values()
        snapshots = [
            make_snapshot(1, value, aggregate_id=f"a{each}") for each, value in enumerate(values)
        ]
        expected = deepcopy(snapshots)
        await change_meanwhile((adapter.put_snapshot(each) for each in snapshots), values)
        read = [await adapter.get_snapshot(*each[:2], reducer_version="1") for each in expected]
        assert expected == read

    async def test_no_reference_to_a_snapshot_is_given_out(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """A reader that changes an aggregate that it read does not change the snapshot."""
        await adapter.put_snapshot(make_snapshot(1, {"list": [1]}))
        read = await self.get(adapter)
        assert read is not None
        cast("dict[str, list[JSONValue]]", read.aggregate)["list"].append(2)
        assert make_snapshot(1, {"list": [1]}) == await self.get(adapter)

    async def test_the_snapshots_of_an_aggregate_are_deleted(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """All versions and reducers of the aggregate are forgotten, and no other aggregate."""
        for version, reducer_version in product((1, 2), ("1", "2")):
            await adapter.put_snapshot(make_snapshot(version, reducer_version=reducer_version))
        others = [
            make_snapshot(1, aggregate_id="a2"),
            make_snapshot(1, event_store_id=OTHER_STORE),
            make_snapshot(1, aggregate_id="a"),
        ]
        for each in others:
            await adapter.put_snapshot(each)
        await adapter.delete_snapshots(STORE, "a1")
        deleted = [await self.get(adapter, reducer_version=each) for each in ("1", "2")]
        assert [None, None] == deleted
        places = [(each.event_store_id, each.aggregate_id) for each in others]
        read = [await adapter.get_snapshot(*each, reducer_version="1") for each in places]
        assert others == read

    async def test_the_snapshots_of_a_store_are_deleted(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """All aggregates of the store are forgotten, and those of no other store."""
        kept = [make_snapshot(1, event_store_id=each) for each in (OTHER_STORE, "NOTE", "NOTES2")]
        for each in (make_snapshot(1), make_snapshot(2, aggregate_id="a2"), *kept):
            await adapter.put_snapshot(each)
        await adapter.delete_snapshots(STORE)
        deleted = [
            await adapter.get_snapshot(STORE, each, reducer_version="1") for each in ("a1", "a2")
        ]
        assert [None, None] == deleted
        read = [
            await adapter.get_snapshot(each.event_store_id, "a1", reducer_version="1")
            for each in kept
        ]
        assert kept == read

    async def test_snapshots_are_deleted_up_to_a_version(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """The greatest version is inclusive: later snapshots stay, for each reducer."""
        for version, reducer_version in product((2, 4, 6), ("1", "2")):
            await adapter.put_snapshot(make_snapshot(version, reducer_version=reducer_version))
        await adapter.put_snapshot(make_snapshot(2, aggregate_id="a2"))
        await adapter.delete_snapshots(STORE, "a1", max_version=4)
        assert [[6], [6]] == [await self._get_versions(adapter, each) for each in ("1", "2")]
        await adapter.delete_snapshots(STORE, "a1", max_version=5)
        assert [6] == await self._get_versions(adapter)
        found = await adapter.get_snapshot(STORE, "a2", reducer_version="1")
        assert make_snapshot(2, aggregate_id="a2") == found

    async def test_the_snapshots_of_a_reducer_are_deleted(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """Those of the other reducers stay, also of a greatest version."""
        for version, reducer_version in product((2, 4), ("1", "2", "10")):
            await adapter.put_snapshot(make_snapshot(version, reducer_version=reducer_version))
        await adapter.delete_snapshots(STORE, "a1", reducer_version="1")
        await adapter.delete_snapshots(STORE, "a1", reducer_version="2", max_version=2)
        kept = [await self._get_versions(adapter, each) for each in ("1", "2", "10")]
        assert [[], [4], [2, 4]] == kept

    async def test_snapshots_of_a_store_are_deleted_in_part(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """A reducer and a greatest version hold for all the aggregates of a store."""
        ids = ("a1", "a2")
        for version, reducer_version, each in product((2, 4), ("1", "2"), ids):
            await adapter.put_snapshot(
                make_snapshot(version, reducer_version=reducer_version, aggregate_id=each)
            )
        await adapter.delete_snapshots(STORE, reducer_version="1", max_version=2)
        for each in ids:
            assert [4] == await self._get_versions(adapter, "1", each)
            assert [2, 4] == await self._get_versions(adapter, "2", each)

    async def test_the_reducers_of_an_aggregate(self, adapter: SnapshotStorageAdapter) -> None:
        """The reducers of which there are snapshots are told, each once, and no others."""
        for version, reducer_version in product((1, 2), ("1", "10", "sha256:9f")):
            await adapter.put_snapshot(make_snapshot(version, reducer_version=reducer_version))
        await adapter.put_snapshot(make_snapshot(aggregate_id="a2", reducer_version="2"))
        await adapter.put_snapshot(make_snapshot(event_store_id=OTHER_STORE, reducer_version="3"))
        found = await adapter.get_reducer_versions(STORE, "a1")
        assert ["1", "10", "sha256:9f"] == sorted(found)
        await adapter.delete_snapshots(STORE, "a1", reducer_version="10")
        assert ["1", "sha256:9f"] == sorted(await adapter.get_reducer_versions(STORE, "a1"))
        await adapter.delete_snapshots(STORE, "a1")
        assert [] == list(await adapter.get_reducer_versions(STORE, "a1"))

    async def test_deleting_what_is_not_there(self, adapter: SnapshotStorageAdapter) -> None:
        """Deleting no snapshots is no error."""
        await adapter.delete_snapshots(STORE)
        await adapter.delete_snapshots(STORE, "a1")
        await adapter.delete_snapshots(STORE, "a1", reducer_version="1", max_version=7)
        assert await self.get(adapter) is None

    async def test_a_deleted_snapshot_can_be_put_again(
        self, adapter: SnapshotStorageAdapter
    ) -> None:
        """After a deletion, an older snapshot counts again."""
        await adapter.put_snapshot(make_snapshot(5))
        await adapter.delete_snapshots(STORE, "a1")
        await adapter.put_snapshot(make_snapshot(3))
        assert make_snapshot(3) == await self.get(adapter)

    @properties
    @given(st.dictionaries(_versions, st.integers(0, 9)), st.none() | st.integers(0, 7))
    async def test_any_snapshots(
        self, adapter: SnapshotStorageAdapter, kept: dict[int, int], max_version: int | None
    ) -> None:
        """Of any versions that are kept, the greatest that is allowed is read."""
        await adapter.delete_snapshots(STORE)
        for version, aggregate in kept.items():
            await adapter.put_snapshot(make_snapshot(version, aggregate))
        allowed = [each for each in kept if max_version is None or each <= max_version]
        expected = make_snapshot(max(allowed), kept[max(allowed)]) if allowed else None
        assert expected == await self.get(adapter, max_version=max_version)

    async def test_snapshots_put_at_once(self, adapter: SnapshotStorageAdapter) -> None:
        """Of snapshots of one version that are put at once, one stays, as a whole."""
        snapshots = [make_snapshot(1, f"{each} " * 100) for each in range(_AT_ONCE)]
        await asyncio.gather(*(adapter.put_snapshot(each) for each in snapshots))
        assert await self.get(adapter) in snapshots

    async def _get_versions(
        self,
        adapter: SnapshotStorageAdapter,
        reducer_version: str = "1",
        aggregate_id: str = "a1",
    ) -> list[int]:
        """Return the versions that are kept, of those below 10."""
        found = [
            await adapter.get_snapshot(
                STORE, aggregate_id, reducer_version=reducer_version, max_version=each
            )
            for each in range(1, 10)
        ]
        return sorted({each.version for each in found if each is not None})

    async def _check(self, adapter: SnapshotStorageAdapter, snapshot: Snapshot) -> None:
        async def read() -> Snapshot | None:
            return await adapter.get_snapshot(STORE, snapshot.aggregate_id, reducer_version="1")

        if not self.holds(snapshot.aggregate):
            with pytest.raises(CastoreError):
                await adapter.put_snapshot(snapshot)
            assert await read() is None
            return
        expected = exact(self.as_read(snapshot.aggregate))
        await adapter.put_snapshot(snapshot)
        found = await read()
        assert found is not None
        assert expected == exact(found.aggregate)
