"""The command `castore`, as a process and within the one of the tests."""

import json
import os
import subprocess
import sys
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
