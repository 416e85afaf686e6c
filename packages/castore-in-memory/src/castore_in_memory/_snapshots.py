"""Snapshot storage in memory, with an optional bound that makes it a cache of aggregates."""

from bisect import bisect_right, insort
from collections import OrderedDict, defaultdict
from typing import TypeAlias

from castore_core import JSONValue, Snapshot, copy_json

_Line: TypeAlias = tuple[str, str, str]  # store, aggregate, reducer version


class InMemorySnapshotStorageAdapter:
    """Keeps snapshots in this process.

    Args:
        max_size: how many snapshots to keep, 1 or more. Of more than these, the ones that were
            not used for the longest time are forgotten. ``None`` keeps all.
    """

    def __init__(self, *, max_size: int | None = None) -> None:
        if max_size is not None and max_size < 1:
            raise ValueError(f"max_size is not 1 or more: {max_size}")
        self._max_size = max_size
        self._versions: defaultdict[_Line, list[int]] = defaultdict(list)
        self._aggregates: OrderedDict[tuple[_Line, int], JSONValue] = OrderedDict()

    def __len__(self) -> int:
        return len(self._aggregates)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced."""
        line = (snapshot.event_store_id, snapshot.aggregate_id, snapshot.reducer_version)
        key = (line, snapshot.version)
        if key not in self._aggregates:
            insort(self._versions[line], snapshot.version)
        self._aggregates[key] = copy_json(snapshot.aggregate)
        self._aggregates.move_to_end(key)
        if self._max_size is not None and len(self._aggregates) > self._max_size:
            self._forget(*next(iter(self._aggregates)))

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any."""
        line = (event_store_id, aggregate_id, reducer_version)
        versions = self._versions.get(line, [])
        end = len(versions) if max_version is None else bisect_right(versions, max_version)
        if end == 0:
            return None
        version = versions[end - 1]
        self._aggregates.move_to_end((line, version))
        aggregate = copy_json(self._aggregates[line, version])
        return Snapshot(event_store_id, aggregate_id, version, reducer_version, aggregate)

    async def delete_snapshots(self, event_store_id: str, aggregate_id: str | None = None) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store."""
        for line, version in list(self._aggregates):
            if line[0] == event_store_id and aggregate_id in (None, line[1]):
                self._forget(line, version)

    def _forget(self, line: _Line, version: int) -> None:
        del self._aggregates[line, version]
        versions = self._versions[line]
        versions.remove(version)
        if not versions:
            del self._versions[line]
