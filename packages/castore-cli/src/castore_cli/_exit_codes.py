"""How the command ends."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the command. A command returns one, or nothing for `OK`."""

    OK = 0
    """All went well. A reader that closed the pipe, such as ``head``, is no error."""

    FAILED = 1
    """Something failed; the last line on stderr says what."""

    USAGE = 2
    """The command line is wrong, or a confirmation is missing. Nothing was done."""

    FOUND = 3
    """A check has found what it looks for: differences, damage, breaking changes."""

    INTERRUPTED = 130
    """Ctrl-C ended it. The work was cancelled, and has cleaned up."""

    TERMINATED = 143
    """A SIGTERM ended it, as cleanly as Ctrl-C does."""
