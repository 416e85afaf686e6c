"""Each change of a schema has a verdict."""

from dataclasses import asdict
from typing import Any

import pytest

from castore_dam import InvalidEventSchemasError, SchemaDiff, diff_event_schemas

Schema = dict[str, Any]

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
NULL = {"type": "null"}
CAT: Schema = {"properties": {"kind": {"const": "cat"}}, "required": ["kind"], "type": "object"}
DOG: Schema = {"properties": {"kind": {"const": "dog"}}, "required": ["kind"], "type": "object"}


def describe(**event_stores: Schema) -> Schema:
    """Return the description of some stores, by the schemas of their event types."""
    return {
        "format": "castore-event-schemas",
        "formatVersion": 1,
        "eventStores": {name: {"eventTypes": types} for name, types in event_stores.items()},
    }


def diff(old: Any, new: Any) -> SchemaDiff:
    """Compare two schemas of one event type."""
    return diff_event_schemas(describe(S={"E": old}), describe(S={"E": new}))


def diff_fields(old: Any, new: Any) -> list[tuple[str, str, str]]:
    """Compare two schemas of a field, and return the places, kinds and verdicts."""
    changes = diff({"properties": {"a": old}}, {"properties": {"a": new}}).changes
    return [(each.path, each.kind, each.verdict) for each in changes]


def an_object(*required: str, **properties: Any) -> Schema:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, "required": list(required)}


def a_closed_object(**properties: Any) -> Schema:
    """Return the schema of an object that has no other fields."""
    return {**an_object(**properties), "additionalProperties": False}


@pytest.mark.parametrize(
    ("old", "new", "kind", "verdict"),
    [
        (an_object(), an_object(b=STRING), "optional field added", "full"),
        (an_object(), an_object("b", b=STRING), "required field added", "forward"),
        (an_object(b=STRING), an_object(), "optional field removed", "full"),
        (an_object("b", b=STRING), an_object(), "required field removed", "backward"),
        (an_object("b", b=STRING), an_object(b=STRING), "field made optional", "backward"),
        (an_object(b=STRING), an_object("b", b=STRING), "field made required", "forward"),
    ],
)
def test_fields(old: Schema, new: Schema, kind: str, verdict: str) -> None:
    """A field that comes or goes matters to the side that demands it."""
    assert [("/a/b", kind, verdict)] == diff_fields(old, new)


def test_fields_of_closed_objects() -> None:
    """A schema that refuses other fields does not read those of the other side."""
    small, large = a_closed_object(), a_closed_object(b=STRING)

    assert [("/a/b", "optional field added", "backward")] == diff_fields(small, large)
    assert [("/a/b", "optional field removed", "forward")] == diff_fields(large, small)


def test_opened_and_closed_objects() -> None:
    """Fields that the schema does not name may be stored already."""
    assert [("/a", "fields closed", "forward")] == diff_fields(an_object(), a_closed_object())
    assert [("/a", "fields opened", "backward")] == diff_fields(a_closed_object(), an_object())


def test_field_of_a_dictionary() -> None:
    """Where any field may be written, a new one may have been written before."""
    anything: Schema = {"type": "object", "additionalProperties": True}
    strings = {"type": "object", "additionalProperties": STRING}

    assert [("/a/b", "optional field added", "forward")] == diff_fields(
        anything, {**anything, "properties": {"b": STRING}}
    )
    assert [("/a/*", "type narrowed", "forward")] == diff_fields(anything, strings)


