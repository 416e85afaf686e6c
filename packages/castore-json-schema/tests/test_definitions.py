"""Schemas belong to classes: broken ones fail at the definition, and sound ones are inherited."""

from threading import Barrier, Thread
from types import MappingProxyType, new_class
from typing import Any

import pytest

from castore_core import Event, InvalidEventDataError, JSONSchema, Violation
from castore_json_schema import InvalidSchemaError, JSONSchemaEvent

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LEVEL_SCHEMA = {"type": "integer"}
TRIGGER_SCHEMA = {"enum": ["random", "scripted"]}


def define(payload_schema: Any) -> type[JSONSchemaEvent]:
    """Define an event type with a payload."""
    body = {"payload_schema": payload_schema, "__annotations__": {"payload": Any}}
    return new_class("Trained", (JSONSchemaEvent,), {"type": "TRAINED"}, lambda ns: ns.update(body))


# Broken schemas


@pytest.mark.parametrize(
    ("schema", "violations"),
    [
        (
            {"properties": {"moves": {"items": {"minLength": -1}}}},
            [("payload_schema.properties.moves.items.minLength", "-1 is less than the minimum")],
        ),
        (
            {"required": "name", "properties": {"a b": {"type": "strin"}}},
            [
                ("payload_schema.properties['a b'].type", '"strin" is not of type "array"'),
                ("payload_schema.properties['a b'].type", '"strin" is not one of "array"'),
                ("payload_schema.required", '"name" is not of type "array"'),
            ],
        ),
        ({"pattern": "("}, [("payload_schema.pattern", '"(" is not a "regex"')]),
        (
            {"properties": {"at": {"format": "datetime"}}},
            [("payload_schema.properties.at.format", "Unknown format: 'datetime'")],
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/b"}, "c": {"$ref": "#"}}},
            [("payload_schema.properties.a['$ref']", "leads nowhere: '#/$defs/b'")],
        ),
        (
            {"items": {"$ref": "#name"}, "prefixItems": [{"$ref": "https://example.com/a"}]},
            [
                ("payload_schema.items['$ref']", "leads nowhere: '#name'"),
                (
                    "payload_schema.prefixItems[0]['$ref']",
                    "leads nowhere: 'https://example.com/a'",
                ),
            ],
        ),
        ({"$dynamicRef": "#node"}, [("payload_schema['$dynamicRef']", "leads nowhere: '#node'")]),
        (
            {"$defs": {"unused": {"$ref": "file:///etc/hostname"}}},
            [("payload_schema['$defs'].unused['$ref']", "leads nowhere: 'file:///etc/hostname'")],
        ),
        (
            {
                "$defs": {"a/b ~": {"items": {"$ref": "#/$defs/none"}}, "used": {}},
                "$ref": "#/$defs/used",
            },
            [("payload_schema['$defs']['a/b ~'].items['$ref']", "leads nowhere: '#/$defs/none'")],
        ),
        (
            {"$defs": {"unused": {"format": "datetime"}}},
            [("payload_schema['$defs'].unused.format", "Unknown format: 'datetime'")],
        ),
        (
            {
                "$defs": {"a": {"$anchor": "it"}, "b": {"items": {"$dynamicAnchor": "it"}}},
                "properties": {"c": {"$anchor": "it"}},
            },
            [
                (
                    "payload_schema.properties.c['$anchor']",
                    "is the anchor of another schema too: 'it'",
                ),
                (
                    "payload_schema['$defs'].b.items['$dynamicAnchor']",
                    "is the anchor of another schema too: 'it'",
                ),
            ],
        ),
        ({"$ref": "http://[::"}, [("payload_schema['$ref']", 'is not a "uri-reference"')]),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            [("payload_schema['$schema']", f"is not '{DIALECT}'")],
        ),
        ({"$schema": 7}, [("payload_schema['$schema']", '7 is not of type "string"')]),
        ({"enum": ("a", "b")}, [("payload_schema.enum", "is not JSON: tuple")]),
        ([LEVEL_SCHEMA], [("payload_schema", "is no JSON schema: [{'type': 'integer'}]")]),
        ("string", [("payload_schema", "is no JSON schema: 'string'")]),
    ],
)
def test_broken_schema(schema: Any, violations: list[tuple[str, str]]) -> None:
    """A schema that is broken fails when the class is made, and the error says where."""
    with pytest.raises(InvalidSchemaError) as error:
        define(schema)

    assert "Trained" == error.value.owner
    found = sorted(error.value.violations)
    assert [path for path, _ in violations] == [each.path for each in found]
    for (_, reason), violation in zip(violations, found, strict=True):
        assert reason in violation.reason


