"""Replay, migrate, archive and check event stores."""

from castore_dam._event_schemas import (
    EventSchemas,
    InvalidEventSchemasError,
    describe_event_schemas,
    load_event_schemas,
    save_event_schemas,
)
from castore_dam._schema_diff import (
    Compatibility,
    SchemaChange,
    SchemaDiff,
    Verdict,
    diff_event_schemas,
)
from castore_dam._schema_rules import ChangeKind
from castore_dam._upcaster_use import UpcasterCount, UpcasterUse

__all__ = [
    "ChangeKind",
    "Compatibility",
    "EventSchemas",
    "InvalidEventSchemasError",
    "SchemaChange",
    "SchemaDiff",
    "UpcasterCount",
    "UpcasterUse",
    "Verdict",
    "describe_event_schemas",
    "diff_event_schemas",
    "load_event_schemas",
    "save_event_schemas",
]
