"""How large an item is, as DynamoDB counts.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Mapping
from typing import Any, Final

from castore_aws import count_bytes

MAX_ITEM_SIZE: Final = 400 * 1024
"""Bytes."""

MAX_KEY_SIZE: Final = 2048
"""Bytes, of a partition key."""

_CONTAINER = 3
_ELEMENT = 1


def get_item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item in bytes; of numbers AWS itself gives an approximation only."""
    return sum(count_bytes(name) + _get_size(attribute) for name, attribute in item.items())


def _get_size(attribute: Mapping[str, Any]) -> int:
    if "S" in attribute:
        return count_bytes(attribute["S"])
    if "N" in attribute:
        return 1 + (_count_digits(attribute["N"]) + 1) // 2
    if "M" in attribute:
        items = attribute["M"]
        return _CONTAINER + len(items) * _ELEMENT + get_item_size(items)
    if "L" in attribute:
        return _CONTAINER + sum(_ELEMENT + _get_size(each) for each in attribute["L"])
    return 1  # BOOL and NULL


def _count_digits(number: str) -> int:
    mantissa = number.lstrip("-").partition("e")[0]
    if "." not in mantissa:
        mantissa = mantissa.rstrip("0")
    return len(mantissa.replace(".", "").lstrip("0"))