def test_error_of_a_broken_schema_is_one_sentence() -> None:
    """The text names the class and the place."""
    with pytest.raises(ValueError, match="Trained") as error:
        define({"minLength": -1})

    assert (
        "schema of Trained is broken: payload_schema.minLength: -1 is less than the minimum of 0"
    ) == str(error.value)


SOUND: list[JSONSchema] = [
    {"$defs": {"list": {"items": {"$ref": "#/$defs/list"}}, "none": False}},  # it contains itself
    {"$anchor": "it", "$defs": {"a": {"$id": "https://example.com/a", "$anchor": "it"}}},
    {
        "$defs": {
            "a": {
                "$id": "https://example.com/a",
                "properties": {"b": {"$ref": "#/$defs/c"}},
                "$defs": {"c": {"items": {"$ref": "a"}}},
            }
        }
    },
    {"default": {"$ref": "#/none", "$anchor": "it"}, "examples": [{"$anchor": "it"}]},
    {"properties": {"$ref": {}, "$anchor": {"$anchor": "it"}, "$defs": {"minLength": 1}}},
    True,
    {},
    {"$schema": DIALECT},
    MappingProxyType({"title": "Any"}),
]


@pytest.mark.parametrize("schema", SOUND)
def test_schema_that_allows_everything(schema: JSONSchema) -> None:
    """A boolean is a schema too, and so is any mapping."""
    event_type: Any = define(schema)

    assert 5 == event_type(aggregate_id="a", version=1, payload=5).payload


def test_schema_that_allows_nothing() -> None:
    """False refuses all."""
    event_type: Any = define(False)

    with pytest.raises(
        InvalidEventDataError, match="payload: False schema does not allow the value"
    ):
        event_type(aggregate_id="a", version=1, payload=5)


@pytest.mark.parametrize("field", ["payload", "metadata"])
def test_schema_of_a_field_that_is_not_there(field: str) -> None:
    """A schema without its field would validate nothing."""
    body = {f"{field}_schema": LEVEL_SCHEMA}

    with pytest.raises(InvalidSchemaError) as error:
        new_class("Trained", (JSONSchemaEvent,), {"type": "TRAINED"}, lambda ns: ns.update(body))
    expected = Violation(f"{field}_schema", f"there is no field {field!r}")
    assert ("Trained", (expected,)) == (error.value.owner, error.value.violations)


# Copies


def test_later_changes_of_a_schema_have_no_effect() -> None:
    """A class keeps the schema that it was made with."""
    schema: dict[str, Any] = {"properties": {"level": {"type": "integer"}}}
    event_type: Any = define(schema)
    schema["properties"]["level"]["type"] = "string"
    event_type.field_schema("payload")["properties"].clear()

    assert {"properties": {"level": {"type": "integer"}}} == event_type.field_schema("payload")
    assert event_type(aggregate_id="a", version=1, payload={"level": 5})
    with pytest.raises(InvalidEventDataError):
        event_type(aggregate_id="a", version=1, payload={"level": "5"})


