"""JSON values become attribute values, and come back."""

from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from castore_core import JSONValue
from castore_dynamodb._marshal import NotHeldError, marshal, read_number, unmarshal, write_number

fractions = st.floats(1e-130, 1e38, exclude_max=True) | st.floats(-1e38, -1e-130, exclude_min=True)
integers = st.integers(-(10**38) + 1, 10**38 - 1)
values = st.recursive(
    st.none() | st.booleans() | st.text() | integers | fractions,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


SAMPLES: list[tuple[JSONValue, dict[str, Any]]] = [
    ("milk", {"S": "milk"}),
    ("", {"S": ""}),
    (7, {"N": "7"}),
    (True, {"BOOL": True}),
    (False, {"BOOL": False}),
    (None, {"NULL": True}),
    ([], {"L": []}),
    ({}, {"M": {}}),
    ([1, None, {"b": []}], {"L": [{"N": "1"}, {"NULL": True}, {"M": {"b": {"L": []}}}]}),
    ({"": {"N": "1"}}, {"M": {"": {"M": {"N": {"S": "1"}}}}}),
]


@pytest.mark.parametrize(("value", "attribute"), SAMPLES)
def test_values_of_each_type(value: JSONValue, attribute: dict[str, Any]) -> None:
    """Each type of JSON has one of DynamoDB, and back."""
    assert attribute == marshal(value)
    assert value == unmarshal(attribute)


@given(values)
def test_any_value_comes_back(value: JSONValue) -> None:
    """A value is equal to what is read, and only floats with an integral value change type."""
    read = unmarshal(marshal(value))

    assert value == read
    assert repr(_to_read(value)) == repr(read)


@given(values)
def test_boto3_reads_what_we_write(value: JSONValue) -> None:
    """boto3's own deserializer knows every attribute value."""
    read: Any = TypeDeserializer().deserialize(marshal(value))  # type: ignore[arg-type]

    assert unmarshal(marshal(value)) == unmarshal(TypeSerializer().serialize(read))


def test_keys_keep_their_order() -> None:
    """An object is read with its keys as they were."""
    assert ["b", "a", "c"] == list(marshal({"b": 1, "a": 2, "c": 3})["M"])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (2.0, "2"),
        (-2.0, "-2"),
        (1e22, "10000000000000000000000"),
        (0.5, "0.5"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (1e-05, "0.00001"),
        (-1.5e-06, "-0.0000015"),
        (1e-07, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (5e-100, "5e-100"),
        (2**53 + 1, "9007199254740993"),
        (-(10**38) + 1, "-" + "9" * 38),
        (10**125, "1" + "0" * 125),
        (12 * 10**60, "12" + "0" * 60),
    ],
)
def test_numbers_as_javascript_writes_them(number: float, text: str) -> None:
    """Floats too, and those with an integral value as integers."""
    assert text == write_number(number)
    assert number == read_number(text)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (10**38 + 1, "a number has 39 digits"),
        (-(10**40) - 1, "has 41 digits"),
        (10**126, "has 127 digits, and those of DynamoDB at most 126"),
        (-(10**400), "has 401 digits"),
        (1e300, "has .* digits"),
        (1.7976931348623157e308, "digits"),
        (1e-131, "a number is less than 1E-130"),
        (5e-324, "a number is less"),
    ],
)
def test_numbers_that_dynamodb_does_not_hold(number: float, reason: str) -> None:
    """They are refused, rather than rounded."""
    with pytest.raises(NotHeldError, match=reason):
        marshal([{"deep": number}])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.0", 2),
        ("1E+30", 10**30),
        ("1e+30", 10**30),
        ("-7", -7),
        ("9007199254740993", 2**53 + 1),
        ("9007199254740993.5", 9007199254740993.5),
        ("0.1234567890123456789012345678901234567", 0.12345678901234568),
        ("1E-100", 1e-100),
        ("-0.25", -0.25),
    ],
)
def test_numbers_of_other_writers(text: str, number: float) -> None:
    """What is integral is an int, exactly, however it is written; the rest is the nearest float."""
    read = read_number(text)

    assert (type(number), number) == (type(read), read)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ({"SS": ["a", "b"]}, ["a", "b"]),
        ({"NS": ["1", "2.5"]}, [1, 2.5]),
        ({"B": b"\x00\x01\xff"}, "AAH/"),
        ({"B": "AAH/"}, "AAH/"),
        ({"BS": [b"a", b"b"]}, ["YQ==", "Yg=="]),
    ],
)
def test_what_json_does_not_have(attribute: dict[str, Any], value: JSONValue) -> None:
    """A set is read as a list, and bytes as Base64, as in the JSON of a stream."""
    assert value == unmarshal(attribute)
    assert {"a": [value]} == unmarshal({"M": {"a": {"L": [attribute]}}})


@pytest.mark.parametrize("attribute", [{}, {"X": "1"}])
def test_what_is_no_attribute_value(attribute: dict[str, Any]) -> None:
    """It is an error, and never a value."""
    with pytest.raises(ValueError, match="not an attribute value"):
        unmarshal(attribute)


def _to_read(value: JSONValue) -> JSONValue:
    match value:
        case dict():
            return {key: _to_read(item) for key, item in value.items()}
        case list():
            return [_to_read(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
