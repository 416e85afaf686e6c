"""A verdict is never better than what a validator says of each value."""

import os
from copy import deepcopy
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from castore_dam import SchemaDiff, diff_event_schemas

Schema = dict[str, Any]

MAX_EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "300"))

NAMES = ["a", "b", "c"]
UNNAMED = "unnamed"  # by any schema
TEXTS: list[Any] = ["", "a", "ab", "abc"]
NUMBERS: list[Any] = [-2, -1, 0, 0.5, 1, 1.0, 1.5, 2, 4]
CONSTANTS: list[Any] = [None, True, False, 0, 1, 1.5, "", "a", "ab", [], {}]


def diff_payloads(old: Schema | bool, new: Schema | bool) -> SchemaDiff:
    """Compare two schemas of the payload of one event."""
    described = [
        {
            "format": "castore-event-schemas",
            "formatVersion": 1,
            "eventStores": {"S": {"eventTypes": {"E": {"properties": {"payload": each}}}}},
        }
        for each in (old, new)
    ]
    return diff_event_schemas(*described)


@st.composite
def sometimes(draw: st.DrawFn, **keywords: st.SearchStrategy[Any]) -> Schema:
    """Draw some of some keywords."""
    chosen = draw(st.sets(st.sampled_from(sorted(keywords))))
    return {name: draw(keywords[name]) for name in sorted(chosen)}


def pack(keyword: str, value: Any) -> Schema:
    """Return a schema of one keyword."""
    return {keyword: value}


def to_object(properties: Schema, required: list[str]) -> Schema:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, "required": required}


def to_map(values: Any, properties: Schema) -> Schema:
    """Return the schema of an object that may have any fields."""
    return {"additionalProperties": values, **({"properties": properties} if properties else {})}


def add_alternatives(schema: Any, members: list[Any]) -> Schema:
    """Return a schema that is a union beside its own rules."""
    return {**(schema if isinstance(schema, dict) else {}), "anyOf": members}


def to_condition(one: Any, two: Any) -> Schema:
    """Return a schema of which one rule depends on another."""
    return {"if": one, "then": two}


small = st.integers(0, 3)
bounds = st.sampled_from(NUMBERS)
scalars: st.SearchStrategy[Any] = st.one_of(
    sometimes(type=st.just("string"), minLength=small, maxLength=small, pattern=st.just("a")),
    sometimes(
        type=st.sampled_from(["integer", "number"]),
        minimum=bounds,
        maximum=bounds,
        exclusiveMinimum=bounds,
        exclusiveMaximum=bounds,
        multipleOf=st.sampled_from([1, 2, 4, 0.5]),
    ),
    st.sampled_from(["null", "boolean", "string", "integer", "number", "array", "object"]).map(
        partial(pack, "type")
    ),
    st.lists(st.sampled_from(["null", "string", "integer", "number"]), min_size=1, unique=True).map(
        partial(pack, "type")
    ),
    st.lists(st.sampled_from(CONSTANTS), min_size=1, max_size=3).map(partial(pack, "enum")),
    st.sampled_from(CONSTANTS).map(partial(pack, "const")),
    st.booleans(),
    st.just({"not": {"type": "string"}}),
)


def or_itself(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that may be the whole one, for places within a value."""
    return st.one_of(inner, inner, st.just({"$ref": "#/properties/payload"}))


def make_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas of objects."""
    deeper = or_itself(inner)
    fields = st.dictionaries(st.sampled_from(NAMES), deeper)
    names = st.lists(st.sampled_from(NAMES), unique=True, max_size=2)
    records = st.builds(to_object, fields, names)
    ruled = sometimes(
        type=st.just("object"),
        properties=fields,
        required=names,
        additionalProperties=deeper,
        minProperties=small,
        maxProperties=small,
        propertyNames=st.sampled_from([{"maxLength": 1}, {"enum": ["a", "b"]}]),
        patternProperties=st.dictionaries(st.sampled_from(["a", "^b"]), inner, max_size=1),
        dependentRequired=st.just({"a": ["b"]}),
        unevaluatedProperties=st.just(False),
    )
    return st.one_of(records, ruled, st.builds(to_map, deeper, fields))


def make_arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas of arrays."""
    deeper = or_itself(inner)
    return sometimes(
        type=st.just("array"),
        items=deeper,
        prefixItems=st.lists(deeper, min_size=1, max_size=2),
        minItems=small,
        maxItems=small,
        uniqueItems=st.booleans(),
        contains=inner,
        minContains=small,
    )


def make_unions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that are made of several."""
    members = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        members.map(partial(pack, "anyOf")),
        members.map(partial(pack, "oneOf")),
        members.map(partial(pack, "allOf")),
        st.builds(add_alternatives, inner.filter(bool), members),
        st.builds(to_condition, inner, inner),
    )


