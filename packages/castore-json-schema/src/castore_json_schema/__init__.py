"""castore with JSON schemas: events and commands that are validated at run time."""

from castore_json_schema._command import JSONSchemaCommand, json_schema_command
from castore_json_schema._event import JSONSchemaEvent
from castore_json_schema._registry import SchemaRegistry
from castore_json_schema.errors import InvalidSchemaError

__all__ = [
    "InvalidSchemaError",
    "JSONSchemaCommand",
    "JSONSchemaEvent",
    "SchemaRegistry",
    "json_schema_command",
]

for _public in (globals()[name] for name in __all__):
    if getattr(_public, "__module__", "").startswith("castore_json_schema."):
        _public.__module__ = "castore_json_schema"  # what reprs, tracebacks and pickles name
