"""The plugin as pytest loads it, and the package as Python does."""

import subprocess
import sys

import pytest

import castore_test_tools

pytest_plugins = ["pytester"]

DEFINITIONS = """
from dataclasses import dataclass
import pytest
from castore_core import AggregateCommands, Event, EventStore
from castore_test_tools import given

class Counted(Event, type="COUNTED"):
    payload: int = 1

@dataclass(frozen=True)
class Counter:
    aggregate_id: str
    version: int

def count(counter, event):
    return Counter(event.aggregate_id, event.version)

counters = EventStore("COUNTERS", event_types=[Counted], reduce=count)
counted = Counted(aggregate_id="c", version=1)
"""


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    """Run a file of tests."""
    pytester.makepyfile(DEFINITIONS + tests)
    defaults = ["-o", "asyncio_default_fixture_loop_scope=function", "-o", "asyncio_mode=auto"]
    return pytester.runpytest_inprocess(*defaults, *options)


# Scenarios that nobody awaited


def test_a_scenario_that_nobody_awaited_fails_its_test(pytester: pytest.Pytester) -> None:
    """The test that made it fails, and the one after it does not."""
    result = run(
        pytester,
        """
async def test_forgetful():
    given(counters, [counted]).then([])

async def test_mindful():
    await given(counters, [counted]).then([])
""",
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*test_forgetful*", "given('COUNTERS', [[]Counted[]]).then(...) was never awaited"]
    )
    result.stdout.no_fnmatch_line("*RuntimeWarning*")


def test_each_scenario_that_nobody_awaited_is_named(pytester: pytest.Pytester) -> None:
    """A test may have forgotten several; those that it awaited are not named."""
    result = run(
        pytester,
        """
async def test_forgetful():
    first = given(counters)
    second = first.when(counted).then([])
    await first.then([])
    third = first.when(counted)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "given('COUNTERS', [[][]]).when(Counted).then(...) was never awaited",
            "given('COUNTERS', [[][]]).when(Counted) was never awaited",
        ],
        consecutive=True,
    )


def test_a_scenario_that_was_left_behind_fails_its_test(pytester: pytest.Pytester) -> None:
    """It was begun, as a task, and nobody waited for its end."""
    result = run(
        pytester,
        """
import asyncio

tasks = []

async def test_hasty():
    tasks.append(asyncio.ensure_future(given(counters, [counted]).when(counted).then([])))
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*.when(Counted).then(...) was never awaited"])


def test_a_test_that_failed_before_it_awaited_keeps_its_failure(
    pytester: pytest.Pytester,
) -> None:
    """The error of the test is the news."""
    result = run(
        pytester,
        """
async def test_failing():
    scenario = given(counters, [counted]).then([])
    raise LookupError("the news")
""",
        *("-W", "error"),
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*LookupError: the news"])
    result.stdout.no_fnmatch_line("*never awaited*")


def test_a_scenario_of_a_fixture(pytester: pytest.Pytester) -> None:
    """Tests may go on from a scenario that they share."""
    result = run(
        pytester,
        """
@pytest.fixture(scope="module")
def start():
    return given(counters, [counted])

@pytest.mark.parametrize("name", ["c", "d"])
async def test_going_on(start, name):
    event = Counted(aggregate_id=name, version=2 if name == "c" else 1)
    await start.when(event).then_aggregate(Counter(name, event.version))
""",
        *("-W", "error"),
    )
    result.assert_outcomes(passed=2)


def test_a_failure_of_a_scenario(pytester: pytest.Pytester) -> None:
    """It shows the test, the difference, and nothing of the package's own code."""
    result = run(
        pytester,
        """
async def test_counting():
    await given(counters).when(counted).then([Counted.draft(payload=2)])
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "> *await given(counters).when(counted).then(*",
            "E *AssertionError: the events that were pushed are not those that were expected *",
            "E *- Counted(payload=2)",
            "E *+ Counted(payload=1)",
        ]
    )
    result.stdout.no_fnmatch_line("*_comparison.py*")
    result.stdout.no_fnmatch_line("*__tracebackhide__*")


# Fixtures


def test_fixtures_are_offered(pytester: pytest.Pytester) -> None:
    """`pytest --fixtures` names them with what they do."""
    result = run(pytester, "", "--fixtures")
    result.stdout.fnmatch_lines(
        [
            "frozen_clock -- *",
            "*Stop the time of the events that a test makes, first at 2022-01-01T00:00:00Z.",
            "new_id -- *",
            "*Make ids that a test can foretell: ``new_id()`` is ``id-1``, and then ``id-2``.",
            "recorded_channel -- *",
            "*Give an adapter for a message channel that remembers what is published.",
        ]
    )


def test_fixtures_end_with_their_test(pytester: pytest.Pytester) -> None:
    """Time goes on after the test that stopped it, also where it failed."""
    result = run(
        pytester,
        """
from datetime import UTC, datetime, timedelta

async def test_stopped(frozen_clock, new_id):
    assert new_id() == "id-1"
    assert Counted(aggregate_id="c", version=1).timestamp == datetime(2022, 1, 1, tzinfo=UTC)
    raise LookupError

def test_going_on(new_id):
    assert new_id() == "id-1"
    now = Counted(aggregate_id="c", version=1).timestamp
    assert datetime.now(UTC) - now < timedelta(minutes=1)
""",
    )
    result.assert_outcomes(failed=1, passed=1)


# Imports


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a Python of its own."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=False
    )


def test_the_plugin_imports_little() -> None:
    """A pytest that does not use the package does not pay for it."""
    code = """
import sys, pytest
before = set(sys.modules)
import castore_test_tools.plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("_")))
"""
    result = run_python(code)
    assert "" == result.stderr
    heavy = ("hypothesis", "castore_core", "castore_in_memory", "asyncio", "contract")
    assert [] == [each for each in heavy if each in result.stdout]
    assert "castore_test_tools._unawaited" in result.stdout


def test_outside_pytest_a_forgotten_scenario_warns() -> None:
    """As a coroutine, a scenario that nobody awaited does nothing but warn."""
    code = """
    given(counters, [counted]).when(counted).then([])
    print("done")
"""
    result = run_python(DEFINITIONS + code.replace("    ", ""))
    assert "done\n" == result.stdout
    text = "given('COUNTERS', [Counted]).when(Counted).then(...) was never awaited"
    assert f"RuntimeWarning: {text}" in result.stderr


def test_asserts_are_rewritten() -> None:
    """Also outside of a test run, failures of scenarios tell what differs."""
    code = """
import asyncio
async def main():
    await given(counters).when(counted).then_aggregate(Counter("c", 2))
asyncio.run(main())
"""
    result = run_python(DEFINITIONS + code)
    assert "AssertionError: the aggregate 'c' is another one" in result.stderr


def test_all_names_are_imported_when_they_are_asked_for() -> None:
    """The package has its names, no others, and lists them."""
    for name in castore_test_tools.__all__:
        assert name == getattr(castore_test_tools, name).__name__
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        getattr(castore_test_tools, "nonsense")  # noqa: B009 checkers know that it is not there
    assert set(castore_test_tools.__all__) <= set(dir(castore_test_tools))