def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas that hold others."""
    return st.one_of(make_objects(inner), make_arrays(inner), make_unions(inner))


schemas: st.SearchStrategy[Any] = st.recursive(scalars, extend, max_leaves=6)


@st.composite
def changed(draw: st.DrawFn, schema: Any) -> Any:
    """Draw a schema with a small change, which is more often compatible than another one."""
    if not schema or schema is True or draw(st.integers(0, 4)) == 0:
        return draw(st.one_of(st.just(schema), schemas))
    keywords: Schema = dict(schema)
    name = draw(st.sampled_from(sorted(keywords)))
    value: Any = keywords.pop(name)
    match name, draw(st.integers(0, 3)):
        case _, 0:
            pass  # the keyword is gone
        case "properties" | "patternProperties", _ if value:
            key = draw(st.sampled_from(sorted(value)))
            keywords[name] = {**value, key: draw(changed(value[key]))}
        case "items" | "additionalProperties" | "contains" | "if" | "then", _:
            keywords[name] = draw(changed(value))
        case "anyOf" | "oneOf" | "allOf" | "prefixItems", 1:
            keywords[name] = [*value, draw(schemas)]
        case "anyOf" | "oneOf" | "allOf" | "prefixItems", _:
            keywords[name] = [draw(changed(value[0])), *value[1:]]
        case "enum" | "required", 1:
            keywords[name] = value[:-1] or value
        case "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems", 1:
            keywords[name] = max(0, value + draw(st.sampled_from([-1, 1])))
        case _:
            keywords = {name: value, **keywords, **draw(sometimes(required=st.just(["a"])))}
    return keywords


simple: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": ["string", "null"]},
        {"type": "integer", "minimum": 1},
        {"enum": ["a", 1]},
        {},
        False,
    ]
)
FAMILIES: dict[str, st.SearchStrategy[Any]] = {
    "scalars": scalars,
    "objects": make_objects(simple),
    "arrays": make_arrays(simple),
    "unions": make_unions(st.one_of(simple, make_objects(simple), make_arrays(simple))),
    "all": schemas,
}


def pair_up(family: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Return pairs of schemas, most of which are alike."""
    return family.flatmap(
        lambda old: st.tuples(st.just(old), st.one_of(changed(old), changed(old), family))
    )


pairs = pair_up(schemas)


def hold(values: list[Any]) -> list[Any]:
    """Return values that hold others."""
    names = [*NAMES, UNNAMED, "ab"]
    fields = [{name: each} for name in names for each in values]
    more = [{"a": one, name: other} for name in names[1:] for one in values for other in values]
    items = [[], *([each] for each in values), *([one, two] for one in values for two in values)]
    return [*fields, *more, *items, {"a": 1, "b": 1, "c": 1}, [1, 1, 1], ["a", 1, "a"]]


SCALARS = [*CONSTANTS, *NUMBERS, *TEXTS]
SHALLOW = hold([None, "a", "", 1, 0])
VALUES = [*SCALARS, *SHALLOW, *hold([{"a": "a"}, {"a": 1}, {"b": 1}, ["a"], []])]


def close(schema: Any) -> Any:
    """Return a schema whose objects have no field that it could have named, and did not.

    That is what is written by a schema. It may allow more than the schema in other ways.
    """
    if isinstance(schema, list):
        return list(map(close, cast("list[Any]", schema)))
    if not isinstance(schema, dict):
        return schema
    keywords = cast("Schema", schema)
    kept = {"const", "contains", "enum", "if", "not"}
    closed: Schema = {
        "anyOf" if name == "oneOf" else name: each if name in kept else close(each)
        for name, each in keywords.items()
    }
    if "properties" in closed and not closed.keys() & {"additionalProperties", "patternProperties"}:
        named = {*closed["properties"], *closed.get("required", ())}
        closed["properties"].update({name: False for name in NAMES if name not in named})
    return closed


def to_event_schema(payload: Any) -> Schema:
    """Return the schema of an event with a payload."""
    return {"properties": {"payload": payload}}


class Side:
    """The schema of a payload, as a validator sees it."""

    def __init__(self, schema: Any) -> None:
        self._reader = Draft202012Validator(to_event_schema(schema))
        self._writer = Draft202012Validator(to_event_schema(close(schema)))

    def reads(self, value: Any) -> bool:
        """Tell whether a value is valid."""
        return self._reader.is_valid({"payload": value})

    def writes(self, value: Any) -> bool:
        """Tell whether a value is valid, and has no field that the schema did not name."""
        return self.reads(value) and self._writer.is_valid({"payload": value})


@pytest.mark.parametrize("family", FAMILIES)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=MAX_EXAMPLES)
@given(data=st.data())
def test_compatible_schemas_read_each_other(family: str, data: st.DataObject) -> None:
    """The promise of a verdict holds for each value, both ways."""
    pair = data.draw(pair_up(FAMILIES[family]))
    diff = diff_payloads(*pair)
    old, new = map(Side, pair)
    event(f"verdict {diff.verdict}, {'changed' if diff.changes else 'unchanged'}")

    if diff.allows("backward"):
        assert [] == [each for each in VALUES if old.writes(each) and not new.reads(each)]
    if diff.allows("forward"):
        assert [] == [each for each in VALUES if new.writes(each) and not old.reads(each)]


@given(pairs)
def test_directions_mirror_each_other(pair: tuple[Any, Any]) -> None:
    """The way back is backward where the way there is forward."""
    there, back = diff_payloads(*pair), diff_payloads(*reversed(pair))

    assert there.allows("forward") == back.allows("backward")
    assert there.allows("backward") == back.allows("forward")


@given(schemas)
def test_schema_is_compatible_with_itself(schema: Any) -> None:
    """Where nothing changed, nothing is said."""
    assert () == diff_payloads(schema, deepcopy(schema)).changes


@given(schemas, st.text(max_size=3))
def test_annotations_do_not_count(schema: Any, text: str) -> None:
    """A title, a description, examples and a default change nothing."""
    assume(isinstance(schema, dict))
    notes = {"title": text, "description": text, "examples": [text], "default": text, "x-a": text}

    assert () == diff_payloads(schema, {**schema, **notes}).changes
