"""The suites as their users meet them."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    EventLogTests,
    EventStorageAdapterTests,
    MessageChannelAdapterTests,
    SnapshotStorageAdapterTests,
    overrides_contract,
)

# The suites run in a pytest of their own, on hundreds of broken adapters.
pytestmark = pytest.mark.timeout(600)

Failures: TypeAlias = dict[tuple[str, str], list[str]]
Rules: TypeAlias = dict[type[object], dict[str, list[type[object]]]]

SUITES = (
    EventStorageAdapterTests,
    EventLogTests,
    SnapshotStorageAdapterTests,
    BookmarkStorageAdapterTests,
    MessageChannelAdapterTests,
)
# How tests fail: by what they assert, or by what the adapter or its client means to raise. Whatever
# else is raised is a slip of who wrote the broken adapter.
FAILURES = (
    *("assert ", "AssertionError", "Failed: ", "castore_core.", "RuntimeError", "ConnectionE"),
    "castore_test_tools._time_limit.TimeLimitError: test_",
)


def find_tests(suite: type[object]) -> set[str]:
    """Return the names of all tests of a suite, those of capabilities too."""
    return {name for name in dir(suite) if name.startswith("test_")}


def test_a_broken_adapter_is_caught(rule: Any, failures: Failures) -> None:
    """The test that is meant for a rule fails, in one of its cases at least."""
    messages = [each for each in failures[rule.name, rule.test] if each]
    assert messages
    assert [] == [each for each in messages if not each.startswith(FAILURES)]


def test_every_rule_is_broken_by_an_adapter(rules: Rules, not_broken: dict[str, str]) -> None:
    """No test is there that nothing was seen to fail, unless there is a reason."""
    for suite in SUITES:
        listed = {*rules[suite], *(find_tests(suite) & not_broken.keys())}
        assert find_tests(suite) == listed
    assert all(not_broken.values())


def test_every_broken_adapter_is_listed(rules: Rules, broken_adapters: set[type[object]]) -> None:
    """No broken adapter was written that no test is known to catch."""
    listed = {each for tests in rules.values() for found in tests.values() for each in found}
    assert set() == {each.__name__ for each in broken_adapters - listed}


def test_a_sound_adapter_passes(sound: str, failures: Failures) -> None:
    """All tests of a suite pass, in the strict mode of pytest-asyncio too."""
    outcomes = [
        each for (name, _), found in failures.items() if f"Test{name}" == sound for each in found
    ]
    assert {""} == set(outcomes)
    assert len(outcomes) >= 20


def test_a_failure_shows_its_values(failures: Failures) -> None:
    """The asserts of the package are rewritten, however it is installed."""
    test = "test_reverse_begins_with_the_greatest"
    (message,) = failures["ReverseIgnoredInEventStorageAdapterTests", test]
    assert "version=5" in message
    assert "At index 0 diff" in message


def test_a_test_is_not_overridden_without_a_reason() -> None:
    """A suite that replaces a test of its contract is refused where it is declared."""

    async def test_an_empty_list() -> None: ...

    with pytest.raises(TypeError, match=r"Lenient\.test_an_empty_list replaces a test"):
        type("Lenient", (EventStorageAdapterTests,), {"test_an_empty_list": test_an_empty_list})


def test_a_test_is_not_removed_without_a_reason() -> None:
    """Neither can a test be taken away."""
    with pytest.raises(TypeError, match="replaces a test"):
        type("Lenient", (EventStorageAdapterTests,), {"test_an_empty_list": None})


def test_a_mixin_does_not_override_without_a_reason() -> None:
    """A class beside the suite does not hide its tests either."""

    class Mixin:
        async def test_an_empty_list(self) -> None: ...

    with pytest.raises(TypeError, match=r"Mixin\.test_an_empty_list replaces a test"):
        type("Lenient", (Mixin, EventStorageAdapterTests), {})


def test_a_test_is_overridden_with_a_reason() -> None:
    """A replacement that says why is taken."""

    class Lenient(EventStorageAdapterTests):
        @overrides_contract("the example needs none")
        async def test_an_empty_list(self, adapter: object) -> None: ...

    assert Lenient.test_an_empty_list is not EventStorageAdapterTests.test_an_empty_list


def test_a_reason_is_not_empty() -> None:
    """No reason is none."""
    with pytest.raises(ValueError, match="with a reason"):
        overrides_contract("")


def test_a_suite_may_have_tests_of_its_own() -> None:
    """Tests that the contract does not have need no reason."""

    class Special(EventStorageAdapterTests):
        async def test_something_else(self, adapter: object) -> None: ...

    assert hasattr(Special, "test_something_else")


def test_what_is_declared_is_not_collected() -> None:
    """Tests of a capability that a suite does not have are left out, rather than skipped."""

    class Limited(EventStorageAdapterTests):
        works_in_several_event_loops = False
        orders_ties_by_aggregate_id = False
        most_events_of_a_group = 100

    assert EventStorageAdapterTests.test_one_event_loop_after_the_other
    assert Limited.test_one_event_loop_after_the_other is None
    assert Limited.test_ties_are_ordered_by_id is None
    assert Limited.test_too_large_a_group_is_refused


def test_a_limit_has_a_test_of_its_own() -> None:
    """A test that holds for a limit alone is collected where the limit is declared."""

    class Gapless(EventStorageAdapterTests):
        pass

    class Gappy(Gapless):
        refuses_gaps = False

    assert (None, None) == (Gapless.test_a_gap_is_written, Gappy.test_a_gap_is_refused)
    assert Gapless.test_a_gap_is_refused
    assert Gappy.test_a_gap_is_written


def test_a_test_of_two_capabilities() -> None:
    """A test is left out where one of the capabilities that it requires is missing."""

    class Slow(EventLogTests):
        wakes_waiting_readers = False

    class Bound(EventLogTests):
        works_in_several_event_loops = False

    assert EventLogTests.test_readers_wake_in_another_event_loop
    assert Slow.test_readers_wake_in_another_event_loop is None
    assert Bound.test_readers_wake_in_another_event_loop is None
    assert Slow.test_waits_in_another_event_loop
    assert Bound.test_a_push_wakes_all_readers


def test_what_needs_a_fixture_is_collected_with_it() -> None:
    """Tests that need a hand on the backend are there where the suite has the fixture."""

    class Remote(EventStorageAdapterTests):
        @pytest.fixture
        def lose_next_answer(self) -> Callable[[], None]:
            raise NotImplementedError

    assert EventStorageAdapterTests.test_a_push_whose_answer_is_lost is None
    assert Remote.test_a_push_whose_answer_is_lost
    assert Remote.test_the_client_stays_open is None


@pytest.mark.parametrize(
    ("suite", "name", "meant"),
    [
        (EventStorageAdapterTests, "conect_again", "connect_again"),
        (EventStorageAdapterTests, "lose_the_next_answer", "lose_next_answer"),
        (EventStorageAdapterTests, "hold_number", "holds_number"),
        (EventLogTests, "wake_waiting_readers", "wakes_waiting_readers"),
        (BookmarkStorageAdapterTests, "join_transactions", "join_transaction"),
        (MessageChannelAdapterTests, "refuses_messages", "refuse_messages"),
        (MessageChannelAdapterTests, "keep_order", "keeps_order"),
    ],
)
def test_a_misspelt_name_is_refused(suite: type[object], name: str, meant: str) -> None:
    """A name that is almost that of a hook would leave out its tests without a word."""
    with pytest.raises(TypeError, match=rf"Wrong\.{name} .* did you mean '{meant}'\?"):
        type("Wrong", (suite,), {name: True})
    with pytest.raises(TypeError, match=rf"Mixin\.{name} .* other_names = \['{name}'\]"):
        type("Wrong", (type("Mixin", (), {name: True}), suite), {})


def test_a_name_may_look_like_another() -> None:
    """Names that are declared are taken, as are those that look like no hook, or are private."""

    class Special(EventStorageAdapterTests):
        other_names = ("refused_gaps",)
        refused_gaps = 7
        _refuse_gaps = 7
        adapter_class = make_adapter = client = object

    class Heir(Special):
        refused_gaps = 8

    assert 8 == Heir.refused_gaps


def test_a_long_id_is_named(failures: Failures) -> None:
    """A backend whose ids are shorter than those of the suite is told what to declare."""
    messages = failures["IdsAreShortInEventStorageAdapterTests", "test_aggregate_ids_are_data"]
    (message,) = filter(None, messages)
    assert "An id has 1000 characters: a suite declares `longest_id`." in message


def test_suites_have_tests_of_different_names() -> None:
    """One class can hold several contracts: no test hides another."""
    names = [name for suite in SUITES for name in find_tests(suite)]
    assert sorted(set(names)) == sorted(names)


def test_the_fixture_must_be_overridden() -> None:
    """A suite without its fixture says what to do."""
    with pytest.raises(NotImplementedError, match="override the fixture `adapter`"):
        EventStorageAdapterTests.adapter.__wrapped__(None)


class TestStorageAndLog(EventStorageAdapterTests, EventLogTests):
    """Both contracts in one class."""

    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter()
