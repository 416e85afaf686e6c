"""Snapshot storages that mix things up."""

import asyncio
from decimal import Decimal
from typing import Any, cast

from castore_core import (
    Snapshot,
    StorageError,
)
from castore_in_memory import (
    InMemorySnapshotStorageAdapter,
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

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the others."""
        await self.delete_snapshots(snapshot.event_store_id, snapshot.aggregate_id)
        await super().put_snapshot(snapshot)


class GreatestVersionIgnored(Snapshots):
    """Reads snapshots of a later time."""

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Drop the bound."""
        options["max_version"] = None
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class ReducersMixedUp(Snapshots):
    """Uses the snapshots of any reducer."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Forget the reducer."""
        await super().put_snapshot(snapshot._replace(reducer_version="any"))

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Ignore the reducer."""
        options["reducer_version"] = "any"
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class FirstPutWins(Snapshots):
    """Does not replace."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Look first."""
        found = await self.read(snapshot)
        if found is None or found.version != snapshot.version:
            await super().put_snapshot(snapshot)


class DeletesTheStore(Snapshots):
    """Deletes too much."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Drop the aggregate."""
        await super().delete_snapshots(event_store_id, **options)


class AggregatesAreTexts(Snapshots):
    """Writes an aggregate as a text, and reads it as one."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Write a text."""
        await super().put_snapshot(snapshot._replace(aggregate=str(snapshot.aggregate)))


class NoSnapshotIsAnEmptyOne(Snapshots):
    """Has a snapshot of everything."""

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Return one."""
        found = await super().get_snapshot(event_store_id, aggregate_id, **options)
        return found or Snapshot(event_store_id, aggregate_id, 0, "1", None)


class SnapshotsRenamed(Snapshots):
    """Has one space of names."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Return the place where snapshots of an aggregate are."""
        return event_store_id, aggregate_id

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Put to that place."""
        await super().put_snapshot(Snapshot(*self.rename(*snapshot[:2]), *snapshot[2:]))

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Get from that place."""
        found = await super().get_snapshot(*self.rename(event_store_id, aggregate_id), **options)
        return found and Snapshot(event_store_id, aggregate_id, *found[2:])


class SnapshotsOfStoresMixedUp(SnapshotsRenamed):
    """Does not look at the store."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Drop the store."""
        return event_store_id[:0], aggregate_id


class SnapshotIdsAreFolded(SnapshotsRenamed):
    """Compares ids without regard to case."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Fold."""
        return event_store_id.casefold(), aggregate_id.casefold()


class SnapshotIdsAreJoined(SnapshotsRenamed):
    """Joins the ids with a character that ids may hold."""

    def rename(self, event_store_id: str, aggregate_id: str) -> tuple[str, str]:
        """Join."""
        return "ALL", f"{event_store_id}#{aggregate_id}"


class SnapshotReferenceKept(Snapshots):
    """Keeps the value that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[str, str], Snapshot] = {}

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep it."""
        self._kept[snapshot.event_store_id, snapshot.aggregate_id] = snapshot

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **_: Any) -> Any:
        """Give it out."""
        return self._kept.get((event_store_id, aggregate_id))


class DeletesEverything(Snapshots):
    """Deletes the snapshots of all stores."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Begin anew."""
        if aggregate_id is None:
            super().__init__()
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class DeletingNothingFails(Snapshots):
    """Finds nothing to delete."""

    _is_empty = True

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Remember."""
        self._is_empty = False
        await super().put_snapshot(snapshot)

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Refuse."""
        if self._is_empty:
            raise StorageError("there is no snapshot")
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class RemembersTheGreatest(Snapshots):
    """Keeps no snapshot that is older than another one was."""

    _greatest = 0

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Compare."""
        if snapshot.version >= self._greatest:
            self._greatest = snapshot.version
            await super().put_snapshot(snapshot)


class TornSnapshots(Snapshots):
    """Writes an aggregate in two steps."""

    _half = ""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Pause in the middle."""
        aggregate = str(snapshot.aggregate)
        self._half = self._half or aggregate[:50]
        await asyncio.sleep(0)
        await super().put_snapshot(snapshot._replace(aggregate=self._half + aggregate[50:]))


class SnapshotsOfOneEventLoop(Snapshots):
    """Keeps the event loop of its first user."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return await super().get_snapshot(event_store_id, aggregate_id, **options)


class SnapshotVersionsAreDecimals(Snapshots):
    """Gives versions out as its backend does."""

    async def get_snapshot(self, event_store_id: str, aggregate_id: str, **options: Any) -> Any:
        """Forget to convert."""
        found = await super().get_snapshot(event_store_id, aggregate_id, **options)
        return found and found._replace(version=cast("int", Decimal(found.version)))


class AggregateChanged(Snapshots):
    """Prepares an aggregate in place."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Change the caller's object."""
        if isinstance(snapshot.aggregate, dict):
            snapshot.aggregate["prepared"] = True
        await super().put_snapshot(snapshot)


class DeletionBoundIgnored(Snapshots):
    """Deletes later snapshots, too."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Drop the bound."""
        options["max_version"] = None
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class DeletionBoundIsExclusive(Snapshots):
    """Leaves the snapshot of the greatest version."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Lower the bound."""
        if options.get("max_version") is not None:
            options["max_version"] -= 1
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class DeletesAllReducers(Snapshots):
    """Deletes the snapshots of other reducers, too."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Drop the reducer."""
        options["reducer_version"] = None
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class DeletesTheStoreAsAWhole(Snapshots):
    """Looks at the bounds where there is an aggregate only."""

    async def delete_snapshots(
        self, event_store_id: str, aggregate_id: str | None = None, **options: Any
    ) -> None:
        """Drop them."""
        options = {} if aggregate_id is None else options
        await super().delete_snapshots(event_store_id, aggregate_id, **options)


class ReducersAreRepeated(Snapshots):
    """Tells the reducer of each snapshot."""

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Repeat them."""
        return 2 * await super().get_reducer_versions(event_store_id, aggregate_id)


class ReducersAreRemembered(Snapshots):
    """Tells the reducers of which there were snapshots."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, set[str]] = {}

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Remember."""
        self._known.setdefault(snapshot.aggregate_id, set()).add(snapshot.reducer_version)
        await super().put_snapshot(snapshot)

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Tell all."""
        return [*self._known.get(aggregate_id, ())]
