"""JSON text as JavaScript writes it, which is how messages travel."""

import json
from typing import Any, cast

from castore_core._json import JSONValue

_GREATEST_PLAIN = 1e21  # from here on, and below 1e-6, JavaScript writes exponents
_LEAST_PLAIN_EXPONENT = -6


def format_json(value: JSONValue) -> str:
    """Write a JSON value as ``JSON.stringify`` does.

    There are no spaces, text is not escaped more than it needs to be, and numbers are as
    JavaScript has them: ``2.0`` is ``2``, and ``1e-07`` is ``1e-7``. Integers keep all digits.
    """
    if _has_float(value):
        return _format(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def format_float(number: float) -> str:
    """Write a finite number as JavaScript does."""
    if number.is_integer() and abs(number) < _GREATEST_PLAIN:
        return str(int(number))
    mantissa, _, exponent_text = repr(number).partition("e")
    if not exponent_text:
        return mantissa
    exponent = int(exponent_text)
    if exponent >= _LEAST_PLAIN_EXPONENT and exponent < 0:
        fraction = mantissa.partition(".")[2]
        return f"{number:.{len(fraction) - exponent}f}"
    return f"{mantissa}e{exponent:+}"


def _has_float(value: JSONValue) -> bool:
    kind = type(value)
    if kind is dict:
        return any(map(_has_float, cast("dict[str, JSONValue]", value).values()))
    if kind is list:
        return any(map(_has_float, cast("list[JSONValue]", value)))
    return kind is float


def _format(value: JSONValue) -> str:
    match value:
        case dict():
            items = (f"{_dump(key)}:{_format(item)}" for key, item in value.items())
            return f"{{{','.join(items)}}}"
        case list():
            return f"[{','.join(map(_format, value))}]"
        case float():
            return format_float(value)
        case _:
            return _dump(value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
