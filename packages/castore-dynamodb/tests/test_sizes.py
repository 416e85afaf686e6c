"""Sizes are counted as DynamoDB counts them."""

import pytest

from castore_core import JSONValue
from castore_dynamodb._marshal import marshal
from castore_dynamodb._sizes import get_item_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("", 0),
        ("milk", 4),
        ("\u00e9", 2),
        ("\U0001f600", 4),
        (True, 1),
        (None, 1),
        (0, 1),
        (7, 2),
        (-7, 2),
        (1234, 3),
        (12345, 4),
        (1_000_000, 2),
        (0.0001, 2),
        (1.25, 3),
        (5e-100, 2),
        ([], 3),
        (["a"], 5),
        ({}, 3),
        ({"ab": "c"}, 7),
        ({"ab": [None]}, 3 + 1 + 2 + 3 + 1 + 1),
    ],
)
def test_size_of_a_value(value: JSONValue, size: int) -> None:
    """Text is UTF-8, two digits are a byte, and containers have overhead."""
    assert len("name") + size == get_item_size({"name": marshal(value)})


def test_size_of_an_item() -> None:
    """Names count too, in UTF-8."""
    assert 2 + 1 + 1 + 2 == get_item_size({"\u00e9": {"S": "a"}, "b": {"N": "12"}})
