"""Violations: where a value is not valid, and why, whichever validator found it."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_MOST: Final = 10
"""How many violations a text tells: a long list may have one for each of its items."""


class Violation(NamedTuple):
    """A place of a value that is not valid.

    ``path`` begins with the name of what was validated: ``payload.moves[0].name``. A key that is
    no Python identifier is quoted: ``payload['first name']``. ``code`` is the validator's own name
    of the fault, where it has one.
    """

    path: str
    reason: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def format_path(name: str, steps: Iterable[str | int]) -> str:
    """Return the path from ``name`` along keys and indexes, as a `Violation` has it."""
    return name + "".join(_format_step(each) for each in steps)


def join_violations(violations: Sequence[Violation]) -> str:
    """Return the first ten as one line, and the number of the others."""
    texts = [str(each) for each in violations[:_MOST]]
    if len(violations) > _MOST:
        texts.append(f"and {len(violations) - _MOST} more")
    return "; ".join(texts)


def _format_step(step: str | int) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step!r}]"
