"""Numbers that EventBridge does not take: PutEvents documents integers of 64 bits."""

import re
from typing import Final, TypeAlias

from castore_core import JSONValue

_MANY_DIGITS: Final = re.compile(r"\d{19}")
_GREATEST_PLAIN: Final = 1e21  # from here on, JavaScript writes a float with an exponent

_Place: TypeAlias = tuple[str, JSONValue]


def check_numbers(body: JSONValue, text: str) -> None:
    """Refuse integers that do not fit into 64 bits; ``text`` is the body as JSON.

    A float with an integral value is written as an integer, and is one.

    Raises:
        ValueError: it says where such a number is, and not which one it is.
    """
    if not _MANY_DIGITS.search(text):
        return
    pending: list[_Place] = [("", body)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{path}.{key}", each) for key, each in value.items()]
        elif isinstance(value, list):
            pending += [(f"{path}[{index}]", each) for index, each in enumerate(value)]
        elif isinstance(value, (int, float)) and not _fits(value):
            raise ValueError(
                f"{path.removeprefix('.'):.200} is an integer of more than 64 bits, and "
                f"EventBridge takes none"
            )


def _fits(number: float) -> bool:
    is_integer = isinstance(number, int) or (number.is_integer() and abs(number) < _GREATEST_PLAIN)
    return not is_integer or -(2**63) <= number < 2**63
