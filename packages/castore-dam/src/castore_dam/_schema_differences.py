"""Differences of two schemas, and whether each side still reads the events of the other."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple, Self, TypeAlias

from castore_dam._schema_documents import Schema

ChangeKind: TypeAlias = Literal[
    "event store added",
    "event store removed",
    "event type added",
    "event type removed",
    "optional field added",
    "optional field removed",
    "required field added",
    "required field removed",
    "field made optional",
    "field made required",
    "fields opened",
    "fields closed",
    "type widened",
    "type narrowed",
    "type changed",
    "value added",
    "value removed",
    "alternative added",
    "alternative removed",
    "rule added",
    "rule removed",
    "rule loosened",
    "rule tightened",
    "rule changed",
    "unknown",
]
"""The kinds of changes; nothing can be said of an ``unknown`` one."""

Path: TypeAlias = tuple[str, ...]


Direction: TypeAlias = Literal["backward", "forward"]

EACH: Final = "*"
"""Stands in a path for each item of an array, or each field that a schema does not name."""


class Difference(NamedTuple):
    """One change within an event.

    Attributes:
        path: the steps from the event to the place of the change.
        kind: the kind of change.
        reason: describes the change for people.
        backward: whether the new schema still reads what the old one writes.
        forward: whether the old schema still reads what the new one writes.
    """

    path: Path
    kind: ChangeKind
    reason: str
    backward: bool
    forward: bool

    @classmethod
    def unknown(cls, path: Path, reason: str) -> Self:
        """Return a change of which nothing can be said, and so nothing can be promised."""
        return cls(path, "unknown", reason, backward=False, forward=False)


Compare: TypeAlias = Callable[[Schema, Schema, Path], Iterable[Difference]]
"""Yields the differences of an old and a new schema, which are at a place."""


def allow_all(differences: Iterable[Difference], direction: Direction) -> bool:
    """Tell whether all that one side writes is read by the other in spite of differences."""
    return all(getattr(each, direction) for each in differences)


def keep_written(
    differences: Iterable[Difference], *, backward: bool, forward: bool
) -> Iterator[Difference]:
    """Yield the differences that matter.

    Args:
        differences: the differences of two schemas.
        backward: whether the old side writes values of its schema at all.
        forward: whether the new side does.
    """
    for each in differences:
        masked = each._replace(
            backward=each.backward or not backward, forward=each.forward or not forward
        )
        if masked == each or not (masked.backward and masked.forward):
            yield masked
