"""The guide for authors of adapters, followed to the letter in an environment of wheels only."""

import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventLogTests,
    EventStorageAdapterTests,
    MessageChannelAdapterTests,
    SnapshotStorageAdapterTests,
)

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adapters.md"
PACKAGES = ("castore-core", "castore-in-memory", "castore-test-tools")
SUITES = (
    EventStorageAdapterTests,
    EventLogTests,
    SnapshotStorageAdapterTests,
    BookmarkStorageAdapterTests,
    MessageChannelAdapterTests,
)

pytestmark = pytest.mark.may_skip("uv builds the wheels and the environment")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that knows nothing of the workspace."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT"):
        env.pop(name, None)
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def read_commands(text: str) -> list[list[str]]:
    """Return the commands of the page, in their order."""
    return [line[2:].split() for line in re.findall(r"^\$ .*", text, re.MULTILINE)]


def save_files(text: str, folder: Path) -> list[str]:
    """Save the files that the page shows under the names that it says, and return these."""
    shown = r"`(\w+\.py)`[^\n]*:\n\n<!-- source: \S+ -->\n```py\n(.*?)```"
    found = re.findall(shown, text, re.DOTALL)
    for name, source in found:
        (folder / name).write_text(source)
    return [name for name, _ in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that has the files of the page, and the packages that it installs."""
    if shutil.which("uv") is None:
        pytest.skip("there is no uv")
    folder, wheels = (tmp_path_factory.mktemp(name) for name in ("guide", "wheels"))
    build = ("uv", "build", "--quiet", "--wheel", "--no-sources", "--out-dir", wheels)
    for package in PACKAGES:
        assert_success(run(*build, ROOT / "packages" / package, cwd=wheels))
    assert_success(run("uv", "venv", "--python", sys.executable, folder / ".venv", cwd=folder))
    text = PAGE.read_text()
    (install,) = [each for each in read_commands(text) if each[0] == "pip"]
    packages = ("--python", folder / ".venv", "--find-links", wheels, *install[2:])
    assert_success(run("uv", "pip", "install", *packages, cwd=folder))
    assert 4 == len(save_files(text, folder))
    (configuration,) = re.findall(r":caption: pytest.ini\n(.*?)```", text, re.DOTALL)
    (folder / "pytest.ini").write_text(configuration)
    return folder


def assert_success(done: subprocess.CompletedProcess[str]) -> None:
    """Show what a program said, if it failed."""
    assert 0 == done.returncode, done.stdout + done.stderr


def run_pytest(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the tests of the directory, where no path leads to the workspace."""
    python = folder / ".venv" / "bin" / "python"
    path = run(python, "-c", "import sys; print(*sys.path)", cwd=folder)
    assert str(ROOT) not in path.stdout
    return run(python, "-m", *command, cwd=folder)


def test_the_suites_pass(folder: Path) -> None:
    """The adapters of the page keep the contract, in an environment that has only the wheels."""
    _, suite, _ = read_commands(PAGE.read_text())
    done = run_pytest(folder, suite)
    assert_success(done)
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 150
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_a_failure_reads_as_the_page_says(folder: Path, tmp_path: Path) -> None:
    """The adapter that was broken on purpose is told the rule and both values."""
    text = PAGE.read_text()
    _, _, suite = read_commands(text)
    broken = shutil.copytree(folder, tmp_path / "broken", symlinks=True)
    adapter = broken / "json_lines.py"
    code = adapter.read_text()
    adapter.write_text(code.replace("for each in versions[:limit]]", "for each in versions]"))
    assert code != adapter.read_text()
    done = run_pytest(broken, [*suite[:2], "-k", "first_events"])
    assert 1 == done.returncode, done.stdout + done.stderr
    (shown,) = re.findall(r"^\$ pytest .*first_events\"\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    printed = [line.strip() for line in done.stdout.splitlines()]
    assert [] == [line for line in shown.splitlines() if line.strip() not in printed]


def test_the_project_of_the_page_builds(folder: Path, tmp_path: Path) -> None:
    """The pyproject.toml of the page makes a wheel that has the adapter and needs the core."""
    (content,) = re.findall(r":caption: pyproject.toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(content)
    package = tmp_path / "src" / "castore_somedb"
    package.mkdir(parents=True)
    shutil.copy(folder / "json_lines.py", package / "__init__.py")
    assert_success(run("uv", "build", "--wheel", cwd=tmp_path))
    assert ["castore_somedb-0.1.0-py3-none-any.whl"] == [
        each.name for each in (tmp_path / "dist").glob("*.whl")
    ]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    major, minor, _ = version.split(".")
    assert f'"castore-core>={major}.{minor},<{major}.{int(minor) + 1}"' in content


def test_the_page_names_all_that_can_be_declared() -> None:
    """Each attribute and fixture of the suites is explained."""
    names = {
        name
        for suite in SUITES
        for base in suite.__mro__
        for name in inspect.get_annotations(base)
        if not name.startswith("_")
    }
    page = PAGE.read_text()
    assert {"connect_again", "join_transaction", "keeps_order", "wakes_waiting_readers"} < names
    assert [] == sorted(name for name in names if f"`{name}`" not in page)
