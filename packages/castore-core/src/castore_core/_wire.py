"""JSON text as JavaScript writes it, which is how messages travel."""

import json
from typing import cast

from castore_core._json import JSONValue

_GREATEST_PLAIN = 1e21  # from here on, and below 1e-6, JavaScript writes exponents
_LEAST_PLAIN_EXPONENT = -6
_LEAST_ALIKE = 1e-4  # from here on, Python and JavaScript write a fraction alike

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def format_json(value: JSONValue) -> str:
    """Write a JSON value as ``JSON.stringify`` does.

    There are no spaces, text is not escaped more than it needs to be, and numbers are as
    JavaScript has them: ``2.0`` is ``2``, and ``1e-07`` is ``1e-7``. Two things are kept that
    JavaScript does not keep: the order of keys that look like integers, and all digits of
    integers, those of a large float with an integral value too. It reads the same number.
    """
    return _format(value) if _has_odd_float(value) else _encode(value)


def format_float(number: float) -> str:
    """Write a finite number as JavaScript does.

    From 2**53 on, where JavaScript rounds what it writes, an integral value has all its digits:
    the integer that Python reads is equal to it.
    """
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


def _has_odd_float(value: JSONValue) -> bool:
    """Tell whether there is a number that Python would write otherwise: most values have none."""
    kind = type(value)
    if kind is dict:
        return any(map(_has_odd_float, cast("dict[str, JSONValue]", value).values()))
    if kind is list:
        return any(map(_has_odd_float, cast("list[JSONValue]", value)))
    if kind is float:
        number = cast("float", value)
        return number.is_integer() or -_LEAST_ALIKE < number < _LEAST_ALIKE
    return False


def _format(value: JSONValue) -> str:
    match value:
        case dict():
            items = [f"{_encode(key)}:{_format(item)}" for key, item in value.items()]
            return f"{{{','.join(items)}}}"
        case list():
            return f"[{','.join(map(_format, value))}]"
        case float():
            return format_float(value)
        case _:
            return _encode(value)
