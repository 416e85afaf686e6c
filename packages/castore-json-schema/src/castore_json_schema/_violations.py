"""Violations, made of the errors of the validator."""

from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from castore_core import Violation, format_path

MAX_REASON: Final = 200
"""How many characters of a reason are kept: it may quote a schema, which may be large."""


VALUE: Final = "the value"
"""Stands in a reason for a value, which may be secret."""

_ALLOWS_NOTHING: Final = jsonschema_rs.Draft202012Validator(False)
_QUOTES: Final = "False schema does not allow "
_PARTS: Final = {_QUOTES: VALUE, "Unevaluated items are not allowed": ""}
"""Reasons that quote a part of the value, and what they say instead."""


def find_violations(
    validator: jsonschema_rs.Validator, name: str, value: Any
) -> Iterator[tuple[Violation, Any]]:
    """Yield every place where a value does not fit, as a path from ``name``, with what is there.

    Raises:
        ValueError: the value is not made of what the validator knows.
    """
    for each in validator.evaluate(value).errors():
        steps, found = _follow(each["instanceLocation"], value)
        yield Violation(format_path(name, steps), each["error"]), found


def mask(reason: str, value: Any) -> str:
    """Return a reason that does not quote the value. The validator masks errors, not evaluations.

    Names of keys and parts of the schema are left.
    """
    for beginning, end in _PARTS.items():
        if reason.startswith(beginning):
            return beginning + end
    (error,) = _ALLOWS_NOTHING.evaluate(value).errors()
    quoted = error["error"].removeprefix(_QUOTES)
    if reason.startswith(f"{quoted} "):
        return VALUE + reason.removeprefix(quoted)
    if reason.endswith(f" {quoted}"):
        return reason.removesuffix(quoted) + VALUE
    return reason.replace(f" {quoted} ", f" {VALUE} ")


def shorten(reason: str) -> str:
    """Cut the middle out of a long reason: it ends with what was expected of the value."""
    if len(reason) <= MAX_REASON:
        return reason
    kept = (MAX_REASON - len(" ... ")) // 2
    return f"{reason[:kept]} ... {reason[-kept:]}"


def _follow(pointer: str, value: Any) -> tuple[list[str | int], Any]:
    """Return the keys and indexes of a JSON pointer (RFC 6901) into a value, and what is there."""
    steps: list[str | int] = []
    for token in pointer.split("/")[1:]:
        is_key = isinstance(value, dict)
        steps.append(token.replace("~1", "/").replace("~0", "~") if is_key else int(token))
        value = value[steps[-1]]
    return steps, value
