"""Pages show sources as they are: the forge shows pages as they are, and includes nothing."""

import re
from collections.abc import Iterator
from importlib import import_module
from inspect import cleandoc, getdoc
from pathlib import Path

import pytest

from castore_core import errors

BASES = {"CastoreError", "DamError", "ProjectionError"}
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


def _find_errors() -> Iterator[str]:
    for path in sorted((DOCS.parent / "packages").glob("*/src/castore_*")):
        package = import_module(path.name)
        for name in package.__all__:
            value = getattr(package, name)
            if isinstance(value, type) and issubclass(value, Exception):
                yield name


@pytest.mark.parametrize("error", sorted({*_find_errors()} - BASES))
def test_an_error_has_advice(error: str) -> None:
    """Each public error has a row that says what to do; the bases need none."""
    assert re.search(rf"^\|[^|]*`{error}`", (DOCS / "errors.md").read_text(), re.MULTILINE)
