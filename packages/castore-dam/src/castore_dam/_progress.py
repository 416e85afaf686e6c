"""How far a long operation has come."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

Phase: TypeAlias = Literal[
    "scanning", "pouring", "migrating", "verifying", "exporting", "importing", "checking"
]


class Progress(NamedTuple):
    """How far an operation has come.

    Attributes:
        phase: the part of the operation that runs.
        done: how many events, or aggregates, it is through with, also in earlier runs.
        total: how many there are, where that is known.
    """

    phase: Phase
    done: int
    total: int | None = None


ProgressHook: TypeAlias = Callable[[Progress], None]
"""Is told of progress after each batch. An error that it raises ends the operation."""


def report_nothing(progress: Progress) -> None:
    """Be the hook of an operation that has none."""
    del progress
