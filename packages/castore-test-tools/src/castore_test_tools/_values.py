"""The values that contract suites write, and how they compare what they read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from hypothesis import strategies as st

from castore_core import ABSENT, Absent, EventRecord, JSONValue

STORE: Final = "NOTES"
OTHER_STORE: Final = "TASKS"
NOON: Final = datetime(2024, 2, 29, 12, tzinfo=UTC)

MOMENTS: Final = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1582, 10, 10, 3, 4, 5, 6000, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 0, 0, 1000, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, 500000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
]

_MANY = 32
_LENGTH = 500

# Ids of one row are different ids: backends confuse them that fold case, trim, normalise, match
# patterns, quote, or join ids with a separator.
IDS: Final = {
    "quotes": ["it's", 'it"s', "it`s", "it''s"],
    "separators": ["a", "a#b", "a/b", "a:b", "a|b", "a\\b", "a.b", "a,b", "#", "/", "..", "a#1"],
    "patterns": ["a%", "a_", "a*", "a?", "%", "_", "ab"],
    "escapes": ["a%20b", "a b", "a+b", "a&b", "{a}", "$a", ":a", "--", ";"],
    "spaces": ["x", "x ", " x", "x  ", "x\t", "x\n", " "],
    "case": ["straße", "STRASSE", "strasse", "Strasse", "Straße"],
    "accents": ["e\u0301", "\u00e9", "e", "\u00c9"],
    "emoji": ["\U0001f600", "\U0001f601", "\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"],
    "numbers": ["1", "01", "1.0", "1e0", "0x1", "null", "true"],
    "long": ["l" * 999, "l" * 1000, "l" * 999 + "m"],
}

JSON_SAMPLES: Final[dict[str, dict[str, JSONValue]]] = {
    "constants": {"null": None, "true": True, "false": False},
    "integers": {
        "zero": 0,
        "one": 1,
        "negative": -1,
        "beyond 2**53": 2**53 + 1,
        "beyond 64 bits": -(2**64) - 1,
        "38 digits": 12345678901234567890123456789012345678,
        "60 digits": 10**60 + 1,
    },
    "floats": {
        "fraction": 0.1,
        "sum of fractions": 0.1 + 0.2,
        "integral": 1.0,
        "zero": 0.0,
        "negative zero": -0.0,
        "integral beyond 2**53": 1e22,
        "least": 5e-324,
        "greatest": 1.7976931348623157e308,
    },
    "texts": {
        "empty": "",
        "NUL": "a\x00b",
        "control characters": "\x01\x1f\x7f\u2028",
        "escapes": 'a"b\\c/d\n\r\t',
        "markup": "<script>&amp;'%s {0} \\u0041",
        "astral": "\U0001f600\U0010ffff",
        "composed and decomposed": "\u00e9e\u0301",
        "right to left": "\u202eabc\u05d0",
        "surrounded by spaces": "  a  ",
        "a number": "1.0",
        "null": "null",
        "a date": "2024-02-29T12:00:00.000Z",
        "long": "x" * 50_000,
    },
    "containers": {
        "empty list": [],
        "empty object": {},
        "nested nulls": {"a": None, "b": [None, [None], {"c": None}]},
        "nested empties": [[], {}, [[]], [{}], {"": {}}],
        "mixed list": [True, 1, 1.5, "1", None, False, 0],
        "lookalikes": [[1, True, 1.0], [0, False, 0.0, "", None, [], {}]],
        "empty key": {"": "", " ": 1},
        "keys of other case": {"a": 1, "A": 2},
        "odd keys": {"a.b": 1, "$a": 2, "#": 3, "a b": 4, "__class__": 5, "\U0001f600": 6, "\0": 7},
        "tags of wire formats": {"N": "1", "S": {"NULL": True}, "$date": 0, "__absent__": True},
        "deep": {"a": [{"b": [{"c": [{"d": [{"e": [1]}]}]}]}]},
    },
}

json_values: Final[st.SearchStrategy[JSONValue]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([value for samples in JSON_SAMPLES.values() for value in samples.values()]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def make_record(
    aggregate_id: str = "a1",
    version: int = 1,
    payload: JSONValue | Absent = ABSENT,
    metadata: JSONValue | Absent = ABSENT,
    *,
    timestamp: datetime = NOON,
) -> EventRecord:
    """Return an event to push."""
    return EventRecord(aggregate_id, version, "NOTED", timestamp, payload, metadata)


def make_records(aggregate_id: str, count: int, *, first_version: int = 1) -> list[EventRecord]:
    """Return successive events of an aggregate."""
    return [
        make_record(aggregate_id, version, {"number": version}, timestamp=moment(version))
        for version in range(first_version, first_version + count)
    ]


def moment(milliseconds: int) -> datetime:
    """Return a moment so long after noon."""
    return NOON + timedelta(milliseconds=milliseconds)


def make_long_values() -> list[dict[str, Any]]:
    """Return many values that take a while to encode, for a test that changes them meanwhile."""
    return [{"numbers": [each, *range(_LENGTH)], "names": {"a": each}} for each in range(_MANY)]


def exact(value: JSONValue | Absent) -> object:
    """Return a form of a JSON value whose equality tells types apart.

    ``True``, ``1`` and ``1.0`` are equal in Python, as are ``0.0`` and ``-0.0``. The order of the
    keys of an object means nothing.
    """
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return f"{type(value).__name__} {value!r}"


def map_numbers(
    value: JSONValue | Absent, change: Callable[[int | float], JSONValue]
) -> JSONValue | Absent:
    """Return a JSON value with all of its numbers changed."""
    if isinstance(value, dict):
        items = {key: map_numbers(item, change) for key, item in value.items()}
        return cast("dict[str, JSONValue]", items)
    if isinstance(value, list):
        return cast("list[JSONValue]", [map_numbers(item, change) for item in value])
    if type(value) is int or type(value) is float:
        return change(value)
    return value


def find_texts(value: JSONValue | Absent) -> list[str]:
    """Return all the texts and keys of a JSON value."""
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in find_texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in find_texts(item)]
    return [value] if isinstance(value, str) else []


def find_numbers(value: JSONValue | Absent) -> list[int | float]:
    """Return all the numbers of a JSON value."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in find_numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in find_numbers(item)]
    return [value] if type(value) is int or type(value) is float else []
