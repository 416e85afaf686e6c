"""What all tests share: READMEs are run, and a skip can be made a failure."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

REQUIRE_SERVERS = os.environ.get("CASTORE_REQUIRE_SERVERS") == "1"

settings.register_profile("castore", deadline=None)  # a busy machine is no failure
settings.load_profile("castore")

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    filenames=["README.md"],
    fixtures=["in_tmp_path"],
).pytest()


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an example write files."""
    monkeypatch.chdir(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test, unless it is marked `may_skip` with a reason."""
    report = yield
    may_skip = any(marker.args for marker in item.iter_markers("may_skip"))
    if report.skipped and not hasattr(report, "wasxfail") and not may_skip:
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that skips itself as a whole."""
    report = yield
    if report.skipped:
        refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a skip a failure, where CASTORE_REQUIRE_SERVERS=1."""
    if REQUIRE_SERVERS:
        report.outcome = "failed"
        report.longrepr = f"CASTORE_REQUIRE_SERVERS=1 and the test was skipped: {report.longrepr}"
