"""Snapshot storages that mix things up are caught."""

from typing import Any

from castore_core import (
    Snapshot,
)
from castore_in_memory import (
    InMemorySnapshotStorageAdapter,
)
from castore_test_tools import (
    SnapshotStorageAdapterTests,
)


class Snapshots(InMemorySnapshotStorageAdapter):
    """Reads otherwise."""

    async def read(self, snapshot: Snapshot) -> Snapshot | None:
        """Return the snapshot of a line and version at most."""
        return await super().get_snapshot(
            snapshot.event_store_id,
            snapshot.aggregate_id,
            reducer_version=snapshot.reducer_version,
            max_version=snapshot.version,
        )


class LastPutWins(Snapshots):
    """Keeps the last snapshot that was put."""

    caught_by = SnapshotStorageAdapterTests.test_the_greatest_version_is_read

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the others."""
        await self.delete_snapshots(snapshot.event_store_id, snapshot.aggregate_id)
        await super().put_snapshot(snapshot)


class GreatestVersionIgnored(Snapshots):
    """Reads snapshots of a later time."""

    caught_by = SnapshotStorageAdapterTests.test_the_greatest_version_of_a_snapshot_is_inclusive

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the bound."""
        options["max_version"] = None
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class ReducersMixedUp(Snapshots):
    """Uses the snapshots of any reducer."""

    caught_by = SnapshotStorageAdapterTests.test_reducers_have_snapshots_of_their_own

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the reducer."""
        await super().put_snapshot(snapshot._replace(reducer_version="any"))

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Ignore the reducer."""
        options["reducer_version"] = "any"
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class FirstPutWins(Snapshots):
    """Does not replace."""

    caught_by = SnapshotStorageAdapterTests.test_a_snapshot_is_replaced

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Look first."""
        found = await self.read(snapshot)
        if found is None or found.version != snapshot.version:
            await super().put_snapshot(snapshot)


class DeletesTheStore(Snapshots):
    """Deletes too much."""

    caught_by = SnapshotStorageAdapterTests.test_the_snapshots_of_an_aggregate_are_deleted

    async def delete_snapshots(self, event_store_id: str, aggregate_id: str | None = None) -> None:  # noqa: ARG002 the fault
        """Drop the aggregate."""
        await super().delete_snapshots(event_store_id)


class AggregatesAreTexts(Snapshots):
    """Writes an aggregate as a text, and reads it as one."""

    caught_by = SnapshotStorageAdapterTests.test_json_of_snapshots

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Write a text."""
        await super().put_snapshot(snapshot._replace(aggregate=str(snapshot.aggregate)))


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
