"""Schemas as documents: copied, held against the metaschema, and searched for references."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import quote

import jsonschema_rs

from castore_core import JSONSchema, NotJSONError, Violation, check_json, format_path
from castore_json_schema._violations import find_violations, shorten
from castore_json_schema.errors import InvalidSchemaError

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Document: TypeAlias = dict[str, Any] | bool

Steps: TypeAlias = tuple[str | int, ...]

_REFERENCES: Final = frozenset({"$ref", "$dynamicRef"})
_ANCHORS: Final = frozenset({"$anchor", "$dynamicAnchor"})

# The keywords of draft 2020-12 that hold schemas: by name, in a list, or one.
_NAMED: Final = frozenset(
    {"$defs", "definitions", "properties", "patternProperties", "dependentSchemas"}
)
_LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset(
    {
        *("if", "then", "else", "not", "items", "contains", "propertyNames", "contentSchema"),
        *("additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    }
)
_DEFINITIONS: Final = (("$defs",), ("definitions",))


class _Subschema(NamedTuple):
    steps: Steps
    resource: Steps
    """The place of the nearest ``$id`` around it, or of the root."""
    keywords: dict[str, Any]


def copy_schema(owner: str, name: str, schema: JSONSchema) -> Document:
    """Return a copy of a schema, which later changes of it do not reach.

    Raises:
        InvalidSchemaError: it is no schema of draft 2020-12.
    """
    if isinstance(schema, bool):
        return schema
    violations = [*_find_faults(name, schema)] or [*_find_duplicates(name, dict(schema))]
    if violations:
        raise InvalidSchemaError(owner, violations)
    return deepcopy(dict(schema))


def find_references(schema: Document) -> Iterator[tuple[Steps, str]]:
    """Yield the place and the target of each reference."""
    for each in _find_subschemas(schema):
        for keyword in sorted(_REFERENCES & each.keywords.keys()):
            yield (*each.steps, keyword), each.keywords[keyword]


def with_definitions_used(schema: Document) -> Document:
    """Return a copy of a schema that refers to all of its definitions.

    Otherwise, definitions that nothing refers to would not be compiled, and so not checked.
    """
    references = [
        {"$ref": _to_pointer(each.steps)}
        for each in _find_subschemas(schema)
        if each.steps[-2:-1] in _DEFINITIONS
    ]
    if isinstance(schema, bool) or not references:
        return schema
    return {**schema, "allOf": [*schema.get("allOf", []), *references]}


def with_one_reference(schema: Document, target: str) -> Document:
    """Return a copy of a schema that has no reference but one, which is used for certain."""
    document = dict(_without_references(schema))
    document["allOf"] = [*document.get("allOf", []), {"$ref": target}]
    return document


def _find_faults(name: str, schema: object) -> Iterator[Violation]:
    if not isinstance(schema, Mapping):
        yield Violation(name, shorten(f"is no JSON schema: {schema!r}"))
        return
    document = dict(cast("Mapping[str, Any]", schema))
    try:
        check_json(document, name)
    except NotJSONError as error:
        yield Violation(error.path, error.reason)
        return
    dialect = document.get("$schema", DIALECT)
    if isinstance(dialect, str) and dialect != DIALECT:
        yield Violation(f"{name}['$schema']", f"is not {DIALECT!r}: {dialect!r}")
        return
    for violation, _ in find_violations(_get_metaschema(), name, document):
        yield violation._replace(reason=shorten(violation.reason))


def _find_duplicates(name: str, document: Document) -> Iterator[Violation]:
    """Yield the anchors that another subschema of the same resource has too."""
    taken: set[tuple[Steps, str]] = set()
    for each in _find_subschemas(document):
        for keyword in sorted(_ANCHORS & each.keywords.keys()):
            anchor = (each.resource, each.keywords[keyword])
            if anchor in taken:
                path = format_path(name, (*each.steps, keyword))
                yield Violation(path, f"is the anchor of another schema too: {anchor[1]!r}")
            taken.add(anchor)


def _find_subschemas(
    schema: Any, steps: Steps = (), resource: Steps = ()
) -> Iterator["_Subschema"]:
    """Yield each subschema that is an object, the outer before the inner."""
    if not isinstance(schema, dict):
        return
    keywords = cast("dict[str, Any]", schema)
    if "$id" in keywords:
        resource = steps
    yield _Subschema(steps, resource, keywords)
    for keyword, value in keywords.items():
        if keyword in _SINGLE:
            yield from _find_subschemas(value, (*steps, keyword), resource)
        elif keyword in _NAMED | _LISTED:
            inner = value.items() if keyword in _NAMED else enumerate(value)
            for place, each in inner:
                yield from _find_subschemas(each, (*steps, keyword, place), resource)


def _to_pointer(steps: Steps) -> str:
    """Return a JSON pointer (RFC 6901) as the fragment of a URI."""
    tokens = (quote(str(each).replace("~", "~0").replace("/", "~1"), safe="~") for each in steps)
    return "#/" + "/".join(tokens)


def _without_references(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_references(each) for each in cast("Iterable[Any]", value)]
    if isinstance(value, dict):
        return {
            key: _without_references(each)
            for key, each in cast("dict[str, Any]", value).items()
            if key not in _REFERENCES
        }
    return value


@cache
def _get_metaschema() -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": DIALECT}, validate_formats=True, offline=True
    )
