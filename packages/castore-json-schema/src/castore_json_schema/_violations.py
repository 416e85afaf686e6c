"""Violations: where a value does not fit its schema, and why."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import jsonschema_rs

MAX_REASON: Final = 200
"""How many characters of a reason are kept: it may quote the value, which may be large."""


MAX_TOLD: Final = 10
"""How many violations a text tells: a long list may have one for each of its items."""


class Violation(NamedTuple):
    """A place of a value that does not fit its schema.

    ``path`` begins with the name of what was validated: ``payload.moves[0].name``. A key that is
    no Python identifier is quoted: ``payload['first name']``. What is missing is a violation of
    the object that misses it.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


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


def format_path(name: str, steps: Iterable[str | int]) -> str:
    """Return the path from ``name`` along keys and indexes."""
    return name + "".join(_format_step(each) for each in steps)


def shorten(reason: str) -> str:
    """Cut the middle out of a long reason: it ends with what was expected of the value."""
    if len(reason) <= MAX_REASON:
        return reason
    kept = (MAX_REASON - len(" ... ")) // 2
    return f"{reason[:kept]} ... {reason[-kept:]}"


def join(violations: Sequence[Violation]) -> str:
    """Return the first of them as one line, and the number of the others."""
    texts = [str(each) for each in violations[:MAX_TOLD]]
    if len(violations) > MAX_TOLD:
        texts.append(f"and {len(violations) - MAX_TOLD} more")
    return "; ".join(texts)


def _parse_pointer(pointer: str, value: Any) -> Iterator[str | int]:
    """Yield the keys and indexes of a JSON pointer (RFC 6901) into a value."""
    for token in pointer.split("/")[1:]:
        is_key = isinstance(value, dict)
        step = token.replace("~1", "/").replace("~0", "~") if is_key else int(token)
        value = value[step]
        yield step


def _format_step(step: str | int) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step!r}]"