@pytest.mark.parametrize(
    ("old", "new", "kind", "verdict"),
    [
        (INTEGER, NUMBER, "type widened", "backward"),
        (NUMBER, INTEGER, "type narrowed", "forward"),
        (STRING, INTEGER, "type changed", "breaking"),
        (STRING, {"type": ["string", "null"]}, "type widened", "backward"),
        ({}, STRING, "type narrowed", "forward"),
        (STRING, False, "type narrowed", "forward"),
        ({"enum": ["x"]}, {"enum": ["x", "y"]}, "value added", "backward"),
        ({"enum": ["x", "y"]}, {"enum": ["x"]}, "value removed", "forward"),
        ({"enum": ["x"], **STRING}, STRING, "rule removed", "backward"),
        (STRING, {"minLength": 1, **STRING}, "rule tightened", "forward"),
        ({"maxLength": 3, **STRING}, {"maxLength": 4, **STRING}, "rule loosened", "backward"),
        ({"minimum": 1, **NUMBER}, {"minimum": 0, **NUMBER}, "rule loosened", "backward"),
        (
            {"minimum": 1, **NUMBER},
            {"exclusiveMinimum": 1, **NUMBER},
            "rule tightened",
            "forward",
        ),
        ({"multipleOf": 4, **INTEGER}, {"multipleOf": 2, **INTEGER}, "rule loosened", "backward"),
        ({"multipleOf": 2, **INTEGER}, {"multipleOf": 3, **INTEGER}, "rule changed", "breaking"),
        ({"pattern": "a", **STRING}, {"pattern": "b", **STRING}, "rule changed", "breaking"),
        (STRING, {"format": "date", **STRING}, "rule added", "forward"),
        ({"not": STRING}, {}, "rule removed", "backward"),
        ({"unheardOf": 1}, {"unheardOf": 2}, "unknown", "breaking"),
        ({}, {"unheardOf": 2}, "unknown", "breaking"),
        ({"patternProperties": {"^x": {}}}, {}, "unknown", "breaking"),
    ],
)
def test_values(old: Any, new: Any, kind: str, verdict: str) -> None:
    """A field that allows more is backward, one that allows less is forward."""
    assert [("/a", kind, verdict)] == diff_fields(old, new)


def test_values_that_came_and_went() -> None:
    """Values are compared as JSON: 1 is not true, and 1.0 is 1."""
    assert [] == diff_fields({"enum": [1, "x"]}, {"enum": ["x", 1.0]})
    assert [("/a", "type changed", "breaking")] == diff_fields({"const": 1}, {"const": True})
    assert [
        ("/a", "value removed", "forward"),
        ("/a", "value added", "backward"),
    ] == diff_fields({"const": "x"}, {"const": "y"})


def test_items() -> None:
    """Items are compared by their place, as far as there may be any."""
    old = {"type": "array", "prefixItems": [STRING], "items": INTEGER}
    new = {"type": "array", "prefixItems": [INTEGER], "items": NUMBER}
    pair = {"type": "array", "prefixItems": [STRING, STRING], "minItems": 2, "maxItems": 2}
    triple = {**pair, "prefixItems": [STRING, STRING, INTEGER], "minItems": 2, "maxItems": 3}

    assert [
        ("/a/0", "type changed", "breaking"),
        ("/a/*", "type widened", "backward"),
    ] == diff_fields(old, new)
    assert [("/a", "rule loosened", "backward")] == diff_fields(pair, triple)


def test_nullable() -> None:
    """A field may become null, and change otherwise too."""
    nullable = {"anyOf": [STRING, NULL]}

    assert [("/a", "alternative added", "backward")] == diff_fields(STRING, nullable)
    assert [("/a", "alternative removed", "forward")] == diff_fields(nullable, STRING)
    assert [] == diff_fields(nullable, {"type": ["null", "string"]})
    assert [("/a", "rule tightened", "forward")] == diff_fields(
        nullable, {"anyOf": [{**STRING, "minLength": 2}, NULL]}
    )


def test_tagged_union() -> None:
    """Alternatives are told apart by their constants, and compared each with its own."""
    both = {"oneOf": [CAT, DOG]}
    named = {**DOG, "properties": {**DOG["properties"], "name": STRING}}

    assert [("/a", "alternative added", "backward")] == diff_fields({"oneOf": [CAT]}, both)
    assert [] == diff_fields(both, {"anyOf": [DOG, CAT]})
    assert [] == diff_fields(both, both)
    assert [("/a", "alternative removed", "forward")] == diff_fields(both, {"oneOf": [named]})


