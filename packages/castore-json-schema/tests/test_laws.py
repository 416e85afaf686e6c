"""What holds for any value: it fits or has violations, and what fits comes back."""

import json
import re
from ast import literal_eval
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import InvalidEventDataError, NotJSONError
from castore_json_schema import JSONSchemaEvent

NOW = datetime(2022, 1, 1, tzinfo=UTC)

ORDER_SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "on": {"type": "string", "format": "date"},
        "quantity": {"type": "integer", "minimum": 1},
        "discount": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "state": {"enum": ["placed", "paid"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "maxItems": 3},
    },
    "required": ["id", "quantity"],
    "additionalProperties": False,
    "$defs": {
        "line": {
            "anyOf": [
                {"type": "string", "maxLength": 5},
                {"type": "array", "items": {"$ref": "#/$defs/line"}},
            ]
        }
    },
}


class Ordered(JSONSchemaEvent, type="ORDERED"):
    """An order."""

    payload_schema = ORDER_SCHEMA
    payload: Any


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
lines = st.recursive(texts, lambda each: st.lists(each, max_size=3), max_leaves=8)
orders = st.fixed_dictionaries(
    {"id": st.uuids().map(str), "quantity": st.integers(min_value=1)},
    optional={
        "at": st.datetimes(timezones=st.just(UTC)).map(lambda each: each.isoformat()),
        "on": st.dates().map(str),
        "discount": st.none() | st.floats(0, 1),
        "state": st.sampled_from(["placed", "paid"]),
        "lines": st.lists(lines, max_size=3),
    },
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda each: st.lists(each) | st.dictionaries(st.text("/~0a é"), each),
    max_leaves=12,
)  # fmt: skip


@given(orders)
def test_what_fits_passes_and_comes_back(payload: dict[str, Any]) -> None:
    """Every value that was made after the schema fits, also after it was JSON."""
    event = Ordered(aggregate_id="a", version=1, timestamp=NOW, payload=payload)
    record = event.to_record()

    assert event == Ordered.from_record(record)
    assert event == Ordered.from_record(record._replace(payload=json.loads(json.dumps(payload))))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "pikachu1"),
        ("at", "2022-01-01"),
        ("on", "2022-02-29"),
        ("quantity", 0),
        ("quantity", 1.5),
        ("discount", 1.5),
        ("state", "lost"),
        ("lines", ["a", "b", "c", "d"]),
    ],
)
@given(order=orders)
def test_one_bad_value_is_one_violation(key: str, value: object, order: dict[str, Any]) -> None:
    """A value that is spoilt in one place has one violation, there."""
    with pytest.raises(InvalidEventDataError) as error:
        Ordered(aggregate_id="a", version=1, payload=order | {key: value})
    assert [f"payload.{key}"] == [each.path for each in error.value.violations]


@given(payload=json_values)
def test_any_json_value_fits_or_has_violations(payload: Any) -> None:
    """Construction and reading agree, and violations lead to places that are there."""

    class Numbers(JSONSchemaEvent, type="NUMBERS"):
        payload_schema = {
            "type": ["number", "array", "object"],
            "items": {"$ref": "#"},
            "additionalProperties": {"$ref": "#"},
        }
        payload: Any

    try:
        event = Numbers(aggregate_id="a", version=1, timestamp=NOW, payload=payload)
    except InvalidEventDataError as error:
        for violation in error.violations:
            value = follow(violation.path, payload)
            assert not isinstance(value, (int, float, list, dict)) or isinstance(value, bool)
    else:
        assert event == Numbers.from_record(event.to_record())


_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<literal>\d+|'[^']*')\]")


def follow(path: str, value: Any) -> Any:
    """Return what a path leads to."""
    for step in _STEP.finditer(path.removeprefix("payload")):
        value = value[step["name"] or literal_eval(step["literal"])]
    return value


@given(st.recursive(st.builds(list[Any]), st.lists, max_leaves=20), st.integers(0, 20))
def test_not_json_is_told_from_not_fitting(payload: list[Any], position: int) -> None:
    """A value that is not JSON is never taken for one that fits or does not."""

    class Nested(JSONSchemaEvent, type="NESTED"):
        payload_schema = {"type": "array", "items": {"$ref": "#"}}
        payload: Any

    payload.insert(position, {1})

    with pytest.raises(NotJSONError):
        Nested(aggregate_id="a", version=1, payload=payload)
