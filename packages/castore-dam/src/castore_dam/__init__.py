"""Replay, migrate, archive and check event stores."""

from castore_dam._archive_format import ArchivedEvent, ArchiveSummary
from castore_dam._archive_reader import read_archive, verify_archive
from castore_dam._checkpoints import BookmarkCheckpoint, Checkpoint, FileCheckpoint
from castore_dam._export import export_event_store
from castore_dam._import import ImportedArchive, import_event_store
from castore_dam._integrity import check_event_store
from castore_dam._integrity_report import FindingKind, IntegrityFinding, IntegrityReport
from castore_dam._pour import pour_event_store_collection_events, pour_event_store_events
from castore_dam._pour_aggregate import pour_aggregate_events
from castore_dam._pour_ids import pour_event_store_aggregate_ids
from castore_dam._progress import Progress, ProgressHook
from castore_dam._results import (
    PouredAggregateIds,
    PouredCollection,
    PouredEvent,
    PouredEvents,
    PouredEventStore,
    ScannedAggregates,
)
from castore_dam.errors import (
    CheckpointInUseError,
    DamError,
    EventConflictError,
    InvalidArchiveError,
    InvalidCheckpointError,
)

__all__ = [
    "ArchiveSummary",
    "ArchivedEvent",
    "BookmarkCheckpoint",
    "Checkpoint",
    "CheckpointInUseError",
    "DamError",
    "EventConflictError",
    "FileCheckpoint",
    "FindingKind",
    "ImportedArchive",
    "IntegrityFinding",
    "IntegrityReport",
    "InvalidArchiveError",
    "InvalidCheckpointError",
    "PouredAggregateIds",
    "PouredCollection",
    "PouredEvent",
    "PouredEventStore",
    "PouredEvents",
    "Progress",
    "ProgressHook",
    "ScannedAggregates",
    "check_event_store",
    "export_event_store",
    "import_event_store",
    "pour_aggregate_events",
    "pour_event_store_aggregate_ids",
    "pour_event_store_collection_events",
    "pour_event_store_events",
    "read_archive",
    "verify_archive",
]
