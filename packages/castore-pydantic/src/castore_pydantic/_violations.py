"""Violations: where a value is not valid, and why."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pydantic import ValidationError

_MOST: Final = 10
"""How many of them a text tells: a long list may have one for each of its items."""


class Violation(NamedTuple):
    """A place of a value that is not valid.

    ``path`` begins with the name of what was validated: ``payload.moves[0].name``. A key that is
    no Python identifier is quoted: ``payload['first name']``. ``type`` is pydantic's name of the
    fault, such as ``missing`` or ``int_parsing``.
    """

    path: str
    reason: str
    type: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def find_violations(error: ValueError, root: str) -> list[Violation]:
    """Return what pydantic found, without the values: they may be secret.

    An error of the serializer is one violation, of the root.
    """
    if not isinstance(error, ValidationError):
        reason = re.sub(r"input_value=.*?, (?=input_type=)", "", str(error), flags=re.DOTALL)
        return [Violation(root, " ".join(reason.split()), "serialization")]
    return [
        Violation(root + _format_path(each["loc"]), each["msg"], each["type"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def join(violations: Sequence[Violation]) -> str:
    """Return the first of them as one line, and the number of the others."""
    texts = [str(each) for each in violations[:_MOST]]
    if len(violations) > _MOST:
        texts.append(f"and {len(violations) - _MOST} more")
    return "; ".join(texts)


def describe(error: ValueError, root: str) -> str:
    """Return what pydantic found as one line."""
    return join(find_violations(error, root))


def _format_path(steps: Iterable[int | str]) -> str:
    return "".join(_format_step(each) for each in steps)


def _format_step(step: int | str) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step!r}]"
