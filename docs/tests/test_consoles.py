"""Run the ``console`` blocks of pages that write files, and compare what they show.

A block after ``<!-- file: NAME -->`` is written to a file. A line ``$ ...`` is run by a shell
in its directory; the lines that follow are its output and its errors. In them, ``...`` stands for
any text within the line.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parent.parent
PAGES = [page for page in sorted(DOCS.glob("*.md")) if "<!-- file: " in page.read_text()]
_FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
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


def run(line: str) -> str:
    """Run a command where no terminal is, and return all that it shows."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["/bin/bash", "-c", line],
        env={**os.environ, "PATH": path, "COLUMNS": "80"},
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
def test_page(page: Path) -> None:
    """Each command shows what the page says."""
    for name, source in _FILE.findall(page.read_text()):
        target = Path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source)
    commands = list(find_commands(page))
    assert commands
    for command in commands:
        shown = run(command.line)
        pattern = re.escape(command.shown).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, shown), f"$ {command.line}\n{shown}"
