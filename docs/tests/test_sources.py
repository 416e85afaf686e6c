"""Pages show sources as they are: the forge shows pages as they are, and includes nothing."""

import re
from inspect import cleandoc, getdoc
from pathlib import Path

import pytest

from castore_core import errors

DOCS = Path(__file__).parent.parent
SHOWN = re.findall(
    r"<!-- source: (\S+) -->\n```py\n(.*?)```", (DOCS / "adapters.md").read_text(), re.DOTALL
)


def test_all_sources_are_found() -> None:
    """Two adapters and their tests."""
    assert 4 == len(SHOWN)


@pytest.mark.parametrize(("path", "shown"), SHOWN, ids=[path for path, _ in SHOWN])
def test_source(path: str, shown: str) -> None:
    """A page has the whole file. After a change, copy the file to the page."""
    assert (DOCS / path).read_text() == shown


def test_tree_of_errors() -> None:
    """The page has the tree of the module's docstring."""
    [shown] = re.findall(
        r"```text\n(CastoreError\n.*?)\n```", (DOCS / "errors.md").read_text(), re.DOTALL
    )
    tree = (getdoc(errors) or "").split("\n\n")[1]
    assert cleandoc(tree) == cleandoc(shown)
