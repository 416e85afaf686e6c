"""No text, repr or note of an error of this package has a value of a payload, which may be secret.

Keys are no values: they are the path. Neither is what the schema itself says.
"""

import json
from datetime import UTC, datetime
from types import new_class
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castore_core import (
    CastoreError,
    EventDecodeError,
    EventRecord,
    EventStore,
    InvalidCommandInputError,
    InvalidCommandOutputError,
    InvalidEventDataError,
    NotJSONError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_json_schema import JSONSchemaCommand, JSONSchemaEvent, SchemaRegistry

SECRET = "hunter2"  # noqa: S105 it is no secret
NUMBER = 7_654_321
NOW = datetime(2022, 1, 1, tzinfo=UTC)
REGISTRY = SchemaRegistry(formats={"never": lambda _: False})
NULL = {"type": "null"}

TEXTS = [
    SECRET,
    f'"{SECRET}"',
    f"\\{SECRET}\n",
    f"ü{SECRET}\u2028",
    f"{SECRET} is not valid",
    f"({SECRET}",
]
NUMBERS = [NUMBER, -NUMBER, NUMBER + 0.5, NUMBER * 1e30, NUMBER * 10**40]
SCALARS = st.sampled_from([*TEXTS, *NUMBERS])
VALUES = st.recursive(
    SCALARS,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.sampled_from("kj"), each, max_size=2)
    ),
    max_leaves=6,
)

SCHEMAS: list[Any] = [
    False,
    NULL,
    {"type": ["null", "boolean"]},
    {"enum": ["a", 1]},
    {"enum": [*"abcdefgh"]},
    {"const": {"a": [1]}},
    {"not": {}},
    {"not": {"not": NULL}},
    # texts
    {"minLength": 100},
    {"maxLength": 1},
    {"pattern": "^a$"},
    {"pattern": r"^(?:(a|a)\1?)+$"},
    {"format": "uuid"},
    {"format": "date-time"},
    {"format": "regex"},
    {"format": "never"},
    # numbers
    {"minimum": 1e60},
    {"maximum": -1e60},
    {"exclusiveMinimum": 1e60},
    {"exclusiveMaximum": -1e60},
    {"multipleOf": 1_000_003},
    {"multipleOf": 0.3},
    # lists
    {"minItems": 9},
    {"maxItems": 0},
    {"uniqueItems": True},
    {"contains": NULL},
    {"contains": {}, "minContains": 9},
    {"contains": {}, "maxContains": 0},
    {"items": False},
    {"items": NULL},
    {"prefixItems": [NULL]},
    {"prefixItems": [{}], "items": False},
    {"unevaluatedItems": False},
    {"unevaluatedItems": NULL},
    # objects
    {"minProperties": 9},
    {"maxProperties": 0},
    {"required": ["q"]},
    {"dependentRequired": {"k": ["q"]}},
    {"dependentSchemas": {"k": {"required": ["q"]}}},
    {"dependentSchemas": {"k": False}},
    {"properties": {"k": False, "j": NULL}},
    {"patternProperties": {"k": False, "j": NULL}},
    {"additionalProperties": False},
    {"additionalProperties": NULL},
    {"propertyNames": False},
    {"propertyNames": {"pattern": "^q"}},
    {"unevaluatedProperties": False},
    {"unevaluatedProperties": NULL},
    # all of them
    {"allOf": [NULL, {"const": 5}]},
    {"anyOf": [NULL, {"const": 5}]},
    {"oneOf": [NULL, {"const": 5}]},
    {"oneOf": [{}, {}]},
    {"if": {}, "then": {"enum": [0]}},
    {"if": False, "else": False},
    {"$ref": "#/$defs/it", "$defs": {"it": {"items": {"$ref": "#/$defs/it"}, "not": {}}}},
    {"$dynamicRef": "#it", "$defs": {"it": {"$dynamicAnchor": "it", "type": "null"}}},
]


def declare(schema: Any) -> Any:
    """Return a class of events whose payload fits a schema."""
    body = {
        "payload_schema": schema,
        "schema_registry": REGISTRY,
        "__annotations__": {"payload": Any},
    }
    return new_class(
        "Signed", (JSONSchemaEvent,), {"type": "SIGNED"}, lambda each: each.update(body)
    )


