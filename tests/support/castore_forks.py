"""A process that forks commands `castore`, so that they import the packages once for all.

Each line of stdin is a JSON list: the words of a command, and the file that takes all that it
shows. It is answered with the exit code.
"""

import json
import os
import sys
from importlib.metadata import entry_points

from castore_cli import run_command


def serve() -> None:
    """Run one command after the other."""
    for each in entry_points(group="castore.commands"):
        each.load()
    for line in sys.stdin:
        words, shown = json.loads(line)
        if (pid := os.fork()) == 0:
            _run(words, shown)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 to the test


def _run(words: list[str], shown: str) -> None:
    """Run a command in a forked process, and end that."""
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = run_command(words)
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
