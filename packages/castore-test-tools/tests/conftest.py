"""Adapters that break one rule each, and the pytest in which the suites run on them.

A module ``test_broken_*`` holds adapters whose attribute ``caught_by`` is the test that is meant
for the rule. All of these tests run in one pytest of their own, without a configuration file, so
in the strict mode of pytest-asyncio, beside the whole suites on adapters that are sound.
"""

import subprocess
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemorySnapshotStorageAdapter,
)
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventLogTests,
    EventStorageAdapterTests,
    SnapshotStorageAdapterTests,
)

HERE = Path(__file__).parent
SUITES = (
    EventStorageAdapterTests,
    EventLogTests,
    SnapshotStorageAdapterTests,
    BookmarkStorageAdapterTests,
)
SOUND = {
    EventStorageAdapterTests: InMemoryEventStorageAdapter,
    EventLogTests: InMemoryEventStorageAdapter,
    SnapshotStorageAdapterTests: InMemorySnapshotStorageAdapter,
    BookmarkStorageAdapterTests: InMemoryBookmarkStorageAdapter,
}
INNER = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("outer", {path!r})
outer = module_from_spec(spec)
spec.loader.exec_module(outer)
globals().update(outer.make_suites())
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each broken adapter of its module."""
    if "broken" in metafunc.fixturenames:
        found = find_broken(vars(sys.modules[metafunc.function.__module__]))
        metafunc.parametrize("broken", found, ids=[each.__name__ for each in found])


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Run the suites, and return, by adapter, what each test failed with: "" where it passed."""
    folder = tmp_path_factory.mktemp("inner")
    inner = folder / "test_inner.py"
    inner.write_text(INNER.format(path=__file__))
    tests = [
        f"{inner}::Test{each.__name__}::{vars(each)['caught_by'].__name__}" for each in find_all()
    ]
    suites = [f"{inner}::TestSound{each.__name__}" for each in SUITES]
    report = folder / "report.xml"
    options = [
        *("-W", "error"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        *("-p", "no:cacheprovider"),
        f"--junitxml={report}",
    ]
    command = [sys.executable, "-m", "pytest", *options, *tests, *suites]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert 1 == run.returncode, run.stdout + run.stderr
    return read_failures(report)


def read_failures(report: Path) -> dict[str, list[str]]:
    """Read the report of a pytest."""
    failures: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 our own
        error = case.find("error")
        assert error is None, error.text
        failure = case.find("failure")
        name = case.attrib["classname"].rpartition(".Test")[2]
        failures.setdefault(name, []).append("" if failure is None else failure.get("message", ""))
    return failures


def make_suites() -> dict[str, type[object]]:
    """Return the suites that the inner pytest collects."""
    suites: dict[str, tuple[type[object], type[object]]]
    suites = {f"TestSound{each.__name__}": (each, SOUND[each]) for each in SUITES}
    for adapter in find_all():
        name = vars(adapter)["caught_by"].__name__
        (suite,) = [each for each in SUITES if hasattr(each, name)]
        suites[f"Test{adapter.__name__}"] = (suite, adapter)
    return {name: make_suite(name, *each) for name, each in suites.items()}


def make_suite(name: str, suite: type[object], adapter_class: type[object]) -> type[object]:
    """Return a suite for an adapter."""

    @pytest.fixture
    def adapter(_: object) -> object:
        return adapter_class()

    return type(name, (suite,), {"adapter": adapter})


def find_all() -> list[type[object]]:
    """Return the broken adapters of all modules."""
    return [each for path in sorted(HERE.glob("test_broken_*.py")) for each in find_in(path)]


def find_in(path: Path) -> list[type[object]]:
    """Return the broken adapters of a file."""
    spec = spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return find_broken(vars(module))


def find_broken(names: Mapping[str, object]) -> list[type[object]]:
    """Return the broken adapters of a module."""
    return [each for each in names.values() if isinstance(each, type) and "caught_by" in vars(each)]
