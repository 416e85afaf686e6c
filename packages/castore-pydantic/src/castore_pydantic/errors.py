"""The errors of this package, which are of castore's tree.

    CastoreError
    ├── InvalidEventError (ValueError)
    │   └── InvalidEventDataError              payload or metadata is not valid
    ├── InvalidCommandInputError (ValueError)  the input of a command is not valid
    └── InvalidCommandOutputError              what a handler returned is not valid

Where pydantic found the fault, its ``ValidationError`` is the ``__cause__``.
"""

from collections.abc import Iterable

from castore_core import CastoreError, InvalidEventError
from castore_pydantic._violations import Violation, join

__all__ = ["InvalidCommandInputError", "InvalidCommandOutputError", "InvalidEventDataError"]


class InvalidEventDataError(InvalidEventError):
    """The payload or the metadata of an event is not valid, or cannot be stored.

    ``field`` names it. Nothing was written.
    """

    def __init__(self, event_type: str, field: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        CastoreError.__init__(self, event_type, field, self.violations)
        self.event_type = event_type
        self.field = field
        self.reason: str = f"is not valid: {join(self.violations)}"


class InvalidCommandInputError(CastoreError, ValueError):
    """The input of a command is not valid. The handler did not run."""

    def __init__(self, command_id: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        super().__init__(command_id, self.violations)
        self.command_id = command_id

    def __str__(self) -> str:
        return f"input of command {self.command_id!r} is not valid: {join(self.violations)}"


class InvalidCommandOutputError(CastoreError):
    """What a handler returned is not valid. What the handler pushed is written."""

    def __init__(self, command_id: str, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        super().__init__(command_id, self.violations)
        self.command_id = command_id

    def __str__(self) -> str:
        return (
            f"output of command {self.command_id!r} is not valid, but what the command pushed is "
            f"written: {join(self.violations)}"
        )
