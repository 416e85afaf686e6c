"""The errors of this package, which are of castore's tree.

    CastoreError
    ├── InvalidEventError (ValueError)
    │   └── InvalidEventDataError              payload or metadata does not fit its schema
    ├── InvalidCommandInputError (ValueError)  the input of a command does not fit its schema
    ├── InvalidCommandOutputError              what a handler returned does not fit its schema
    └── InvalidSchemaError (ValueError)        a schema is broken

All of them have every violation; their text tells the first ten.
"""

from collections.abc import Sequence

from castore_core import CastoreError, InvalidEventError
from castore_json_schema._violations import Violation, join

__all__ = [
    "InvalidCommandInputError",
    "InvalidCommandOutputError",
    "InvalidEventDataError",
    "InvalidSchemaError",
]


class InvalidEventDataError(InvalidEventError):
    """The payload or the metadata of an event does not fit its schema.

    ``field`` names the first that does not. On reading it is the cause of an `EventDecodeError`.
    """

    def __init__(self, event_type: str, violations: Sequence[Violation]) -> None:
        CastoreError.__init__(self, event_type, violations)
        self.event_type = event_type
        self.violations: tuple[Violation, ...] = tuple(violations)
        self.field = "metadata" if self.violations[0].path.startswith("metadata") else "payload"
        self.reason: str = f"does not fit its schema: {join(self.violations)}"


class InvalidCommandInputError(CastoreError, ValueError):
    """The input of a command does not fit its schema. The handler did not run."""

    def __init__(self, command_id: str, violations: Sequence[Violation]) -> None:
        super().__init__(command_id, violations)
        self.command_id = command_id
        self.violations: tuple[Violation, ...] = tuple(violations)

    def __str__(self) -> str:
        return (
            f"input of command {self.command_id!r} does not fit its schema: {join(self.violations)}"
        )


class InvalidCommandOutputError(CastoreError):
    """What a handler returned does not fit its schema. What the handler pushed is written."""

    def __init__(self, command_id: str, violations: Sequence[Violation]) -> None:
        super().__init__(command_id, violations)
        self.command_id = command_id
        self.violations: tuple[Violation, ...] = tuple(violations)

    def __str__(self) -> str:
        return (
            f"output of command {self.command_id!r} does not fit its schema: "
            f"{join(self.violations)}"
        )


class InvalidSchemaError(CastoreError, ValueError):
    """A schema is broken. ``owner`` is the class, the command or the URI that it belongs to."""

    def __init__(self, owner: str, violations: Sequence[Violation]) -> None:
        super().__init__(owner, violations)
        self.owner = owner
        self.violations: tuple[Violation, ...] = tuple(violations)

    def __str__(self) -> str:
        return f"schema of {self.owner} is broken: {join(self.violations)}"
