"""The error of this package; those of values that do not fit are the core's."""

from collections.abc import Sequence

from castore_core import CastoreError, Violation, join_violations

__all__ = ["InvalidSchemaError"]


class InvalidSchemaError(CastoreError, ValueError):
    """A schema is broken. ``owner`` is the class, the command or the URI that it belongs to."""

    def __init__(self, owner: str, violations: Sequence[Violation]) -> None:
        super().__init__(owner, violations)
        self.owner = owner
        self.violations: tuple[Violation, ...] = tuple(violations)

    def __str__(self) -> str:
        return f"schema of {self.owner} is broken: {join_violations(self.violations)}"
