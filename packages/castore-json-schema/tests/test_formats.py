"""Formats are checked: those of the draft, and those of a registry."""

from typing import Any

import pytest

from castore_core import InvalidEventDataError
from castore_json_schema import JSONSchemaEvent, SchemaRegistry

# Of each format of draft 2020-12: what is of it, and what is not.
FORMATS = [
    ("date-time", "2022-01-01T12:00:00.5+02:00", "2022-01-01 12:00:00"),
    ("date-time", "1998-12-31T23:59:60Z", "2022-01-01T12:00:00"),
    ("date", "2024-02-29", "2023-02-29"),
    ("time", "12:00:00Z", "12:00:00"),
    ("duration", "P1DT12H", "1 day"),
    ("email", "ash@pallet.town", "Ash <ash@pallet.town>"),
    ("email", "ash@localhost", "pallet.town"),
    ("idn-email", "sacha@bourg-palette.été", "bourg-palette"),
    ("hostname", "pallet.town", "-pallet.town"),
    ("idn-hostname", "été.town", "〮été"),
    ("ipv4", "127.0.0.1", "127.0.0.256"),
    ("ipv6", "::1", ":::1"),
    ("uri", "https://pallet.town/ash?a=1", "pallet town"),
    ("uri-reference", "../ash", "\\ash"),
    ("iri", "https://été.town", "été"),
    ("iri-reference", "/été", "\\été"),
    ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8aa08aa9811eab4aa73b441d16380"),
    ("uri-template", "/pokemons/{id}", "/pokemons/{id"),
    ("json-pointer", "/moves/0", "moves/0"),
    ("relative-json-pointer", "1/moves", "-1/moves"),
    ("regex", "^[a-z]+$", "^[a-z+$"),
]


class Text(JSONSchemaEvent):
    """An abstract base of events with a text."""

    payload: str


@pytest.mark.parametrize(("name", "good", "bad"), FORMATS)
def test_format_of_the_draft(name: str, good: str, bad: str) -> None:
    """A text of the format passes, another one is a violation. No extra has to be installed."""

    class Written(Text, type="WRITTEN"):
        payload_schema = {"type": "string", "format": name}

    assert good == Written(aggregate_id="a", version=1, payload=good).payload
    with pytest.raises(InvalidEventDataError) as error:
        Written(aggregate_id="a", version=1, payload=bad)
    (violation,) = error.value.violations
    assert violation.reason.endswith(f'is not a "{name}"')


def test_format_says_nothing_of_other_values() -> None:
    """A format is about strings: say `type` too."""

    class Written(JSONSchemaEvent, type="WRITTEN"):
        payload_schema = {"format": "uuid"}
        payload: Any

    assert 5 == Written(aggregate_id="a", version=1, payload=5).payload


def test_format_of_a_registry() -> None:
    """A format of the user's own is a function."""

    class Paid(JSONSchemaEvent, type="PAID"):
        schema_registry = SchemaRegistry(
            formats={"currency": lambda text: len(text) == 3 and text.isupper()}
        )
        payload_schema = {"type": "string", "format": "currency"}
        payload: str

    assert "EUR" == Paid(aggregate_id="a", version=1, payload="EUR").payload
    with pytest.raises(InvalidEventDataError, match='payload: the value is not a "currency"'):
        Paid(aggregate_id="a", version=1, payload="eur")


def test_format_that_is_no_function() -> None:
    """A mistake in a registry is told at once."""
    formats: Any = {"currency": "[A-Z]{3}"}

    with pytest.raises(TypeError, match=r"format 'currency' is no function: '\[A-Z\]\{3\}'"):
        SchemaRegistry(formats=formats)


def test_fickle_format() -> None:
    """A value that was found not to fit is refused, though the format changed its mind."""
    answers = iter([False, True])

    class Paid(JSONSchemaEvent, type="PAID"):
        schema_registry = SchemaRegistry(formats={"currency": lambda _: next(answers)})
        payload_schema = {"format": "currency"}
        payload: str

    with pytest.raises(InvalidEventDataError, match="payload: does not fit"):
        Paid(aggregate_id="a", version=1, payload="EUR")


def test_format_that_fails() -> None:
    """What a format raises is not taken for an answer."""

    def is_currency(text: str) -> bool:
        raise ValueError(f"no list of currencies: {text}")

    class Paid(JSONSchemaEvent, type="PAID"):
        schema_registry = SchemaRegistry(formats={"currency": is_currency})
        payload_schema = {"format": "currency"}
        payload: str

    with pytest.raises(ValueError, match="no list of currencies: EUR"):
        Paid(aggregate_id="a", version=1, payload="EUR")


def test_pattern_that_takes_too_long() -> None:
    """A pattern that backtracks without an end is given up, and the value refused."""

    class Written(Text, type="WRITTEN"):
        payload_schema = {"pattern": r"^(?:(a|a)\1?)+$"}

    with pytest.raises(InvalidEventDataError, match="backtracking"):
        Written(aggregate_id="a", version=1, payload="a" * 40 + "!")


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        (r"^\d$", "٣", False),
        (r"^a$", "a\n", False),
        (r"^\p{Letter}$", "é", True),
        (r"^(?!MISSINGNO)", "MISSINGNO", False),
    ],
)
def test_pattern_is_that_of_the_draft(pattern: str, text: str, is_match: bool) -> None:
    """Patterns are those of ECMA-262, as in a TypeScript service, and not those of Python."""

    class Written(Text, type="WRITTEN"):
        payload_schema = {"pattern": pattern}

    if is_match:
        assert text == Written(aggregate_id="a", version=1, payload=text).payload
    else:
        with pytest.raises(InvalidEventDataError, match="does not match"):
            Written(aggregate_id="a", version=1, payload=text)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1.0, 1.5),
        ({"maximum": 2**60}, 2**60, 2**60 + 1),
        ({"multipleOf": 0.1}, 0.3, 0.35),
        ({"maxLength": 1}, "😀", "ab"),
        ({"uniqueItems": True}, [0, False], [1, 1.0]),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"properties": {"a": True}, "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "ab", "a"),
    ],
)
def test_keywords_of_the_draft(schema: dict[str, Any], good: Any, bad: Any) -> None:
    """Keywords mean what draft 2020-12 says, also where Python's operators say otherwise."""

    class Held(JSONSchemaEvent, type="HELD"):
        payload_schema = schema
        payload: Any

    assert good == Held(aggregate_id="a", version=1, payload=good).payload
    with pytest.raises(InvalidEventDataError):
        Held(aggregate_id="a", version=1, payload=bad)
