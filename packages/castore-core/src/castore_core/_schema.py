"""JSON schemas of whole events, put together from those of their fields."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from typing import Any, Final, cast

from castore_core._event import MAX_VERSION, Event
from castore_core._json import JSONSchema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_ENVELOPE = ("aggregate_id", "version", "timestamp")
_REFERENCES = frozenset({"$ref", "$dynamicRef"})
_DATA = frozenset({"const", "default", "enum", "examples"})
# What these hold has names of the user's for keys, which are no keywords.
_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


def get_event_schema(event_type: type[Event]) -> dict[str, Any]:
    """Return the JSON schema of an event as it is on the wire."""
    data = [each for each in fields(event_type) if each.name not in _ENVELOPE]
    schema: dict[str, Any] = {"$schema": DIALECT, "title": event_type.__name__}
    if description := _get_description(event_type):
        schema["description"] = description
    return schema | {
        "type": "object",
        "properties": {
            "aggregateId": {"type": "string", "minLength": 1},
            "version": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
            "type": {"const": event_type.type},
            "timestamp": {"type": "string", "format": "date-time"},
            **{each.name: _get_field_schema(event_type, each.name) for each in data},
        },
        "required": [
            *("aggregateId", "version", "type", "timestamp"),
            *(each.name for each in data if _is_required(each)),
        ],
    }


def _get_description(event_type: type[Event]) -> str:
    text = event_type.__doc__ or ""
    # A dataclass without a docstring gets its signature for one.
    return "" if text.startswith(f"{event_type.__name__}(") else cleandoc(text)


def _is_required(declared: Field[Any]) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING


def _get_field_schema(event_type: type[Event], name: str) -> JSONSchema:
    schema = event_type.field_schema(name)
    if schema is None:
        return {}
    if isinstance(schema, Mapping) and "$id" not in schema:
        schema = {keyword: each for keyword, each in schema.items() if keyword != "$schema"}
    return cast("JSONSchema", _relocate(schema, f"#/properties/{name}"))


def _relocate(schema: Any, base: str) -> Any:
    """Copy a schema that was the root of its document, and now stands at ``base``."""
    if isinstance(schema, list):
        return [_relocate(each, base) for each in cast("Iterable[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    keywords = cast("Mapping[str, Any]", schema)
    if "$id" in keywords:  # a document of its own, wherever it stands
        return deepcopy(dict(keywords))
    return {keyword: _relocate_keyword(keyword, each, base) for keyword, each in keywords.items()}


def _relocate_keyword(keyword: str, value: Any, base: str) -> Any:
    if keyword in _DATA:
        return deepcopy(value)
    if keyword in _REFERENCES:
        return _relocate_reference(value, base)
    if keyword == "discriminator" and isinstance(value, Mapping):  # of OpenAPI
        return _relocate_discriminator(cast("Mapping[str, Any]", value), base)
    if keyword in _NAMED and isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return {name: _relocate(each, base) for name, each in named.items()}
    return _relocate(value, base)


def _relocate_discriminator(discriminator: Mapping[str, Any], base: str) -> dict[str, Any]:
    copy = deepcopy(dict(discriminator))
    if isinstance(mapping := copy.get("mapping"), Mapping):
        references = cast("Mapping[str, Any]", mapping)
        copy["mapping"] = {
            name: _relocate_reference(each, base) for name, each in references.items()
        }
    return copy


def _relocate_reference(reference: Any, base: str) -> Any:
    if isinstance(reference, str) and (reference in {"", "#"} or reference.startswith("#/")):
        return base + reference[1:]
    return deepcopy(reference)