def test_field_schema_is_what_was_given() -> None:
    """The schema of a field is told, in the order of the user; None where there is none."""

    class Trained(JSONSchemaEvent, type="TRAINED"):
        payload_schema = LEVEL_SCHEMA
        payload: int
        metadata: str | None = None

    assert LEVEL_SCHEMA == Trained.field_schema("payload")
    assert Trained.field_schema("metadata") is None
    assert Trained.field_schema("aggregate_id") is None


# Inheritance


class Audited(JSONSchemaEvent):
    """An abstract base with a metadata and its schema."""

    metadata_schema = TRIGGER_SCHEMA
    metadata: str


class Trained(Audited, type="TRAINED"):
    """It has a schema of its own, and one of its base."""

    payload_schema = LEVEL_SCHEMA
    payload: int


class Retrained(Trained, type="RETRAINED"):
    """It has both schemas of its base."""


class Loosely(Trained, type="LOOSELY"):
    """It has another schema for its payload, and none for its metadata."""

    payload_schema = True
    metadata_schema = None


@pytest.mark.parametrize("event_type", [Trained, Retrained])
def test_schemas_are_inherited(event_type: Any) -> None:
    """The schema of a base holds for its subclasses."""
    assert event_type(aggregate_id="a", version=1, payload=5, metadata="random")
    with pytest.raises(InvalidEventDataError) as error:
        event_type(aggregate_id="a", version=1, payload="5", metadata="bored")
    assert ["payload", "metadata"] == [each.path for each in error.value.violations]
    assert TRIGGER_SCHEMA == event_type.field_schema("metadata")


def test_schemas_are_overridden() -> None:
    """A subclass may replace a schema, or take it away."""
    payload: Any = "5"

    assert Loosely(aggregate_id="a", version=1, payload=payload, metadata="bored")
    assert (True, None) == (Loosely.field_schema("payload"), Loosely.field_schema("metadata"))


def test_abstract_base_may_leave_the_field_to_its_subclasses() -> None:
    """A schema and its field may be declared apart."""

    class Leveled(JSONSchemaEvent):
        payload_schema = LEVEL_SCHEMA

    class Grown(Leveled, type="GROWN"):
        payload: int

    payload: Any = "5"
    with pytest.raises(InvalidEventDataError):
        Grown(aggregate_id="a", version=1, payload=payload)


def test_mixin_that_is_no_event() -> None:
    """A schema may come from any base."""

    class Leveled:
        payload_schema = LEVEL_SCHEMA

    class Grown(Leveled, JSONSchemaEvent, type="GROWN"):
        payload: int

    payload: Any = "5"
    with pytest.raises(InvalidEventDataError):
        Grown(aggregate_id="a", version=1, payload=payload)


def test_two_bases() -> None:
    """Each base gives its schema."""

    class Leveled(JSONSchemaEvent):
        payload_schema = LEVEL_SCHEMA
        payload: int

    class Grown(Leveled, Audited, type="GROWN"):
        """It has what both have."""

    assert (LEVEL_SCHEMA, TRIGGER_SCHEMA) == (
        Grown.field_schema("payload"),
        Grown.field_schema("metadata"),
    )


def test_abstract_base_cannot_be_instantiated() -> None:
    """A base without a type has no events."""
    with pytest.raises(TypeError, match="Audited is abstract"):
        Audited(aggregate_id="a", version=1, metadata="random")
    assert issubclass(Audited, Event)


# Threads


def test_first_use_from_many_threads() -> None:
    """A class may be used for the first time by several threads at once."""
    event_type: Any = define(LEVEL_SCHEMA)
    barrier = Barrier(8)
    outcomes: list[str] = []

    def use(payload: object) -> None:
        barrier.wait()
        for _ in range(200):
            try:
                event_type(aggregate_id="a", version=1, payload=payload)
                outcomes.append("fits")
            except InvalidEventDataError:
                outcomes.append("does not fit")

    threads = [Thread(target=use, args=[payload]) for payload in [5, "5"] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 800 == outcomes.count("fits") == outcomes.count("does not fit")
