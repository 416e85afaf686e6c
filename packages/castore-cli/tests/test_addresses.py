"""Addresses lead to the objects of a program."""

import sys
from pathlib import Path

import pytest

from castore_command import call_castore

BROKEN = {
    "raises.py": "raise ValueError('no database')\n",
    "exits.py": "raise SystemExit(3)\n",
    "needs.py": "import no_such_library\n",
    "typo.py": "def f(:\n",
}


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a directory with broken modules."""
    for name, source in BROKEN.items():
        tmp_path.joinpath(name).write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


@pytest.mark.parametrize(
    "attribute",
    ["returns", "container.returns", "named", "open_returns", "make_stores"],
)
def test_found(capsys: pytest.CaptureFixture[str], attribute: str) -> None:
    """A store, a mapping, a list, a function or context that gives them: all are found."""
    result = call_castore(capsys, "stores", f"lamp_shop:{attribute}", "--json")

    assert "RETURNS" == result.rows[-1]["eventStoreId"]


@pytest.mark.parametrize("attribute", ["open_orders", "generate_orders", "open_returns"])
def test_contexts_end(capsys: pytest.CaptureFixture[str], attribute: str) -> None:
    """A context is entered and left; what it prints is kept out of the results."""
    result = call_castore(capsys, "events", f"lamp_shop:{attribute}", "order-1", "--json")

    assert 0 == result.code
    assert "closed" not in result.output
    assert "closed\n" in result.errors


@pytest.mark.parametrize("attribute", ["open_orders", "generate_orders"])
def test_contexts_end_after_an_error(capsys: pytest.CaptureFixture[str], attribute: str) -> None:
    """A context is left after an error, too."""
    result = call_castore(capsys, "aggregate", f"lamp_shop:{attribute}", "nobody")

    assert 1 == result.code
    assert "closed\n" in result.errors


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        ("lamp_shop", 2, "'lamp_shop' names a module: name what is in it"),
        ("lamp_shop:", 2, "is no address: write module:attribute"),
        (":stores", 2, "is no address: write module:attribute"),
        ("./app/lamps.py:stores", 2, "names a file: name its module, as in 'app.lamps:stores'"),
        ("lamp_shop:return", 2, "'lamp_shop' has no attribute 'return': do you mean 'returns'"),
        ("lamp_shop:container.x", 2, "'lamp_shop:container' has no attribute 'x'"),
        ("no_such_module:x", 2, "there is no module 'no_such_module' in "),
        ("lamp_shop.inner:x", 2, "there is no module 'lamp_shop.inner'"),
        ("lamp_shop:nothing", 2, "is None: name an object of EventStore, or a list of them"),
        ("lamp_shop:none_at_all", 2, "is an empty list: name"),
        ("lamp_shop:mixed", 2, "has an object of str: name"),
        ("lamp_shop:Container", 2, "is the class Container: name"),
        ("lamp_shop:container", 2, "is an object of Container: name"),
        ("lamp_shop:with_argument", 2, "takes arguments"),
        ("raises:x", 1, "'raises' cannot be imported: ValueError: no database (raises.py, line 1)"),
        ("exits:x", 1, "'exits' cannot be imported: SystemExit: 3 (exits.py, line 1)"),
        ("needs:x", 1, "No module named 'no_such_library' (needs.py, line 1)"),
        ("typo:x", 1, "invalid syntax (typo.py, line 1)"),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], address: str, code: int, text: str) -> None:
    """A wrong address is refused in a line that says what is wrong; broken modules are failures."""
    result = call_castore(capsys, "stores", address)

    assert (code, "") == (result.code, result.output)
    assert text in result.errors
    assert result.errors.startswith("error: ")
    assert 1 == result.errors.count("\n")


def test_a_missing_directory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--app-dir has to be a directory."""
    result = call_castore(capsys, "stores", "x:y", app_dir=tmp_path / "nowhere")

    assert 2 == result.code
    assert "--app-dir: there is no directory" in result.errors


def test_the_path_is_restored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--app-dir counts during the command only."""
    tmp_path.joinpath("elsewhere").mkdir()
    before = list(sys.path)
    call_castore(capsys, "stores", "x:y", app_dir=tmp_path / "elsewhere")

    assert before == sys.path
