"""An event store tells the JSON schemas of its events."""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import field
from types import new_class
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bare_aggregate import reduce_bare
from castore_core import Event, EventStore, JSONSchema

ENVELOPE = {
    "aggregateId": {"type": "string", "minLength": 1},
    "version": {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
    "type": {"const": "POKEMON_APPEARED"},
    "timestamp": {"type": "string", "format": "date-time"},
}
REQUIRED = ["aggregateId", "version", "type", "timestamp"]


def schemas_of(*event_types: type[Event]) -> dict[str, dict[str, Any]]:
    """Return the schemas of a store."""
    store = EventStore("POKEMONS", event_types=list(event_types), reduce=reduce_bare)
    return store.get_json_schemas()


def payload_schema_of(schema: JSONSchema) -> Any:
    """Return the schema of a payload, as it stands in that of its event."""

    class Described(Event, type="DESCRIBED"):
        payload: Any

        @classmethod
        def field_schema(cls, name: str) -> JSONSchema | None:
            return {"payload": schema}[name]

    return schemas_of(Described)["DESCRIBED"]["properties"]["payload"]


def test_plain_event() -> None:
    """The envelope is known; payload and metadata may be anything, and are required if they are."""

    class PokemonAppeared(Event, type="POKEMON_APPEARED"):
        """A wild pokemon is here.

        It can be caught.
        """

        payload: dict[str, str]
        metadata: str | None = None

    assert {
        "POKEMON_APPEARED": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "PokemonAppeared",
            "description": "A wild pokemon is here.\n\nIt can be caught.",
            "type": "object",
            "properties": {**ENVELOPE, "payload": {}, "metadata": {}},
            "required": [*REQUIRED, "payload"],
        }
    } == schemas_of(PokemonAppeared)


def test_event_without_fields_and_docstring() -> None:
    """What an event does not have is not spoken of."""

    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = __name__

    event_type = new_class("PokemonAppeared", (Event,), {"type": "POKEMON_APPEARED"}, fill)
    schema = schemas_of(event_type)["POKEMON_APPEARED"]

    assert "description" not in schema
    assert ENVELOPE == schema["properties"]
    assert REQUIRED == schema["required"]


def test_field_with_a_factory_is_not_required() -> None:
    """A default is a default, however it is made."""

    class Healed(Event, type="HEALED"):
        payload: list[str] = field(default_factory=list[str])

    assert REQUIRED == schemas_of(Healed)["HEALED"]["required"]


def test_schema_for_each_type() -> None:
    """Every event of the store has its schema, by its type."""

    class Caught(Event, type="CAUGHT"):
        """One."""

    class Freed(Event, type="FREED"):
        """Another."""

    schemas = schemas_of(Caught, Freed)

    assert ["CAUGHT", "FREED"] == list(schemas)
    assert {"const": "FREED"} == schemas["FREED"]["properties"]["type"]


@pytest.mark.parametrize("schema", [True, False, {}, {"type": "string"}])
def test_schema_of_a_field(schema: JSONSchema) -> None:
    """The schema of a field is that of its property."""
    assert schema == payload_schema_of(schema)


def test_local_references_follow_their_target() -> None:
    """A reference to a place in the field's schema leads to where that stands now."""
    schema: JSONSchema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"move": {"properties": {"next": {"$ref": "#/$defs/move"}}}},
        "anyOf": [{"items": {"$ref": "#/$defs/move"}}, {"$dynamicRef": "#"}, {"$ref": ""}],
    }

    assert {
        "$defs": {"move": {"properties": {"next": {"$ref": "#/properties/payload/$defs/move"}}}},
        "anyOf": [
            {"items": {"$ref": "#/properties/payload/$defs/move"}},
            {"$dynamicRef": "#/properties/payload"},
            {"$ref": "#/properties/payload"},
        ],
    } == payload_schema_of(schema)


def test_discriminator_follows_its_targets() -> None:
    """The mapping of an OpenAPI discriminator is made of references too."""
    schema: JSONSchema = {
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "Dog"}},
        "oneOf": [{"$ref": "#/$defs/Cat"}],
    }

    assert {
        "propertyName": "kind",
        "mapping": {"cat": "#/properties/payload/$defs/Cat", "dog": "Dog"},
    } == payload_schema_of(schema)["discriminator"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/pokemon"},
        {"$ref": "#pokemon"},
        {"const": {"$ref": "#/x"}},
        {"enum": [{"$ref": "#/x"}]},
        {"default": {"$ref": "#/x"}},
        {"examples": [{"$ref": "#/x"}]},
        {"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}},
        {"discriminator": {"propertyName": "$ref"}},
        {"properties": {"discriminator": {"type": "string"}}},
        {"$id": "https://example.com/pokemon", "$ref": "#/$defs/x", "$schema": "any"},
        {"$defs": {"x": {"$id": "https://example.com/x", "items": {"$ref": "#/y"}}}},
    ],
)
def test_what_is_no_local_reference_stays(schema: JSONSchema) -> None:
    """Data, other references, names of the user's, and documents of their own are left alone."""
    assert schema == payload_schema_of(schema)


@pytest.mark.parametrize("name", ["const", "default", "enum", "examples", "discriminator"])
def test_property_that_is_named_like_a_keyword(name: str) -> None:
    """Under properties, a keyword is a name like any other, and holds a schema."""
    schema: JSONSchema = {"properties": {name: {"$ref": "#/$defs/x"}}}

    assert {"properties": {name: {"$ref": "#/properties/payload/$defs/x"}}} == payload_schema_of(
        schema
    )


def find_references(value: Any) -> Iterator[str]:
    """Yield all the references of a schema that has no data."""
    inner: Iterable[Any] = ()
    match value:
        case {"$ref": str(reference)}:
            yield reference
        case {**items}:
            inner = items.values()
        case [*items]:
            inner = items
        case _:
            return
    for each in inner:
        yield from find_references(each)


def resolve(root: Any, reference: str) -> Any:
    """Return the place that a reference leads to."""
    for step in reference.split("/")[1:]:
        root = root[step]
    return root


SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"$ref": "#"}, {"$ref": "#/$defs/a"}]),
    lambda inner: (
        st.lists(inner, min_size=1).map(lambda each: {"anyOf": each})
        | inner.map(lambda each: {"items": each})
        | st.dictionaries(st.sampled_from(["const", "$ref", "x"]), inner).map(
            lambda each: {"properties": each}
        )
    ),
)


@given(SCHEMAS, SCHEMAS)
def test_references_lead_to_the_same(schema: Mapping[str, Any], definition: Any) -> None:
    """Each reference leads to what it led to, in its new place; the given schema is not changed."""
    given_schema = {**schema, "$defs": {"a": definition}}
    before = deepcopy(given_schema)

    class Described(Event, type="DESCRIBED"):
        metadata: Any = None

        @classmethod
        def field_schema(cls, name: str) -> JSONSchema | None:  # noqa: ARG003 has one field
            return given_schema

    whole = schemas_of(Described)["DESCRIBED"]
    described = whole["properties"]["metadata"]

    assert before == given_schema
    assert whole == json.loads(json.dumps(whole))
    for old, new in zip(find_references(before), find_references(described), strict=True):
        assert f"#/properties/metadata{old[1:]}" == new
        assert resolve(described, old) is resolve(whole, new)
