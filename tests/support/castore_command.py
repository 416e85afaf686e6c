"""The command `castore`, as a process and within the one of the tests."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from castore_cli import run_command

SUPPORT = Path(__file__).parent
SECONDS = 60.0  # until a command that hangs fails its test


class CommandResult(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    output: str
    errors: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The objects that ``--json`` wrote, one in each line."""
        return [json.loads(line) for line in self.output.splitlines()]


def start_castore(*words: str, **environment: str) -> subprocess.Popen[str]:
    """Start the command without a terminal; it finds the modules of this directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "castore_cli", *words],
        env={**os.environ, "CASTORE_APP_DIR": str(SUPPORT), "COLUMNS": "100", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def run_castore(*words: str, **environment: str) -> CommandResult:
    """Run the command as a process, to its end."""
    with start_castore(*words, **environment) as process:
        output, errors = process.communicate(timeout=SECONDS)
    return CommandResult(process.returncode, output, errors)


def call_castore(
    capsys: pytest.CaptureFixture[str], *words: str, app_dir: Path = SUPPORT
) -> CommandResult:
    """Run the command within this process, outside of an event loop."""
    code = run_command(["--app-dir", str(app_dir), *words])
    captured = capsys.readouterr()
    return CommandResult(code, captured.out, captured.err)


def run_on_terminal(words: list[str], answer: str, **environment: str) -> tuple[int, str]:
    """Run the command on a terminal, type an answer to its question, and return what it shows."""
    defaults = {"CASTORE_APP_DIR": f"{SUPPORT}", "COLUMNS": "100", "TERM": "xterm-256color"}
    pid, descriptor = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update(defaults | environment)
        os.execv(sys.executable, [sys.executable, "-m", "castore_cli", *words])  # noqa: S606
    shown = b""
    end = time.monotonic() + SECONDS
    is_answered = not answer
    while time.monotonic() < end:
        if not select.select([descriptor], [], [], 1)[0]:
            continue
        try:
            read = os.read(descriptor, 4096)
        except OSError:  # of Linux, when the other end is closed
            break
        if not read:
            break
        shown += read
        if not is_answered and b"[y/N] " in shown:
            os.write(descriptor, answer.encode())
            is_answered = True
    _, status = os.waitpid(pid, 0)
    os.close(descriptor)
    return os.waitstatus_to_exitcode(status), shown.decode()
