"""Schemas may refer to those of a registry."""

from typing import Any

import pytest

from castore_core import InvalidEventDataError, Violation
from castore_json_schema import InvalidSchemaError, JSONSchemaEvent, SchemaRegistry

PRICE = "https://shop.example/price"
CURRENCY = "https://shop.example/currency"

PRICE_SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"$ref": "currency"}},
    "required": ["amount", "currency"],
}
CURRENCY_SCHEMA = {"enum": ["EUR", "JPY"]}
PLACED_SCHEMA = {
    "type": "object",
    "properties": {"price": {"$ref": PRICE}, "note": {"$ref": "#/$defs/note"}},
    "$defs": {"note": {"type": "string"}},
}

registry = SchemaRegistry({PRICE: PRICE_SCHEMA, CURRENCY: CURRENCY_SCHEMA})


class ShopEvent(JSONSchemaEvent):
    """An abstract base with the registry of the shop."""

    schema_registry = registry


class Placed(ShopEvent, type="PLACED"):
    """Its schema refers to the registry, and to itself."""

    payload_schema = PLACED_SCHEMA
    payload: dict[str, Any]


def test_references_are_followed() -> None:
    """A violation of what is referred to has its path in the value."""
    payload = {"price": {"amount": 5, "currency": "EUR"}, "note": "thanks"}
    assert payload == Placed(aggregate_id="a", version=1, payload=payload).payload

    with pytest.raises(InvalidEventDataError) as error:
        Placed(
            aggregate_id="a",
            version=1,
            payload={"price": {"amount": "5", "currency": "USD"}, "note": 5},
        )
    assert {"payload.price.amount", "payload.price.currency", "payload.note"} == {
        each.path for each in error.value.violations
    }


def test_field_schema_needs_no_registry() -> None:
    """The schema of a field brings what it refers to, so that whoever reads it needs no more."""
    assert PLACED_SCHEMA | {
        "$defs": {
            "note": {"type": "string"},
            CURRENCY: CURRENCY_SCHEMA | {"$id": CURRENCY},
            PRICE: PRICE_SCHEMA | {"$id": PRICE},
        }
    } == Placed.field_schema("payload")


def test_field_schema_brings_only_what_is_needed() -> None:
    """What is not referred to stays in the registry."""

    class Converted(ShopEvent, type="CONVERTED"):
        payload_schema = {"$ref": CURRENCY}
        payload: str

    assert {
        "$ref": CURRENCY,
        "$defs": {CURRENCY: CURRENCY_SCHEMA | {"$id": CURRENCY}},
    } == Converted.field_schema("payload")


def test_later_changes_of_a_shared_schema_have_no_effect() -> None:
    """A registry keeps the schemas that it was made with."""
    schema: dict[str, Any] = {"type": "integer"}
    shared = SchemaRegistry({PRICE: schema})
    schema["type"] = "string"

    class Priced(JSONSchemaEvent, type="PRICED"):
        schema_registry = shared
        payload_schema = {"$ref": PRICE}
        payload: int

    assert 5 == Priced(aggregate_id="a", version=1, payload=5).payload


@pytest.mark.parametrize(
    ("uri", "schema", "violation"),
    [
        (PRICE, {"minLength": -1}, ("schema.minLength", "-1 is less than the minimum of 0")),
        (
            PRICE,
            {"items": {"$ref": "#/$defs/a"}},
            ("schema.items['$ref']", "leads nowhere: '#/$defs/a'"),
        ),
        (PRICE, {"items": {"format": "money"}}, ("schema.items.format", "Unknown format: 'money'")),
        ("price", {}, ("its URI", "is not absolute")),
    ],
)
def test_broken_schema_of_a_registry(uri: str, schema: Any, violation: tuple[str, str]) -> None:
    """A broken schema fails when the registry is made, and the error names its URI."""
    with pytest.raises(InvalidSchemaError) as error:
        SchemaRegistry({uri: schema})

    path, reason = violation
    (found,) = error.value.violations
    assert (repr(uri), path) == (error.value.owner, found.path)
    assert reason in found.reason


def test_reference_between_shared_schemas_that_leads_nowhere() -> None:
    """A registry refers to nothing that it does not have."""
    with pytest.raises(InvalidSchemaError, match=r"https://shop\.example/currency"):
        SchemaRegistry({PRICE: PRICE_SCHEMA})


def test_nothing_is_fetched() -> None:
    """A reference to what is not in the registry fails at once, with its place."""
    with pytest.raises(InvalidSchemaError) as error:

        class Refunded(ShopEvent, type="REFUNDED"):  # pyright: ignore[reportUnusedClass]
            payload_schema = {"items": {"$ref": "https://shop.example/refund"}}
            payload: list[Any]

    assert (
        Violation("payload_schema.items['$ref']", "leads nowhere: 'https://shop.example/refund'"),
    ) == error.value.violations
