"""JSON values as DynamoDB's attribute values, and back.

The types of JSON are few, so this is several times faster than boto3's serializers, and no
`Decimal` appears: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

from castore_core import JSONValue, format_float

AttributeValue: TypeAlias = dict[str, Any]
"""A value as the low-level API has it: ``{"N": "1"}``."""

_MAX_DEPTH: Final = 32
_MAX_DIGITS: Final = 38
_LEAST: Final = 1e-130
_MAX_LENGTH: Final = 126  # with the zeros at its end
_ALWAYS_HELD = 10**_MAX_DIGITS  # exclusive


class NotHeldError(ValueError):
    """A value that DynamoDB does not hold as it is."""


def marshal(value: JSONValue, levels: int = _MAX_DEPTH) -> AttributeValue:
    """Return the attribute value of a JSON value, as Castore writes it.

    Raises:
        NotHeldError: a number has more digits than DynamoDB holds, or is too great or too small,
            or lists and objects are more than ``levels`` deep.
    """
    kind = type(value)
    if kind is str:
        return {"S": value}
    if levels == 0 and kind in {dict, list}:
        raise NotHeldError(f"its lists and objects are more than {_MAX_DEPTH} deep")
    rest = levels - 1
    if kind is dict:
        items = cast("dict[str, JSONValue]", value).items()
        # A string costs no call: it is what there is most of.
        return {
            "M": {k: {"S": item} if type(item) is str else marshal(item, rest) for k, item in items}
        }
    if kind is list:
        return {"L": [marshal(item, rest) for item in cast("list[JSONValue]", value)]}
    if kind is bool:
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    return {"N": write_number(cast("int | float", value))}


def unmarshal(attribute: Mapping[str, Any]) -> JSONValue:
    """Return the JSON value of an attribute value.

    Values that JSON does not have, but other writers may have stored, are read as the nearest JSON
    value: a set as a list, bytes as text in Base64.
    """
    # Reading is the hot path, so what there is most of comes first, and costs no call.
    if "S" in attribute:
        return cast("str", attribute["S"])
    if "M" in attribute:
        return {
            key: item["S"]
            if "S" in item
            else read_number(item["N"])
            if "N" in item
            else unmarshal(item)
            for key, item in attribute["M"].items()
        }
    if "N" in attribute:
        return read_number(attribute["N"])
    if "L" in attribute:
        return [
            item["S"] if "S" in item else read_number(item["N"]) if "N" in item else unmarshal(item)
            for item in attribute["L"]
        ]
    if "BOOL" in attribute:
        return cast("bool", attribute["BOOL"])
    return _read_rare(attribute)


def write_number(number: float) -> str:
    """Write an integer, or a float as JavaScript would; one with an integral value as integer.

    Raises:
        NotHeldError: DynamoDB does not hold it exactly.
    """
    if type(number) is float:
        if not number.is_integer():
            return _write_fraction(number)
        number = int(number)
    if not -_ALWAYS_HELD < number < _ALWAYS_HELD:
        _check_great(cast("int", number))
    return str(number)


def read_number(text: str) -> int | float:
    """Read an integral number as `int`, whatever its size, and any other as `float`."""
    if text.isdigit():
        return int(text)
    number = float(text)
    if number.is_integer():  # -2, 2.0 and 1E+30 are; 9007199254740993.5 only seems to be
        exact = Decimal(text)
        if exact == exact.to_integral_value():
            return int(exact)
    return number


def _check_great(number: int) -> None:
    digits = str(abs(number))
    significant = len(digits.rstrip("0"))
    if significant > _MAX_DIGITS:
        raise NotHeldError(
            f"a number has {significant} digits, and DynamoDB holds {_MAX_DIGITS} at most"
        )
    if len(digits) > _MAX_LENGTH:  # no float, to write it shorter, reaches as far as an int
        raise NotHeldError(
            f"a number has {len(digits)} digits, and those of DynamoDB at most {_MAX_LENGTH}"
        )


def _write_fraction(number: float) -> str:
    if abs(number) < _LEAST:
        raise NotHeldError("a number is less than 1E-130, the least of DynamoDB")
    return format_float(number)


def _read_rare(attribute: Mapping[str, Any]) -> JSONValue:
    match attribute:
        case {"NULL": _}:
            return None
        case {"B": value}:
            return _read_bytes(value)
        case {"SS": texts}:
            return list(texts)
        case {"NS": numbers}:
            return [read_number(each) for each in numbers]
        case {"BS": values}:
            return [_read_bytes(each) for each in values]
        case _:
            raise ValueError(f"not an attribute value of DynamoDB: {attribute!r}")


def _read_bytes(value: bytes | str) -> str:
    return value if isinstance(value, str) else b64encode(value).decode()  # text in Lambda
