"""Snapshot storage in memory, with an optional bound that makes it a cache of aggregates."""

from bisect import bisect_right, insort
from collections import OrderedDict, defaultdict
from typing import TypeAlias

from castore_core import JSONValue, Snapshot, copy_json

_Owner: TypeAlias = tuple[str, str]  # store, aggregate
_Key: TypeAlias = tuple[_Owner, str, int]  # owner, reducer version, version


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
        self._versions: defaultdict[_Owner, dict[str, list[int]]] = defaultdict(dict)
        self._aggregates: OrderedDict[_Key, JSONValue] = OrderedDict()

    def __len__(self) -> int:
        return len(self._aggregates)

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced."""
        owner = (snapshot.event_store_id, snapshot.aggregate_id)
        key = (owner, snapshot.reducer_version, snapshot.version)
        if key not in self._aggregates:
            versions = self._versions[owner].setdefault(snapshot.reducer_version, [])
            insort(versions, snapshot.version)
        self._aggregates[key] = copy_json(snapshot.aggregate)
        self._aggregates.move_to_end(key)
        if self._max_size is not None and len(self._aggregates) > self._max_size:
            self._forget(next(iter(self._aggregates)))

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any."""
        owner = (event_store_id, aggregate_id)
        versions = self._versions.get(owner, {}).get(reducer_version, [])
        end = len(versions) if max_version is None else bisect_right(versions, max_version)
        if end == 0:
            return None
        version = versions[end - 1]
        key = (owner, reducer_version, version)
        self._aggregates.move_to_end(key)
        aggregate = copy_json(self._aggregates[key])
        return Snapshot(event_store_id, aggregate_id, version, reducer_version, aggregate)

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Return the reducer versions of which there are snapshots of an aggregate, each once."""
        return [*self._versions.get((event_store_id, aggregate_id), {})]

    async def delete_snapshots(
        self,
        event_store_id: str,
        aggregate_id: str | None = None,
        *,
        reducer_version: str | None = None,
        max_version: int | None = None,
    ) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store.

        With ``reducer_version``, those of that reducer alone; with ``max_version``, those at or
        below it.
        """
        owners = [(event_store_id, aggregate_id)] if aggregate_id is not None else [*self._versions]
        for owner in owners:
            if owner[0] != event_store_id:
                continue
            for reducer, versions in [*self._versions.get(owner, {}).items()]:
                if reducer_version in (None, reducer):
                    end = None if max_version is None else bisect_right(versions, max_version)
                    for version in versions[:end]:
                        self._forget((owner, reducer, version))

    def _forget(self, key: _Key) -> None:
        owner, reducer_version, version = key
        del self._aggregates[key]
        reducers = self._versions[owner]
        reducers[reducer_version].remove(version)
        if not reducers[reducer_version]:
            del reducers[reducer_version]
        if not reducers:
            del self._versions[owner]
