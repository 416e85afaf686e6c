"""Schemas that are none are refused with their place, in a file or as values."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from castore_dam import InvalidEventSchemasError, diff_event_schemas, load_event_schemas

JUNK: list[Any] = [None, True, -1, 0, 1e400, "", "//[", [], [[]], [None], {}, {"a": None}, {1: {}}]

SCHEMA: dict[str, Any] = {
    "$id": "urn:lamps",
    "$defs": {"A": {"$anchor": "a", "type": "object", "required": ["b"]}},
    "type": ["object", "null"],
    "properties": {
        "a": {"$ref": "#a"},
        "b": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 2},
        "c": {"enum": ["x", 1, 1.5]},
        "d": {
            "oneOf": [
                {"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
                {"type": "object", "properties": {"k": {"const": 2}}, "required": ["k"]},
            ],
            "discriminator": {"propertyName": "k"},
        },
        "e": {"prefixItems": [{"type": "string", "maxLength": 3}], "items": {}, "minItems": 1},
        "f": {"allOf": [{"type": "object"}, {"required": ["x"]}], "minProperties": 1},
        "g": {"patternProperties": {"^a": {}}, "propertyNames": {"maxLength": 4}},
        "h": {"if": {"type": "string"}, "then": {"not": {"const": "x"}}},
    },
    "additionalProperties": False,
}


def describe(schema: Any) -> dict[str, Any]:
    """Return a description of one event type."""
    return {
        "format": "castore-event-schemas",
        "formatVersion": 1,
        "eventStores": {"LAMPS": {"eventTypes": {"LIT": schema}}},
    }


def change_each_part(document: Any) -> Iterator[Any]:
    """Yield a document with each of its parts in turn replaced by junk."""
    for path in find_paths(document):
        for junk in JUNK:
            changed = copy.deepcopy(document)
            *steps, last = path
            place = changed
            for step in steps:
                place = place[step]
            place[last] = junk
            yield changed


def find_paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each part of a value."""
    if isinstance(value, (dict, list)):
        parts = cast("Any", value)
        for step in parts if isinstance(value, dict) else range(len(parts)):
            yield (step,)
            yield from ((step, *path) for path in find_paths(parts[step]))


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ([], "it is no object"),
        ({"properties": []}, "/properties is not an object"),
        ({"properties": {"a": {"enum": 1}}}, "/properties/a/enum is not a list"),
        ({"properties": {"a": {"anyOf": [7]}}}, "/properties/a/anyOf/0 is no schema"),
        ({"$defs": {"a/b": {"properties": {"~": 1}}}}, "/$defs/a~1b/properties/~0 is no schema"),
        ({"type": 5}, "/type is not a text, or a list of texts"),
        ({"minLength": "3"}, "/minLength is not a number"),
        ({"multipleOf": 0}, "/multipleOf is not a number greater than 0"),
        ({"$ref": 3}, "/$ref is not a URI reference"),
    ],
)
def test_malformed_schema_in_a_file(tmp_path: Path, schema: Any, fault: str) -> None:
    """The error names the file, the store, the event type and the place."""
    path = tmp_path / "schemas.json"
    path.write_text(json.dumps(describe(schema)))

    with pytest.raises(InvalidEventSchemasError) as caught:
        load_event_schemas(path)
    for name in ("'LAMPS'", "'LIT'", fault, str(path)):
        assert name in str(caught.value)


def test_store_without_event_types(tmp_path: Path) -> None:
    """The error names the store."""
    path = tmp_path / "schemas.json"
    path.write_text(json.dumps({**describe({}), "eventStores": {"LAMPS": {"eventTypes": 3}}}))

    with pytest.raises(InvalidEventSchemasError, match="'LAMPS' has no object eventTypes"):
        load_event_schemas(path)


def test_file_of_brackets(tmp_path: Path) -> None:
    """Brackets that nest without end are refused as well."""
    path = tmp_path / "schemas.json"
    path.write_text("[" * 100_000)

    with pytest.raises(InvalidEventSchemasError, match="no JSON"):
        load_event_schemas(path)


def test_no_malformed_value_is_anything_but_refused_or_compared() -> None:
    """Junk in the place of any part raises the documented error, or is compared."""
    whole = describe(SCHEMA)
    assert "full" == diff_event_schemas(whole, copy.deepcopy(whole)).verdict
    refused = 0
    for changed in change_each_part(whole):
        for pair in ((whole, changed), (changed, whole)):
            try:
                diff_event_schemas(*pair)
            except InvalidEventSchemasError:
                refused += 1
    assert refused > 500


def test_deep_schemas_have_no_verdict() -> None:
    """Schemas that nest too deeply for a comparison are told to be different, and no more."""
    schemas: list[Any] = [{"type": "string"}, {"type": "integer"}]
    for _ in range(200):
        schemas = [{"properties": {"a": each}} for each in schemas]
    old, new = map(describe, schemas)

    (change,) = diff_event_schemas(old, new).changes
    assert "unknown" == change.kind
    assert "breaking" == change.verdict


def test_bottomless_schema_is_refused() -> None:
    """A schema that nests deeper than it can be read is no schema."""
    schema: Any = {}
    for _ in range(5_000):
        schema = {"not": schema}

    with pytest.raises(InvalidEventSchemasError, match="nested too deeply"):
        diff_event_schemas(describe(schema), describe({}))
