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