def test_overlapping_one_of() -> None:
    """A value that fits two alternatives of ``oneOf`` is refused, so they have to differ."""
    assert ("/a", "unknown", "forward") in diff_fields(
        {"oneOf": [INTEGER, STRING]}, {"oneOf": [INTEGER, NUMBER, STRING]}
    )


def test_references() -> None:
    """References are followed, wherever their definitions stand."""
    old = {"$defs": {"x": STRING}, "properties": {"a": {"$ref": "#/$defs/x"}}}
    new = {"$defs": {"y": INTEGER}, "properties": {"a": {"$ref": "#/$defs/y"}}}

    assert () == diff(old, {"properties": {"a": STRING}}).changes
    assert ["type changed"] == [each.kind for each in diff(old, new).changes]


def test_references_to_other_documents() -> None:
    """A reference by an absolute URI leads to the schema with that ``$id``."""

    def refer(schema: Schema) -> Schema:
        money = {"$id": "urn:money", "$ref": "#/$defs/m", "$defs": {"m": schema}}
        return {"$defs": {"urn:money": money}, "properties": {"a": {"$ref": "urn:money"}}}

    assert ["type widened"] == [each.kind for each in diff(refer(INTEGER), refer(NUMBER)).changes]


def test_reference_that_leads_nowhere() -> None:
    """An unknown type is the same under the same name, and an unknown change under another."""
    assert [] == diff_fields({"$ref": "urn:x"}, {"$ref": "urn:x", "title": "X"})
    assert [("/a", "unknown", "breaking")] == diff_fields({"$ref": "urn:x"}, {"$ref": "urn:y"})


def test_recursive_schemas_end() -> None:
    """A tree of trees is compared once."""

    def tree(value: Schema) -> Schema:
        fields: Schema = {
            "value": value,
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
        }
        return {
            "$defs": {"tree": an_object(**fields)},
            "properties": {"a": {"$ref": "#/$defs/tree"}},
        }

    assert [("/a/value", "type widened")] == [
        (each.path, each.kind) for each in diff(tree(INTEGER), tree(NUMBER)).changes
    ]


def test_reference_to_itself_ends() -> None:
    """A definition that is nothing but itself is not understood."""
    loop = {"$defs": {"x": {"$ref": "#/$defs/x"}}, "properties": {"a": {"$ref": "#/$defs/x"}}}

    assert "breaking" == diff(loop, {"properties": {"a": STRING}}).verdict


def test_huge_unions_end() -> None:
    """Schemas that would take for ever are not understood."""

    def nest(innermost: Schema) -> Schema:
        definitions: Schema = {"8": innermost}
        for level in range(8):
            inner = {"$ref": f"#/$defs/{level + 1}"}
            fields: list[Schema] = [{str(n): inner, str(n + 1): inner} for n in range(8)]
            definitions[str(level)] = {"anyOf": [an_object(**each) for each in fields]}
        return {"$defs": definitions, "$ref": "#/$defs/0"}

    assert "breaking" == diff(nest(STRING), nest(INTEGER)).verdict


def test_all_of_is_one_schema() -> None:
    """The parts of ``allOf`` hold together."""
    assert [] == diff_fields({"allOf": [STRING, {"minLength": 1}]}, {**STRING, "minLength": 1})


def test_unknown_type_that_changed() -> None:
    """Nothing is known of a type that the events encode by themselves."""
    assert [] == diff_fields({"unknownType": "X"}, {"unknownType": "X"})
    assert [("/a", "unknown", "breaking")] == diff_fields(
        {"unknownType": "X"}, {"unknownType": "Y"}
    )


def test_event_types_that_come_and_go() -> None:
    """The code of before refuses a new type, and the new code one that is gone."""
    changes = diff_event_schemas(describe(S={"OLD": {}}), describe(S={"NEW": {}})).changes

    assert [("NEW", "event type added", "backward"), ("OLD", "event type removed", "forward")] == [
        (each.event_type, each.kind, each.verdict) for each in changes
    ]


