"""How far a long operation has come."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

Phase: TypeAlias = Literal[
    "scanning",
    "pouring",
    "migrating",
    "verifying",
    "exporting",
    "importing",
    "checking",
    "loading",
]
"""The parts of operations, in which `Progress` counts events unless something else is said:

- ``scanning``, before a pour: all events are read, to sort them;
- ``pouring``: the messages that the channel took, or would take, in a dry run;
- ``migrating``: the events of the source that were carried, or dropped;
- ``verifying``: the events of the source that were compared, or those of an archive that were
  checked, as before an import;
- ``exporting`` and ``importing``: the events of the archive;
- ``checking``: the events of the store;
- ``loading``, in a check with the reducer: the aggregates that were loaded.
"""


class Progress(NamedTuple):
    """How far an operation has come.

    Attributes:
        phase: the part of the operation that runs: see `Phase`.
        done: how many it is through with, those of earlier runs of a checkpoint included.
        total: how many there are, where that is known, as it is of ``pouring`` stores and of
            ``importing``.
    """

    phase: Phase
    done: int
    total: int | None = None


ProgressHook: TypeAlias = Callable[[Progress], None]
"""Is told of progress after each batch. An error that it raises ends the operation."""


def report_nothing(progress: Progress) -> None:
    """Be the hook of an operation that has none."""
    del progress
