"""Snapshots: an aggregate is loaded from its last one, and from the events after it."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Self

from castore_core._background import BackgroundJobs
from castore_core._checks import checked_aggregate_id
from castore_core._json import is_unicode
from castore_core._snapshot_access import Place, SnapshotAccess, SnapshotCount
from castore_core._snapshot_policy import SnapshotPolicy, make_policy
from castore_core._snapshot_storage import SnapshotStorageAdapter
from castore_core._store_snapshots import StoreSnapshots
from castore_core.errors import UndefinedAggregateCodecError

if TYPE_CHECKING:
    from castore_core._store import EventStore

DEFAULT_EVERY: Final = 100


class Snapshots:
    """Keeps aggregates as they were, so that they need not be built from all of their events.

    Give it to one event store or to several, as ``EventStore(..., snapshots=...)``. Snapshots are
    a cache: whatever happens to them, or to their storage, an aggregate is the same as without
    them. They are written after pushes, and after loads that had to read many events.

    Use it as an asynchronous context, or call `drain` at the end of the program, so that no write
    is lost that is under way.

    Args:
        storage_adapter: where the snapshots are.
        every: after a push, write a snapshot at each version that is a multiple of this one (100
            by default); after a load, when it read so many events beyond the last snapshot.
        policy: your own function, in the place of ``every``.
        reducer_version: names the reducer. Give another one whenever the reducer, the aggregate or
            its codec changes. Without it, the version is computed from their sources, for each
            event store: see `get_reducer_sources`.
        keep: how many snapshots of an aggregate and reducer to keep; ``None`` keeps all.
        in_background: whether pushes and loads go on while a snapshot is written.

    Raises:
        TypeError: ``storage_adapter`` is a class, or ``policy`` is async.
        ValueError: ``every`` or ``keep`` is not 1 or more, both ``every`` and ``policy`` are given,
            or ``reducer_version`` is empty, no text, or begins with ``castore:``.
    """

    def __init__(
        self,
        storage_adapter: SnapshotStorageAdapter,
        *,
        every: int | None = None,
        policy: SnapshotPolicy | None = None,
        reducer_version: str | None = None,
        keep: int | None = None,
        in_background: bool = True,
    ) -> None:
        if isinstance(storage_adapter, type):
            raise TypeError(f"an adapter is an object: make one, {storage_adapter.__name__}(...)")
        if policy is not None and every is not None:
            raise ValueError("give every or policy, not both")
        if iscoroutinefunction(policy):
            raise TypeError("policy is async: it is a plain function, called in the event loop")
        if reducer_version is not None:
            _check_reducer_version(reducer_version)
        self._access = SnapshotAccess(storage_adapter)
        every = _checked_positive("every", DEFAULT_EVERY if every is None else every)
        self._policy: SnapshotPolicy = policy or make_policy(every)
        self._reducer_version = reducer_version
        self._keep = None if keep is None else _checked_positive("keep", keep)
        self._in_background = in_background
        self._jobs = BackgroundJobs()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.storage_adapter!r})"

    @property
    def storage_adapter(self) -> SnapshotStorageAdapter:
        """Where the snapshots are."""
        return self._access.storage_adapter

    @property
    def reducer_version(self) -> str | None:
        """Names the reducer; ``None`` where that is computed."""
        return self._reducer_version

    @property
    def keep(self) -> int | None:
        """The number of snapshots kept for each aggregate and reducer; ``None`` for all."""
        return self._keep

    @property
    def in_background(self) -> bool:
        """Whether pushes and loads go on while a snapshot is written."""
        return self._in_background

    @property
    def counts(self) -> Mapping[SnapshotCount, int]:
        """Outcomes of snapshot reads and writes, counted since this object was made.

        - ``used``: a load went on from it.
        - ``missing``: a load found none. ``outdated``: it found some of other reducers only. That
          is looked up when a new one is to be written.
        - ``unreadable``: the storage failed. ``corrupt``: it is not as it was written.
        - ``invalidated``: an event was replaced since, or is being replaced.
        - ``undecodable``: the codec refused it, or made another aggregate of it.
        - ``ahead``: its last event is not stored. ``replaced``: that event is another one by now.
        - ``failed``: the reducer raised on the events after it.
        - ``written``; ``not_written``: the codec, the policy or the storage failed.
        - ``not_faithful``: the codec does not give back the aggregate that it was given.
        - ``gaps``: versions are missing, and may still be pushed; not written either.
        - ``dropped``: too many were waiting to be written.
        """
        return dict(self._access.counts)

    async def drain(self) -> None:
        """Wait until all the writes that this event loop has under way have ended."""
        await self._jobs.drain()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    async def invalidate(self, event_store_id: str, aggregate_id: str) -> None:
        """Forget the snapshots of an aggregate, also those that are being written.

        Call it after its events were changed by other means than ``force`` of a store with
        snapshots on the same storage: within a transaction of yours (after the commit), by another
        program, by hand.

        Raises:
            StorageError: the storage of snapshots failed.
        """
        await self._access.open(Place(event_store_id, checked_aggregate_id(aggregate_id)))

    def _attach(self, store: "EventStore[Any, Any]") -> StoreSnapshots:
        """Return the snapshots of an event store, which calls this.

        Raises:
            UndefinedAggregateCodecError: the store has no codec.
        """
        if store.aggregate_codec is None:
            raise UndefinedAggregateCodecError(store.event_store_id)
        return StoreSnapshots(self, self._policy, self._access, self._jobs)


def _checked_positive(name: str, value: int) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is not 1 or more: {value!r}")
    return value


def _check_reducer_version(version: object) -> None:
    if not isinstance(version, str) or not version or not is_unicode(version):
        raise ValueError(f"reducer_version is empty, or no text: {version!r}")
    if version.startswith("castore:"):
        raise ValueError(f"reducer_version begins with 'castore:', which is reserved: {version!r}")
