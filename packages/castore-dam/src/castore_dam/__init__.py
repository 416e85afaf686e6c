"""Replay, migrate, archive and check event stores."""

from castore_dam._archive_format import ArchivedEvent, ArchiveSummary
from castore_dam._archive_reader import read_archive, verify_archive
from castore_dam._checkpoints import BookmarkCheckpoint, Checkpoint, FileCheckpoint
from castore_dam._event_schemas import (
    EventSchemas,
    describe_event_schemas,
    load_event_schemas,
    save_event_schemas,
)
from castore_dam._export import export_event_store
from castore_dam._import import ImportedArchive, import_event_store
from castore_dam._integrity import check_event_store
from castore_dam._integrity_report import FindingKind, IntegrityFinding, IntegrityReport
from castore_dam._migrate import Migration, migrate_event_store
from castore_dam._migrate_collection import migrate_event_store_collection
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
from castore_dam._schema_diff import (
    Compatibility,
    SchemaChange,
    SchemaDiff,
    Verdict,
    diff_event_schemas,
)
from castore_dam._schema_differences import ChangeKind
from castore_dam._transform import Transform, Transformed
from castore_dam._upcaster_use import UpcasterCount, UpcasterUse
from castore_dam._verify import Content, Difference, Verification, verify_migration
from castore_dam.errors import (
    CheckpointInUseError,
    DamError,
    EventConflictError,
    InvalidArchiveError,
    InvalidCheckpointError,
    InvalidEventSchemasError,
    SourceGapError,
    TransformError,
)

__all__ = [
    "ArchiveSummary",
    "ArchivedEvent",
    "BookmarkCheckpoint",
    "ChangeKind",
    "Checkpoint",
    "CheckpointInUseError",
    "Compatibility",
    "Content",
    "DamError",
    "Difference",
    "EventConflictError",
    "EventSchemas",
    "FileCheckpoint",
    "FindingKind",
    "ImportedArchive",
    "IntegrityFinding",
    "IntegrityReport",
    "InvalidArchiveError",
    "InvalidCheckpointError",
    "InvalidEventSchemasError",
    "Migration",
    "PouredAggregateIds",
    "PouredCollection",
    "PouredEvent",
    "PouredEventStore",
    "PouredEvents",
    "Progress",
    "ProgressHook",
    "ScannedAggregates",
    "SchemaChange",
    "SchemaDiff",
    "SourceGapError",
    "Transform",
    "TransformError",
    "Transformed",
    "UpcasterCount",
    "UpcasterUse",
    "Verdict",
    "Verification",
    "check_event_store",
    "describe_event_schemas",
    "diff_event_schemas",
    "export_event_store",
    "import_event_store",
    "load_event_schemas",
    "migrate_event_store",
    "migrate_event_store_collection",
    "pour_aggregate_events",
    "pour_event_store_aggregate_ids",
    "pour_event_store_collection_events",
    "pour_event_store_events",
    "read_archive",
    "save_event_schemas",
    "verify_archive",
    "verify_migration",
]
