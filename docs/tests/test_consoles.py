"""Run the ``console`` blocks of pages that write files, and compare what they show.

A block after ``<!-- file: NAME -->`` is written to a file. A line ``$ ...`` is run by a shell
in its directory; the lines that follow are its output and its errors. In them, ``...`` stands for
any text within the line.

A line that is a command `castore` alone is forked from a process that has imported the packages.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import pytest

DOCS = Path(__file__).parent.parent
FORKS = DOCS.parent / "tests/support/castore_forks.py"
PAGES = [page for page in sorted(DOCS.glob("*.md")) if "<!-- file: " in page.read_text()]
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ALONE = re.compile(r"castore (?P<words>[^;|<>$&]*)(?P<code>; echo \$\?)?")
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Command(NamedTuple):
    """A command of a page, and what the page says it shows."""

    line: str
    shown: str


def find_commands(page: Path) -> Iterator[Command]:
    """Yield the commands of a page, from top to bottom."""
    for block in _CONSOLE.findall(page.read_text()):
        for line, shown in _COMMAND.findall(block):
            yield Command(line, shown)


class Shell:
    """Runs commands in the current directory, where no terminal is."""

    def __init__(self, folder: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
        self._shown = folder / "shown"
        self._forks = subprocess.Popen(
            [sys.executable, FORKS],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forks.communicate()

    def run(self, line: str) -> str:
        """Run a command, and return all that it shows."""
        if match := _ALONE.fullmatch(line):
            return self._fork(shlex.split(match["words"]), shows_code=match["code"] is not None)
        return run(line, self._environment)

    def _fork(self, words: list[str], *, shows_code: bool) -> str:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(f"{json.dumps([words, str(self._shown)])}\n")
        self._forks.stdin.flush()
        code = self._forks.stdout.readline()
        return self._shown.read_text() + (code if shows_code else "")


def run(line: str, environment: dict[str, str]) -> str:
    """Run a command by a shell, and return all that it shows."""
    result = subprocess.run(
        ["/bin/bash", "-c", line],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout


def test_there_are_pages() -> None:
    """The page of the command is one of them."""
    assert "cli" in [page.stem for page in PAGES]


@pytest.mark.timeout(300)  # a page has many commands, and each is a process
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("in_tmp_path")
def test_page(page: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each command shows what the page says."""
    for name, source in _FILE.findall(page.read_text()):
        target = Path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source)
    commands = list(find_commands(page))
    assert commands
    with Shell(tmp_path_factory.mktemp("shell")) as shell:
        for command in commands:
            shown = shell.run(command.line)
            pattern = re.escape(command.shown).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, shown), f"$ {command.line}\n{shown}"
