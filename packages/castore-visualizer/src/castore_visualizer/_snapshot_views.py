"""How snapshots serve an aggregate: which ones there are, and whether a load uses one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from castore_core import EventStore, SnapshotCount, Snapshots

MEANINGS: Final[Mapping[SnapshotCount, str]] = {
    "used": "a load went on from it",
    "missing": "a load found none",
    "outdated": "there were only some of other reducers",
    "unreadable": "the storage of snapshots failed",
    "corrupt": "it was not as it was written",
    "invalidated": "an event was replaced since",
    "undecodable": "the codec refused it, or made another aggregate of it",
    "ahead": "its last event is not stored",
    "replaced": "its last event is another one by now",
    "failed": "the reducer raised on the events after it",
    "written": "a snapshot was written",
    "not_written": "the codec, the policy or the storage failed",
    "not_faithful": "the codec does not give back the aggregate that it was given",
    "gaps": "versions are missing, and may still be pushed",
    "dropped": "too many were waiting to be written",
}

HITS: Final[tuple[SnapshotCount, ...]] = ("used", "written")

_NOTES: Final = "castore:"  # reducer versions of notes, which are no snapshots


@dataclass(frozen=True)
class LoadTrial:
    """A load of an aggregate, as snapshots served it.

    Attributes:
        version: the version that was loaded.
        snapshot_version: that of the snapshot that was used, if any.
        events_read: how many events were read.
        reasons: why no snapshot, or an older one, was used.
        reducer_versions: the reducers of which there are snapshots.
    """

    version: int
    snapshot_version: int | None
    events_read: int
    reasons: Sequence[SnapshotCount]
    reducer_versions: list[str]


async def try_load(
    store: EventStore, snapshots: Snapshots, aggregate_id: str, last_version: int
) -> LoadTrial:
    """Load an aggregate, and tell how snapshots served it. No snapshot is written.

    The counts of the store's snapshots grow, as with every load. Other loads of this process at
    the same moment may add their reasons.
    """
    before = snapshots.counts
    loaded = await store.get_aggregate(aggregate_id, max_version=last_version)
    after = snapshots.counts
    reasons: list[SnapshotCount] = [
        name for name in MEANINGS if after.get(name, 0) > before.get(name, 0) and name not in HITS
    ]
    versions = await snapshots.storage_adapter.get_reducer_versions(
        store.event_store_id, aggregate_id
    )
    known = [each for each in versions if not each.startswith(_NOTES)]
    return LoadTrial(
        last_version, loaded.snapshot_version, loaded.events_read, reasons, sorted(known)
    )
