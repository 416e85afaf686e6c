"""The pytest plugin of castore-test-tools, loaded by its `pytest11` entry point.

What its fixtures need is imported when they are used, so that pytest starts fast. By
being registered, the plugin also lets pytest rewrite the asserts of the package, so that a failed
contract test shows its values.
"""

from collections.abc import Generator

import pytest

import castore_test_tools as tools
from castore_test_tools._unawaited import watch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Fail a test that made a scenario and never awaited it."""
    with watch() as unawaited:
        yield
    if unawaited:
        scenarios = "\n".join(f"{each!r} was never awaited" for each in unawaited)
        pytest.fail(scenarios, pytrace=False)


@pytest.fixture
def frozen_clock() -> "Generator[tools.FrozenClock]":
    """Stop the time of the events that a test makes, first at 2022-01-01T00:00:00Z.

    ``frozen_clock()`` is the moment; ``tick()`` moves on by a second, ``tick(seconds=0.5)`` or
    ``tick(timedelta(...))`` by as much; ``set(moment)`` moves there.
    """
    with tools.FrozenClock() as clock:
        yield clock


@pytest.fixture
def new_id() -> "tools.IdGenerator":
    """Make ids that a test can foretell: ``new_id()`` is ``id-1``, and then ``id-2``.

    ``new_id("pokemon")`` is ``pokemon-1``; each prefix is counted alone.
    """
    return tools.IdGenerator()


@pytest.fixture
def recorded_channel() -> "tools.RecordedMessageChannelAdapter":
    """Give an adapter for a message channel that remembers what is published."""
    return tools.RecordedMessageChannelAdapter()