def assert_silent(error: BaseException) -> None:
    """Look for the marks wherever an error speaks."""
    texts = [str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ())]
    assert not [each for each in texts if "hunter" in each or "7654" in each or "7.654" in each]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@settings(max_examples=30)
@given(value=VALUES)
def test_value_that_does_not_fit(schema: Any, value: Any) -> None:
    """Whatever keyword refuses it, wherever it stands, and however it is written."""
    event_type = declare(schema)
    try:
        event_type("a", 1, payload=value)
    except InvalidEventDataError as error:
        assert error.violations  # noqa: PT017 some values fit
        assert_silent(error)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_every_keyword_refuses_something(schema: Any) -> None:
    """The values above are refused by each of the schemas."""
    event_type = declare(schema)
    values: list[Any] = [SECRET, f"({SECRET}", NUMBER, [SECRET, SECRET], {"k": SECRET, "j": NUMBER}]
    refused: list[InvalidEventDataError] = []
    for value in values:
        try:
            event_type("a", 1, payload=value)
        except InvalidEventDataError as error:
            refused.append(error)

    assert refused
    for each in refused:
        assert_silent(each)


@pytest.mark.parametrize(
    "value",
    [{SECRET}, [(SECRET,), b"hunter2"], {"at": NOW, "pin": SECRET}, f"{SECRET}\ud800", {1: SECRET}],
    ids=repr,
)
def test_value_that_is_not_json(value: Any) -> None:
    """Neither is it told."""
    with pytest.raises(NotJSONError) as error:
        declare({"const": 1})("a", 1, payload=value).to_record()
    assert_silent(error.value)


def fail(text: str) -> bool:
    """Fail with the text."""
    raise ValueError(f"no list of currencies: {text}")


def test_format_that_fails_when_an_event_is_read() -> None:
    """Its own words are the cause; the error of the store would have them otherwise."""

    class Paid(JSONSchemaEvent, type="PAID"):
        schema_registry = SchemaRegistry(formats={"currency": fail})
        payload_schema = {"format": "currency"}
        payload: str

    with pytest.raises(ValueError, match=r"^a format raised ValueError$") as error:
        Paid.from_record(EventRecord("a", 1, "PAID", NOW, SECRET))
    assert_silent(error.value)
    assert SECRET in str(error.value.__cause__)


class Signed(JSONSchemaEvent, type="SIGNED"):
    """An event with both fields."""

    payload_schema = {"type": "object", "properties": {"pin": NULL}}
    metadata_schema = {"enum": [1, 2]}
    payload: Any
    metadata: Any = None


def keep_last(last: Any, event: Signed) -> Any:  # noqa: ARG001 the reducer's signature
    """Compute the state."""
    return event


async def run(input: Any, event_stores: tuple[EventStore]) -> Any:  # noqa: ARG001 not needed
    """Return the input."""
    return input


async def test_stores_and_commands_do_not_tell_values() -> None:
    """A changed payload, a stored event that does not fit, an input and an output."""
    adapter = InMemoryEventStorageAdapter()
    store = EventStore("S", event_types=[Signed], reduce=keep_last, storage_adapter=adapter)
    await adapter.push_event("S", EventRecord("a", 1, "SIGNED", NOW, {"pin": SECRET}, SECRET))
    command = JSONSchemaCommand(
        "RUN",
        required_event_stores=(store,),
        handler=run,
        input_schema={"type": ["string", "null"]},
        output_schema=NULL,
    )
    changed = Signed("b", 1, payload={"pin": None})
    changed.payload["pin"] = SECRET

    errors: list[CastoreError] = []
    with pytest.raises(EventDecodeError) as read:
        await store.get_events("a")
    errors.append(read.value)
    with pytest.raises(InvalidEventDataError) as pushed:
        await store.push_event(changed)
    errors.append(pushed.value)
    with pytest.raises(InvalidCommandInputError) as called:
        await command([SECRET], (store,))
    errors.append(called.value)
    with pytest.raises(InvalidCommandOutputError) as returned:
        await command(SECRET, (store,))
    errors.append(returned.value)

    for each in errors:
        assert_silent(each)
    assert SECRET not in f"{command!r} {store!r} {REGISTRY!r}"
