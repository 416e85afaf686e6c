"""The command `castore`: read and maintain event stores from a terminal.

Packages add commands to it: plain functions, sync or async, that use what is here. See the page
about the command in the documentation.
"""

from castore_cli._addresses import Address
from castore_cli._app import main, run_command
from castore_cli._exit_codes import ExitCode
from castore_cli._finding import open_object, open_objects, open_store, open_stores
from castore_cli._limits import Limit
from castore_cli._moments import Moment
from castore_cli._progress import Progress
from castore_cli._terminal import Terminal
from castore_cli._texts import Row
from castore_cli.errors import CommandError, UsageError

__all__ = [
    "Address",
    "CommandError",
    "ExitCode",
    "Limit",
    "Moment",
    "Progress",
    "Row",
    "Terminal",
    "UsageError",
    "main",
    "open_object",
    "open_objects",
    "open_store",
    "open_stores",
    "run_command",
]
