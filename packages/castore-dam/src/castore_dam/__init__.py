"""Replay, migrate, archive and check event stores."""

from castore_dam._checkpoints import BookmarkCheckpoint, Checkpoint, FileCheckpoint
from castore_dam._migrate import Migration, migrate_event_store
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
from castore_dam._transform import Transform, Transformed
from castore_dam._verify import Content, Difference, Verification, verify_migration
from castore_dam.errors import (
    CheckpointInUseError,
    DamError,
    InvalidCheckpointError,
    MigrationConflictError,
    SourceGapError,
    TransformError,
)

__all__ = [
    "BookmarkCheckpoint",
    "Checkpoint",
    "CheckpointInUseError",
    "Content",
    "DamError",
    "Difference",
    "FileCheckpoint",
    "InvalidCheckpointError",
    "Migration",
    "MigrationConflictError",
    "PouredAggregateIds",
    "PouredCollection",
    "PouredEvent",
    "PouredEventStore",
    "PouredEvents",
    "Progress",
    "ProgressHook",
    "ScannedAggregates",
    "SourceGapError",
    "Transform",
    "TransformError",
    "Transformed",
    "Verification",
    "migrate_event_store",
    "pour_aggregate_events",
    "pour_event_store_aggregate_ids",
    "pour_event_store_collection_events",
    "pour_event_store_events",
    "verify_migration",
]
