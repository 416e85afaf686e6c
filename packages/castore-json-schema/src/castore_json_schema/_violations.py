"""Violations: where a value does not fit its schema, and why."""

from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_REASON: Final = 200
"""How many characters of a reason are kept: it may quote the value, which may be large."""


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


def format_path(root: str, steps: Iterable[str | int]) -> str:
    """Return the path from ``root`` along keys and indexes."""
    return root + "".join(_format_step(each) for each in steps)


def shorten(reason: str) -> str:
    """Cut the middle out of a long reason: it ends with what was expected of the value."""
    if len(reason) <= MAX_REASON:
        return reason
    kept = MAX_REASON // 2 - 2
    return f"{reason[:kept]} ... {reason[-kept:]}"


def join(violations: Iterable[Violation]) -> str:
    """Return all of them as one line."""
    return "; ".join(str(each) for each in violations)


def _format_step(step: str | int) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step!r}]"
