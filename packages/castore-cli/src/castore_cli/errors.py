"""Errors of commands: each is shown as one line.

CommandError (Exception)     the command failed: exit code 1
└── UsageError               it was called wrongly, and nothing was done: exit code 2
"""

from typing import ClassVar

from castore_cli._exit_codes import ExitCode

__all__ = ["CommandError", "UsageError"]


class CommandError(Exception):
    """The command failed, for a reason that its text tells the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class UsageError(CommandError):
    """The command was called in a wrong way, and did nothing."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE
