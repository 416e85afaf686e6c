"""The packages of the workspace agree with each other and with its rules."""

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)


def project(package: Path) -> dict[str, Any]:
    """Return the `[project]` table of a package."""
    return tomllib.loads((package / "pyproject.toml").read_text())["project"]


def requirements(package: Path) -> list[str]:
    """Return all requirements of a package, those of its extras too."""
    table = project(package)
    extras = table.get("optional-dependencies", {})
    return [*table.get("dependencies", []), *(line for extra in extras.values() for line in extra)]


def imported_names(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports from other packages."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                yield from (f"{module}.{alias.name}" for alias in aliases)
            case _:
                pass


def public_objects() -> list[Any]:
    """Return a parameter for each name of each package's `__all__`."""
    modules = [importlib.import_module(package.name.replace("-", "_")) for package in PACKAGES]
    return [
        pytest.param(module.__name__, name, id=f"{module.__name__}.{name}")
        for module in modules
        for name in module.__all__
    ]


@each_package
def test_versions_are_in_lockstep(package: Path) -> None:
    """Every package has the version of the workspace, and pins its siblings to it."""
    pins = [line for line in requirements(package) if line.startswith("castore-")]

    assert VERSION == project(package)["version"]
    assert [f"{pin.split('==')[0]}=={VERSION}" for pin in pins] == pins


@each_package
def test_package_is_complete(package: Path) -> None:
    """Every package has its name, the licence, a README and the marker of typed packages."""
    name = project(package)["name"]

    assert package.name == name
    assert (ROOT / "LICENSE").read_text() == (package / "LICENSE").read_text()
    assert not (package / "LICENSE").is_symlink()
    assert (package / "README.md").read_text().startswith(f"# {name}\n")
    assert (package / "src" / name.replace("-", "_") / "py.typed").exists()


@each_package
def test_private_modules_stay_at_home(package: Path) -> None:
    """No package, nor its tests, imports a private module or name of a sibling."""
    own = package.name.replace("-", "_")
    names = [name for path in package.glob("**/*.py") for name in imported_names(path)]

    assert [] == [
        name
        for name in names
        if name.startswith("castore_") and not name.startswith(f"{own}.") and "._" in name
    ]


@each_package
def test_all_is_sorted(package: Path) -> None:
    """`__all__` is sorted and names nothing twice."""
    module = importlib.import_module(package.name.replace("-", "_"))

    assert sorted(set(module.__all__)) == list(module.__all__)


@pytest.mark.parametrize(("module_name", "name"), public_objects())
def test_public_object_is_documented(module_name: str, name: str) -> None:
    """Every public name resolves; a class or function has a docstring and its source.

    Notebooks show the source for ``EventStore??``. A name of ours for texts, such as
    `LogPosition`, is left to its own docstring. Packages with a worker show the reports that
    workers share.
    """
    value = getattr(importlib.import_module(module_name), name)

    if value is not str and (inspect.isclass(value) or inspect.isfunction(value)):
        assert value.__module__.startswith((module_name, "castore_core._workers."))
        assert value.__name__ in inspect.getsource(value)
        # Without a docstring, dataclasses and named tuples get their signature for one.
        assert not (value.__doc__ or f"{name}(").startswith(f"{name}(")


def test_lock_file_names_only_the_public_index() -> None:
    """No index of somebody's environment got into uv.lock."""
    lock = (ROOT / "uv.lock").read_text()

    assert {"https://pypi.org/simple"} == set(re.findall(r'registry = "([^"]*)"', lock))
    assert {"https://files.pythonhosted.org"} == set(re.findall(r'url = "(\w+://[^/]*)', lock))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Copy what set_version.py rewrites, beside a `uv` that only records how it was called."""
    for folder in [ROOT, *PACKAGES]:
        copy = tmp_path / folder.relative_to(ROOT)
        copy.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "pyproject.toml", copy)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "set_version.py", tmp_path / "scripts")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text('#!/bin/sh\nenv | grep ^UV_ > calls\necho "$@" >> calls\n')
    uv.chmod(0o755)
    return tmp_path


def set_version(workspace: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run set_version.py on the copy."""
    return subprocess.run(
        [sys.executable, workspace / "scripts" / "set_version.py", version],
        env={"PATH": f"{workspace}/bin{os.pathsep}{os.environ['PATH']}", "UV_INDEX": "private"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_set_version_rewrites_versions_and_pins_and_locks(workspace: Path) -> None:
    """set_version.py changes versions and pins of siblings, and refreshes the lock."""
    result = set_version(workspace, "12.0.0rc1")

    assert 0 == result.returncode, result.stderr
    assert "lock\n" == (workspace / "calls").read_text()
    assert "12.0.0rc1" == project(workspace)["version"]
    for package in PACKAGES:
        copy = workspace / package.relative_to(ROOT)
        assert "12.0.0rc1" == project(copy)["version"]
        assert [
            re.sub(r"^(castore-.*)==.*", r"\1==12.0.0rc1", line) for line in requirements(package)
        ] == requirements(copy)


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3-rc1", "1.2.3\n", "latest"])
def test_set_version_refuses_a_bad_version(workspace: Path, version: str) -> None:
    """A version that is not X.Y.Z changes nothing."""
    result = set_version(workspace, version)

    assert 1 == result.returncode
    assert "X.Y.Z" in result.stderr
    assert VERSION == project(workspace)["version"]
