"""What all tests share: READMEs are run, and a skip can be made a failure."""

import os
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

REQUIRE_SERVERS = os.environ.get("CASTORE_REQUIRE_SERVERS") == "1"

# Where scripts/services starts them, unless CASTORE_TEST_<NAME>_URL says otherwise.
SERVERS = {
    "moto": "http://127.0.0.1:4610",
    "ministack": "http://127.0.0.1:4611",
    "dynalite": "http://127.0.0.1:4612",
    "postgres": "postgresql://castore@127.0.0.1:4613/castore",
    "mariadb": "mysql://castore@127.0.0.1:4614/castore",
    "mysql": "mysql://castore@127.0.0.1:4615/castore",
    "redis": "redis://127.0.0.1:4616",
    "valkey": "redis://127.0.0.1:4617",
}

settings.register_profile("castore", deadline=None)  # a busy machine is no failure
settings.load_profile("castore")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's job in the background ignores Ctrl-C, and so would the programs of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    filenames=["README.md"],
    fixtures=["in_tmp_path"],
).pytest()


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an example write files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def find_server() -> Callable[[str], str]:
    """Give a function that returns the URL of a server, or skips the test where it is down."""

    def find(name: str) -> str:
        url = os.environ.get(f"CASTORE_TEST_{name.upper()}_URL", SERVERS[name])
        place = urlsplit(url)
        try:
            socket.create_connection((place.hostname, place.port), timeout=5).close()
        except OSError:
            pytest.skip(f"{name} does not answer at {url}: scripts/services start")
        return url

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line which servers were down, and how many tests that left out."""
    reports: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    reasons = [str(each.longrepr) for each in reports]
    skipped = {name: sum(f"{name} does not answer" in each for each in reasons) for name in SERVERS}
    down = [f"{name} ({count} tests)" for name, count in skipped.items() if count]
    if down:
        terminalreporter.write_line(
            f"left out, because these servers are down: {', '.join(down)}; scripts/services start"
        )


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
