"""What the validator found, as violations."""

from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from castore_core import Violation, format_path

MAX_REASON: Final = 200
"""How many characters of a reason are kept: it may quote the value, which may be large."""


def find_violations(
    validator: jsonschema_rs.Validator, name: str, value: Any
) -> tuple[Violation, ...]:
    """Return every place where a value does not fit, as paths that begin with ``name``.

    Raises:
        ValueError: the value is not made of what the validator knows.
    """
    return tuple(
        Violation(
            format_path(name, _parse_pointer(each["instanceLocation"], value)),
            shorten(each["error"]),
        )
        for each in validator.evaluate(value).errors()
    )


def shorten(reason: str) -> str:
    """Cut the middle out of a long reason: it ends with what was expected of the value."""
    if len(reason) <= MAX_REASON:
        return reason
    kept = (MAX_REASON - len(" ... ")) // 2
    return f"{reason[:kept]} ... {reason[-kept:]}"


def _parse_pointer(pointer: str, value: Any) -> Iterator[str | int]:
    """Yield the keys and indexes of a JSON pointer (RFC 6901) into a value."""
    for token in pointer.split("/")[1:]:
        is_key = isinstance(value, dict)
        step = token.replace("~1", "/").replace("~0", "~") if is_key else int(token)
        value = value[step]
        yield step
