"""Positions of logs that count their events."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import (
    LOG_START,
    InvalidLogPositionError,
    check_limit,
    check_log_query,
    format_position,
    is_event_log,
    is_reversible_event_log,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter
from wrapped_storage import WrappedStorage

numbers = st.integers(1, 2**63 - 1)


@given(numbers)
def test_position_is_read_as_it_was_made(number: int) -> None:
    """A position stands for its number."""
    assert number == parse_position(format_position(number))


@given(numbers, numbers)
def test_positions_sort_as_their_numbers(first: int, second: int) -> None:
    """Texts of one length sort as what they stand for, after the start of the log."""
    assert (first < second) == (format_position(first) < format_position(second))
    assert LOG_START < format_position(first)


def test_start_of_a_log() -> None:
    """Nothing comes before the first event."""
    assert ("", 0) == (LOG_START, parse_position(LOG_START))


@pytest.mark.parametrize("number", [0, -1, 2**63])
def test_number_out_of_bounds_is_refused(number: int) -> None:
    """A row id of a database has 63 bits."""
    with pytest.raises(ValueError, match=r"from 1 to 2\*\*63 - 1"):
        format_position(number)


@pytest.mark.parametrize(
    "position",
    [
        "7",
        "0" * 15,
        "0" * 17,
        "8" + "0" * 15,
        "0" * 15 + "F",
        "0" * 15 + "g",
        "\u0660" * 16,
        7,
        None,
    ],
    ids=repr,
)
def test_position_of_another_log_is_refused(position: Any) -> None:
    """A text of another making is an error, rather than some place or other."""
    with pytest.raises(InvalidLogPositionError, match="made by another log") as error:
        parse_position(position)

    assert str(position) == error.value.position


@pytest.mark.parametrize(
    ("event_store_ids", "limit", "reason"),
    [
        ("POKEMONS", 1, "event_store_ids is a text: give a list of ids"),
        (None, 0, "limit is not 1 or more: 0"),
        ([], -1, "limit is not 1 or more: -1"),
        (["POKEMONS"], True, "limit is not 1 or more: True"),
    ],
)
def test_query_that_no_log_can_answer_is_refused(
    event_store_ids: Any, limit: Any, reason: str
) -> None:
    """The id of a store in the place of a list would be taken for a list of its letters."""
    with pytest.raises(ValueError, match=reason):
        check_log_query(event_store_ids, limit)


def test_a_count_has_no_limit() -> None:
    """Only the stores are looked at."""
    assert check_log_query(["POKEMONS"]) is None
    with pytest.raises(ValueError, match="is a text"):
        check_log_query("POKEMONS")


@pytest.mark.parametrize("event_store_ids", [None, [], ["POKEMONS"], ("A", "B")], ids=repr)
def test_query_of_some_stores_is_fine(event_store_ids: Any) -> None:
    """All stores, none, and any list of them can be read."""
    assert check_log_query(event_store_ids, 1) is None


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, None], ids=repr)
def test_limit_that_no_page_can_have_is_refused(limit: Any) -> None:
    """A page has one item or more."""
    assert check_limit(1) is None
    with pytest.raises(ValueError, match=f"limit is not 1 or more: {limit!r}"):
        check_limit(limit)


def test_a_storage_with_a_log_is_told_from_others() -> None:
    """A storage adapter is a log where it has the methods of one."""
    without_log = WrappedStorage(InMemoryEventStorageAdapter())
    told = [is_event_log(each) for each in (InMemoryEventStorageAdapter(), without_log, None)]
    assert [True, False, False] == told


def test_a_log_that_is_read_from_its_end_is_told_from_others() -> None:
    """A storage adapter is a reversible log where it is a log, and has the method, too."""

    class ForwardsLog:
        async def read_events(self) -> None:
            """Read nothing."""

    class BackwardsOnly:
        async def read_events_backwards(self) -> None:
            """Read nothing."""

    others = (ForwardsLog(), BackwardsOnly(), None)
    told = [is_reversible_event_log(each) for each in (InMemoryEventStorageAdapter(), *others)]
    assert [True, False, False, False] == told