def test_stores_that_come_and_go() -> None:
    """A new store concerns nobody; the events of one that is gone are not read."""
    changes = diff_event_schemas(describe(OLD={}), describe(NEW={})).changes

    assert [
        ("NEW", None, "event store added", "full"),
        ("OLD", None, "event store removed", "forward"),
    ] == [(each.event_store_id, each.event_type, each.kind, each.verdict) for each in changes]


def test_upcast_type() -> None:
    """An upcaster lets stored events be read, and the verdict says that it counts on that."""
    old = describe(S={"GONE": {}, "KEPT": {"properties": {"a": STRING}}})
    new = describe(S={"KEPT": {"properties": {"a": INTEGER}}})
    found = diff_event_schemas(old, new, upcast={"S": ["GONE", "KEPT"]})

    assert "breaking" == diff_event_schemas(old, new).verdict
    assert found.allows("backward")
    assert [("GONE", "full", True), ("KEPT", "backward", True)] == [
        (each.event_type, each.verdict, each.is_upcast) for each in found.changes
    ]
    assert str(found.changes[1]).startswith("backward (upcast): S KEPT /a: type changed: ")


def test_upcast_type_that_was_not_saved() -> None:
    """A name that is written wrongly does not pass for an exception."""
    with pytest.raises(ValueError, match="'GOME'"):
        diff_event_schemas(describe(S={"GONE": {}}), describe(S={}), upcast={"S": ["GOME"]})
    with pytest.raises(ValueError, match="text"):
        diff_event_schemas(describe(S={"GONE": {}}), describe(S={}), upcast={"S": "GONE"})


def test_verdict_of_several_changes() -> None:
    """A diff keeps what all its changes keep."""
    found = diff(an_object(b=INTEGER, c=STRING), an_object(b=NUMBER, c={**STRING, "minLength": 1}))

    assert ("breaking", False, False) == (
        found.verdict,
        found.allows("backward"),
        found.allows("forward"),
    )
    assert ["/c"] == [each.path for each in found.find_refused("backward")]
    assert ["/b"] == [each.path for each in found.find_refused("forward")]
    assert 2 == len(found.find_refused("full"))


def test_nothing_changed() -> None:
    """No change is full compatibility."""
    found = diff({}, {})

    assert ("full", True, "no changes") == (found.verdict, found.allows("full"), str(found))


def test_change_is_data() -> None:
    """A program writes a change as JSON."""
    [change] = diff(
        {"properties": {}}, {"properties": {"a/b": STRING}, "required": ["a/b"]}
    ).changes

    assert {
        "event_store_id": "S",
        "event_type": "E",
        "path": "/a~1b",
        "kind": "required field added",
        "reason": "stored events may lack it",
        "verdict": "forward",
        "is_upcast": False,
    } == asdict(change)


def test_foreign_value_is_refused() -> None:
    """Another JSON value is no description of schemas."""
    for wrong in ({}, describe(S={}) | {"formatVersion": 2}, describe(S={}) | {"eventStores": 1}):
        with pytest.raises(InvalidEventSchemasError):
            diff_event_schemas(describe(S={}), wrong)


@pytest.mark.parametrize(
    ("keyword", "kind"), [("anyOf", "unknown"), ("oneOf", "unknown"), ("allOf", "type changed")]
)
def test_schemas_that_multiply_come_to_an_end(keyword: str, kind: str) -> None:
    """Definitions that lead twice to the next one are compared, or given up, at once."""
    links = {f"{each}": {keyword: [{"$ref": f"#/$defs/{each + 1}"}] * 2} for each in range(25)}
    old, new = ({"$ref": "#/$defs/0", "$defs": {**links, "25": last}} for last in (STRING, INTEGER))
    assert [kind] == [each.kind for each in diff(old, new).changes]
