"""A plugin of pytest for WebAssembly, where Python has no threads, processes and sockets.

It has an event loop that needs none, and leaves out the tests that do.
"""

import asyncio
import signal
import time
from collections import Counter
from fnmatch import fnmatchcase
from typing import Final

import pytest

FEWEST_TESTS: Final = 1500

# By reason, the patterns of the ids of tests that are left out.
LEFT_OUT: Final = {
    "it starts a thread": [
        "*::test_*_in_another_event_loop",
        "*::test_one_event_loop_after_the_other",
        "*::test_the_clock_holds_in_all_tasks_and_threads",
        "*::test_two_loops_at_once_are_refused",
        "*::test_validator_is_built_at_the_first_use_and_once",
        "*::test_pushes_of_several_event_loops",
        "*::test_event_loops_of_other_threads_keep_the_order",
        "*/test_snapshot_jobs.py::test_several_event_loops",
        "*::test_threads_of_asyncio_have_the_values",
        "*::test_threads_of_yours_are_given_the_values",
        "*/test_sync_event_loop.py::*",
        "*/test_sync_facades.py::*",
    ],
    "it starts a process": [
        "*::test_a_broken_adapter_is_caught[[]*",
        "*::test_a_sound_adapter_passes[[]*",
        "*::test_a_failure_shows_its_values",
        "*::test_the_plugin_imports_little",
        "*::test_outside_pytest_a_forgotten_scenario_warns",
        "*::test_asserts_are_rewritten",
        "*::test_a_long_id_is_named",
        "*::test_what_is_told_apart[[]*",
        "*::test_what_cannot_be_told_apart[[]*",
        "*::test_an_import_that_fails",
        "*::test_a_computed_version_is_used",
        "*::test_a_source_that_changed_after_it_was_loaded",
        "*/test_snapshot_jobs.py::test_a_forked_process",
        "*/test_sync_processes.py::*",
    ],
    "its limit does not fit into 32 bits": ["*::test_options[[]great-limit]"],
    "the stack of JavaScript ends before that of Python": ["*::test_nesting_has_an_end"],
    "no JSON is nested too deeply there": ["*::test_malformed_body[[]*nested too deeply*"],
}
counts: Counter[str] = Counter()  # of tests that were left out, by reason


class TimerLoop(asyncio.BaseEventLoop):
    """An event loop that runs tasks and timers, and waits for nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self

    def select(self, timeout: float | None) -> list[object]:
        """Sleep until the next timer."""
        if timeout is None:
            raise RuntimeError("every task waits, and nothing can wake one")
        time.sleep(max(timeout, 0))
        return []

    def _process_events(self, events: list[object]) -> None: ...

    def _write_to_self(self) -> None: ...


def _set_no_timer(*_: object) -> tuple[float, float]:
    return 0.0, 0.0


def pytest_configure() -> None:
    """Replace Pyodide's event loop, which runs in JavaScript, and the alarm that it lacks."""
    asyncio.events._set_running_loop(None)
    signal.setitimer = _set_no_timer
    asyncio.new_event_loop = asyncio.events.new_event_loop = TimerLoop


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run, and refuse a list that is out of date."""
    left_out: list[pytest.Item] = []
    for reason, patterns in LEFT_OUT.items():
        for pattern in patterns:
            found = [each for each in items if fnmatchcase(each.nodeid, pattern)]
            if not found:
                raise pytest.UsageError(f"scripts/pyodide_plugin.py: no test is like {pattern!r}")
            counts[reason] += len(found)
            left_out += found
    items[:] = [each for each in items if each not in left_out]
    if len(items) < FEWEST_TESTS:
        raise pytest.UsageError(f"only {len(items)} tests were found")
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many tests were left out, and why."""
    for reason, count in counts.items():
        terminalreporter.write_line(f"{count} left out: {reason}")
