"""The protocol of snapshot storages."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from castore_core._json import JSONValue


class Snapshot(NamedTuple):
    """An aggregate as it was after its event number ``version``.

    ``reducer_version`` names the reducer that computed it: snapshots of other reducers are not
    used.
    """

    event_store_id: str
    aggregate_id: str
    version: int
    reducer_version: str
    aggregate: JSONValue


class SnapshotStorageAdapter(Protocol):
    """Keeps snapshots. It is a cache: what it holds may vanish at any time.

    The ``aggregate`` of a snapshot is any JSON value. Event stores put more than the state into it,
    and some of their snapshots are notes of their own: an adapter does not look into either.
    """

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced."""
        ...

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any.

        It has the ``reducer_version`` that was asked for.
        """
        ...

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> Sequence[str]:
        """Return the reducer versions of which there are snapshots of an aggregate, each once."""
        ...

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
        ...
