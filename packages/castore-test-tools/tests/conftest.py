"""Adapters that break a rule of the contract, and the pytest in which the suites run on them.

The package ``broken`` has the adapters, and the list of rules. All of them run in one pytest of
their own, without a configuration file, so in the strict mode of pytest-asyncio, beside the whole
suites on adapters that are sound.
"""

import os
import subprocess
import sys
from fcntl import LOCK_EX, flock
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventLogTests,
    EventStorageAdapterTests,
    SnapshotStorageAdapterTests,
)

HERE = Path(__file__).parent
INNER = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("outer", {path!r})
outer = module_from_spec(spec)
spec.loader.exec_module(outer)
globals().update(outer.make_suites())
"""


def load_broken() -> ModuleType:
    """Import the package of broken adapters, which is on no path."""
    name = "castore_test_tools_broken"
    if name not in sys.modules:
        spec = spec_from_file_location(name, HERE / "broken" / "__init__.py")
        assert spec
        assert spec.loader
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


broken: Any = load_broken()

# What keeps all rules, of the suites whose adapters declare nothing.
PLAIN: dict[type[object], type[object]] = {
    EventStorageAdapterTests: broken.loops.ThreadSafeEvents,
    EventLogTests: broken.loops.ThreadSafeEvents,
    SnapshotStorageAdapterTests: broken.loops.ThreadSafeSnapshots,
    BookmarkStorageAdapterTests: broken.loops.ThreadSafeBookmarks,
}


ADAPTER_METHODS = ("push_event", "read_events", "put_snapshot", "get_bookmark", "publish_message")
BROKEN_PATIENCE = 0.5  # seconds, for what never comes


class Rule(NamedTuple):
    """A test of a suite, and an adapter that it must catch."""

    suite: type[object]
    test: str
    adapter: type[object]

    @property
    def name(self) -> str:
        """The name of the suite on the adapter, without ``Test``."""
        return f"{self.adapter.__name__}In{self.suite.__name__}"


RULES = [
    Rule(suite, test, adapter)
    for suite, rules in broken.RULES.items()
    for test, adapters in rules.items()
    for adapter in adapters
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each rule, or each suite on a sound adapter."""
    if "rule" in metafunc.fixturenames:
        ids = [f"{each.adapter.__name__}-{each.test}" for each in RULES]
        metafunc.parametrize("rule", RULES, ids=ids)
    if "sound" in metafunc.fixturenames:
        metafunc.parametrize("sound", make_sound_suites())


@pytest.fixture(scope="session")
def rules() -> dict[type[object], dict[str, list[type[object]]]]:
    """Return the adapters that each test of each suite must catch."""
    return broken.RULES


@pytest.fixture(scope="session")
def broken_adapters() -> set[type[object]]:
    """Return the adapters that were written to break a rule: those that no other is made from."""
    names = load_broken().__dict__
    modules = [each for each in names.values() if isinstance(each, ModuleType)]
    written = {
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__
    }
    adapters = {each for each in written if any(hasattr(each, name) for name in ADAPTER_METHODS)}
    servers = {broken.remote.EventServer, broken.remote_others.BookmarkServer}
    sound = {*PLAIN.values(), *(each.adapter_class for each in broken.DECLARING)} | servers
    return adapters - sound - {base for each in written for base in each.__bases__}


@pytest.fixture(scope="session")
def not_broken() -> dict[str, str]:
    """Return the tests that no adapter breaks, with the reasons."""
    return broken.NOT_BROKEN


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[str]]:
    """Run the suites, and return what each test failed with: "" where it passed.

    The keys are the name of the suite, without ``Test``, and that of the test.
    """
    is_alone = "PYTEST_XDIST_WORKER" not in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base if is_alone else base.parent) / "inner"
    folder.mkdir(exist_ok=True)
    report = folder / "report.xml"
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)  # one worker of pytest-xdist runs it for all
        if not report.exists():
            run_inner(folder, report)
    return read_failures(report)


def run_inner(folder: Path, report: Path) -> None:
    """Run the suites in a pytest of their own."""
    inner = folder / "test_inner.py"
    inner.write_text(INNER.format(path=__file__))
    tests = [f"{inner}::Test{each.name}::{each.test}" for each in RULES]
    suites = [f"{inner}::{name}" for name in make_sound_suites()]
    options = [
        *("-W", "error"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        *("-p", "no:cacheprovider"),
        "--hypothesis-seed=0",
        f"--junitxml={report}",
    ]
    command = [sys.executable, "-m", "pytest", *options, *tests, *suites]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert 1 == run.returncode, run.stdout + run.stderr


def read_failures(report: Path) -> dict[tuple[str, str], list[str]]:
    """Read the report of a pytest."""
    failures: dict[tuple[str, str], list[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 our own
        error = case.find("error")
        assert error is None, error.text
        failure = case.find("failure")
        place = case.attrib["classname"].rpartition(".Test")[2], case.attrib["name"].split("[")[0]
        failures.setdefault(place, []).append("" if failure is None else failure.get("message", ""))
    return failures


def make_suites() -> dict[str, type[object]]:
    """Return the suites that the inner pytest collects."""
    return make_sound_suites() | {
        f"Test{each.name}": make_suite(
            f"Test{each.name}", each.suite, each.adapter, BROKEN_PATIENCE
        )
        for each in RULES
    }


def make_sound_suites() -> dict[str, type[object]]:
    """Return the suites of adapters that keep all rules."""
    plain = {f"TestSound{each.__name__}": each for each in PLAIN}
    declaring = {f"TestSound{each.__name__}": each for each in broken.DECLARING}
    return {name: make_suite(name, each, PLAIN[each]) for name, each in plain.items()} | {
        name: make_suite(name, each, each.adapter_class) for name, each in declaring.items()
    }


def make_suite(
    name: str, suite: Any, adapter_class: type[object], patience: float = 10
) -> type[object]:
    """Return a suite for an adapter: the one that declares what it can do, if there is one."""
    options = {
        "_patience": patience,
        "time_limit": getattr(adapter_class, "time_limit_of_suite", suite.time_limit),
    }
    for each in broken.DECLARING:
        if issubclass(adapter_class, each.adapter_class) and issubclass(each, suite):
            return type(name, (each,), {"adapter_class": adapter_class, **options})

    @pytest.fixture
    def adapter(_: object) -> object:
        return adapter_class()

    return type(name, (suite,), {"adapter": adapter, **options})
