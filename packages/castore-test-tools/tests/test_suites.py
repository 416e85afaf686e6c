"""The suites as their users meet them."""

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

SUITES = (
    EventStorageAdapterTests,
    EventLogTests,
    SnapshotStorageAdapterTests,
    BookmarkStorageAdapterTests,
)


@pytest.mark.parametrize("suite", SUITES)
def test_a_sound_adapter_passes(suite: type[object], failures: dict[str, list[str]]) -> None:
    """All tests of a suite pass, in the strict mode of pytest-asyncio too."""
    outcomes = failures[f"Sound{suite.__name__}"]
    assert {""} == set(outcomes)
    assert len(outcomes) >= 20


def test_a_failure_shows_its_values(failures: dict[str, list[str]]) -> None:
    """The asserts of the package are rewritten, however it is installed."""
    (message,) = failures["ReverseIgnored"]
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

    names = {name for name in dir(EventStorageAdapterTests) if name.startswith("test_")}
    expected = {
        "test_a_group_in_another_event_loop",
        "test_one_event_loop_after_the_other",
        "test_refused_characters_of_event_store_ids",
        "test_ties_are_ordered_by_id",
    }
    assert expected == {name for name in names if getattr(Limited, name) is None}


def test_suites_have_tests_of_different_names() -> None:
    """One class can hold several contracts: no test hides another."""
    suites = (*SUITES, MessageChannelAdapterTests)
    names = [name for suite in suites for name in dir(suite) if name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)


def test_the_fixture_must_be_overridden() -> None:
    """A suite without its fixture says what to do."""
    with pytest.raises(NotImplementedError, match="override the fixture `adapter`"):
        EventStorageAdapterTests.adapter.__wrapped__(None)


class TestStorageAndLog(EventStorageAdapterTests, EventLogTests):
    """Both contracts in one class."""

    @pytest.fixture
    def adapter(self) -> InMemoryEventStorageAdapter:
        """Return an empty adapter."""
        return InMemoryEventStorageAdapter()
