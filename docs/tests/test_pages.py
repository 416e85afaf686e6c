"""Run the code of each page, from top to bottom.

The ``python`` blocks of a page are one session, as in ``python -m asyncio``: names stay, and
``await`` needs no function around it. A block without it runs outside of the event loop. A ``text``
block is what the block before it prints.
"""

import ast
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from inspect import isawaitable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

DOCS = Path(__file__).parent.parent
PAGES = [page for page in sorted(DOCS.glob("*.md")) if "```python" in page.read_text()]
SERVERS = {
    "ministack": "http://127.0.0.1:4611",
    "postgres": "@127.0.0.1:4613/castore",
    "redis": "port=4616",
}


class Session:
    """The namespace, the event loop, and the last output of a page."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.output = ""
        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        self._runner = runner

    def run(self, example: Example) -> None:
        """Run a ``python`` block."""
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        code = compile(source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        with redirect_stdout(StringIO()) as output:
            result = eval(code, self._namespace)  # noqa: S307 the code is the page's
            if isawaitable(result):
                self._runner.run(_wait_for(result))
        self.output = output.getvalue()

    def compare(self, example: Example) -> None:
        """Compare a ``text`` block with what was printed."""
        assert example.parsed == self.output, f"{example.path}:{example.line}"


async def _wait_for(result: Awaitable[object]) -> None:
    await result


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("in_tmp_path")
def test_page(page: Path, find_server: Callable[[str], str]) -> None:
    """Each block runs, and prints what the page says."""
    for server, place in SERVERS.items():
        if place in page.read_text():
            find_server(server)
    with asyncio.Runner() as runner:
        session = Session(runner)
        parsers = CodeBlockParser("python", session.run), CodeBlockParser("text", session.compare)
        for example in Document.parse(str(page), *parsers).examples():
            example.evaluate()
