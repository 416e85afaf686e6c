"""check_json accepts what comes back from JSON as it went in, and names the path to the rest."""

import json
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pickle import dumps, loads
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import ABSENT, Absent, NotJSONError, check_json

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
almost_json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))
    | st.binary(max_size=3)
    | st.dates(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.sets(st.integers())
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none(), inner)
    ),
    max_leaves=5,
)


@dataclass
class Point:
    """What JSON does not know."""

    x: int


class Color(Enum):
    """What JSON does not know either."""

    RED = "red"


class Level(IntEnum):
    """What JSON would give back as a plain integer."""

    ONE = 1


class Text(str):
    """What JSON would give back as a plain string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Text({self})"


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal, and of the same types all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    children = zip(_children(one), _children(other), strict=True)
    return all(is_same(each, its_twin) for each, its_twin in children)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        return [*items.keys(), *items.values()]
    return list(cast("list[Any]", value)) if isinstance(value, list) else []


def comes_back(value: Any) -> bool:
    """Tell whether JSON, written as UTF-8, gives the same value back."""
    try:
        return is_same(
            value, json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
        )
    except (TypeError, ValueError):
        return False


def is_accepted(value: Any) -> bool:
    """Tell whether check_json accepts a value."""
    try:
        check_json(value, "value")
    except NotJSONError:
        return False
    return True


@given(json_values)
def test_json_values_are_accepted(value: Any) -> None:
    """Any JSON value is accepted."""
    check_json(value, "payload")


@given(almost_json_values)
def test_accepted_is_what_json_gives_back(value: Any) -> None:
    """A value is accepted exactly when JSON gives it back, equal and of the same types."""
    assert comes_back(value) == is_accepted(value)


@pytest.mark.parametrize(
    "value",
    [
        Point(1),
        {1, 2},
        frozenset[int](),
        b"bytes",
        (1, 2),
        float("nan"),
        float("inf"),
        float("-inf"),
        Color.RED,
        Level.ONE,
        Text("text"),
        Decimal(1),
        datetime(2022, 1, 1, tzinfo=UTC),
        UUID(int=0),
        1j,
        object(),
        defaultdict[str, int](int),
        OrderedDict[str, int](),
        ABSENT,
        "\ud800",
        2**14_000,
        print,
    ],
    ids=lambda value: f"{type(value).__name__}:{value!r:.20}",
)
def test_other_values_are_refused_with_their_path(value: Any) -> None:
    """A value that is not JSON is refused wherever it is, and the error names the place."""
    with pytest.raises(NotJSONError) as error:
        check_json({"first": [None, {"second": value}]}, "payload")

    assert "payload.first[1].second" == error.value.path
    assert str(error.value).startswith("payload.first[1].second ")


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",), b"a", Text("a"), Level.ONE], ids=repr)
def test_keys_are_strings(key: Any) -> None:
    """A key of another type is refused, at the path of its object."""
    with pytest.raises(NotJSONError, match="has a key that is no string") as error:
        check_json([{"inner": {key: 1}}], "metadata")

    assert "metadata[0].inner" == error.value.path


def test_keys_are_well_formed() -> None:
    """A key with a lone surrogate is refused, at the path of its object."""
    with pytest.raises(NotJSONError, match="has a key that is not well-formed Unicode") as error:
        check_json({"inner": {"\udc00": 1}}, "payload")

    assert "payload.inner" == error.value.path


def test_the_value_itself_can_be_at_fault() -> None:
    """The path of the whole value is the one that was given."""
    with pytest.raises(NotJSONError, match=r"^payload is nan, which JSON does not have$"):
        check_json(float("nan"), "payload")


def test_the_first_fault_is_named() -> None:
    """Of several offending values, the first one is named."""
    with pytest.raises(NotJSONError, match=r"^payload\[1\] is not JSON: bytes \("):
        check_json([0, b"1", b"2"], "payload")


@pytest.mark.parametrize(
    ("value", "way_out"),
    [
        (datetime(2022, 1, 1, tzinfo=UTC), "isoformat"),
        (timedelta(1), "total_seconds"),
        (Decimal(1), "str"),
        (UUID(int=0), "str"),
        (Level.ONE, "value"),
        (b"1", "base64"),
        ((1,), "list"),
        ({1}, "sorted list"),
        (Point(1), "asdict"),
        (Text("a"), r"str\(\)"),
    ],
    ids=repr,
)
def test_well_known_types_have_a_way_out(value: Any, way_out: str) -> None:
    """The error says how the value can be stored."""
    with pytest.raises(NotJSONError, match=rf"is not JSON: {type(value).__name__} \(.*{way_out}"):
        check_json(value, "payload")


@pytest.mark.parametrize(
    "value",
    [
        b"hunter2" * 1000,
        Text("hunter2"),
        ("hunter2",),
        {("hunter2",): 1},
        "hunter2\ud800" * 100_000,
        {"key\ud800" * 100_000: "hunter2"},
    ],
    ids=["bytes", "subclass", "tuple", "key", "surrogate", "surrogate in a key"],
)
def test_no_value_is_in_the_message(value: Any) -> None:
    """A payload may be secret, and long: the message has its place and its type."""
    with pytest.raises(NotJSONError) as error:
        check_json({"password": value}, "payload")

    assert "hunter2" not in f"{error.value} {error.value!r}"
    assert len(str(error.value)) < 300


def test_the_greatest_integer_can_be_read() -> None:
    """Python's own limit to the digits of a number is not met by what is accepted."""
    greatest = 2**14_000 - 1
    check_json([greatest, -greatest], "payload")

    assert [greatest, -greatest] == json.loads(json.dumps([greatest, -greatest]))


def test_a_cycle_is_refused() -> None:
    """A value that contains itself is refused instead of followed for ever."""
    cycle: list[Any] = []
    cycle.append({"again": cycle})

    with pytest.raises(NotJSONError, match=r"^payload is nested too deeply, or contains itself$"):
        check_json(cycle, "payload")


def test_absent_is_false_and_one_of_its_kind() -> None:
    """ABSENT is falsy, shows its name, and stays itself through pickle."""
    assert not ABSENT
    assert "ABSENT" == repr(ABSENT)
    assert ABSENT is loads(dumps(ABSENT))  # noqa: S301 our own
    assert [ABSENT] == list(Absent)
