"""The status of a projection: how far it has come, and who runs it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    LogPosition,
    utc_now,
)
from castore_projections._ledger import Ledger
from castore_projections._parking import iter_parked
from castore_projections._partition import Partition
from castore_projections._source import Source

_PAGE_SIZE: Final = 1000


@dataclass(frozen=True, kw_only=True)
class PartitionStatus:
    """The progress of a partition, and the process that runs it.

    Attributes:
        partition: its number, from 0.
        bookmark_id: its bookmark.
        position: the position up to which all its events are handled, or parked.
        events_behind: how many events of the projection's stores follow. With several partitions,
            those of the others are counted, too.
        oldest_unhandled_at: the timestamp of its next event, or ``None`` where none follows.
        moved_at: when the bookmark moved last: its last progress.
        renewed_at: when a lease was last taken or extended: its last sign of life.
        owner: names the host, the process and the run that has the lease now, if any.
        failed: how many parked events wait for a decision.
        waiting: how many parked events wait behind these, or are to be tried again.
    """

    partition: int
    bookmark_id: str
    position: LogPosition
    events_behind: int
    oldest_unhandled_at: datetime | None
    moved_at: datetime | None
    renewed_at: datetime | None
    owner: str | None
    failed: int
    waiting: int


@dataclass(frozen=True, kw_only=True)
class ProjectionStatus:
    """The status of a projection, or of a relay.

    Attributes:
        name: its name.
        version: its version.
        live_version: the version that is live.
        asked_at: the moment of the question.
        partitions: the status of each partition.
    """

    name: str
    version: int
    live_version: int
    asked_at: datetime
    partitions: tuple[PartitionStatus, ...]

    @property
    def is_live(self) -> bool:
        """Whether this version is the live one."""
        return self.version == self.live_version

    @property
    def is_running(self) -> bool:
        """Whether each partition has an owner."""
        return all(each.owner is not None for each in self.partitions)

    @property
    def events_behind(self) -> int:
        """The most events that are still to be handled."""
        return max(each.events_behind for each in self.partitions)

    @property
    def lag(self) -> timedelta:
        """The age of the oldest event that is not handled; 0 where all are."""
        moments = [each.oldest_unhandled_at for each in self.partitions]
        return max(
            (self.asked_at - each for each in moments if each is not None), default=timedelta()
        )

    @property
    def failed(self) -> int:
        """The number of parked events that wait for a decision."""
        return sum(each.failed for each in self.partitions)

    @property
    def waiting(self) -> int:
        """The number of parked events that wait behind these, or are to be tried again."""
        return sum(each.waiting for each in self.partitions)


async def read_status(
    name: str,
    version: int,
    ledger: Ledger,
    partitions: list[Partition],
    *,
    source: Source,
    bookmarks: BookmarkStorageAdapter[Any],
) -> ProjectionStatus:
    """Read the status of a projection."""
    found = [await _read_partition(each, source, bookmarks) for each in partitions]
    return ProjectionStatus(
        name=name,
        version=version,
        live_version=ledger.live,
        asked_at=utc_now(),
        partitions=tuple(found),
    )


async def _read_partition(
    partition: Partition, source: Source, bookmarks: BookmarkStorageAdapter[Any]
) -> PartitionStatus:
    bookmark = await bookmarks.get_bookmark(partition.bookmark_id)
    position = bookmark.position or LOG_START
    parked = [each async for each in iter_parked(bookmarks, partition.bookmark_id)]
    failed = sum(each.failure is not None for each in parked)
    return PartitionStatus(
        partition=partition.number,
        bookmark_id=partition.bookmark_id,
        position=position,
        events_behind=await source.get_log().count_events(source.event_store_ids, position),
        oldest_unhandled_at=await _find_oldest(partition, source, position),
        moved_at=bookmark.moved_at,
        renewed_at=bookmark.renewed_at,
        owner=bookmark.owner,
        failed=failed,
        waiting=len(parked) - failed,
    )


async def _find_oldest(
    partition: Partition, source: Source, position: LogPosition
) -> datetime | None:
    """Return the timestamp of the first event of a partition that follows a position."""
    while True:
        found = await source.read(position, 1 if partition.total == 1 else _PAGE_SIZE)
        for entry in found.entries:
            if partition.has(entry):
                return entry.record.timestamp
        if found.position == position:
            return None
        position = found.position
