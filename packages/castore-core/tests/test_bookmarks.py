"""Bookmarks: how many events a move may park."""

from datetime import UTC, datetime

import pytest

from castore_core import MAX_PARKED_AT_ONCE, Bookmark, ParkedEvent, check_parked

POSITIONS = [str(number) for number in range(2 * MAX_PARKED_AT_ONCE)]
FIRST, SECOND = POSITIONS[:MAX_PARKED_AT_ONCE], POSITIONS[MAX_PARKED_AT_ONCE:]


def make_parked(position: str) -> ParkedEvent:
    """Return an event to park."""
    return ParkedEvent(position, "POKEMONS", "a1", 1, "CAUGHT", datetime(2024, 1, 1, tzinfo=UTC))


def test_a_move_parks_25_events_and_takes_25_back() -> None:
    """So many fit into a transaction of every backend, beside writes of the user's."""
    assert 25 == MAX_PARKED_AT_ONCE
    assert check_parked([make_parked(each) for each in FIRST], SECOND) is None
    assert check_parked((), ()) is None


def test_more_events_are_refused() -> None:
    """The error says of which there are too many."""
    with pytest.raises(ValueError, match=r"^parked has 26 events: give at most 25$"):
        check_parked([make_parked(each) for each in POSITIONS[:26]], ())
    with pytest.raises(ValueError, match=r"^unparked has 26 events: give at most 25$"):
        check_parked((), POSITIONS[:26])


@pytest.mark.parametrize(("parked", "unparked"), [("1", "1"), ("11", ""), ("", "11")])
def test_an_event_that_is_there_twice_is_refused(parked: str, unparked: str) -> None:
    """No order would say what becomes of it."""
    with pytest.raises(ValueError, match="name an event twice"):
        check_parked([make_parked(each) for each in parked], [*unparked])


def test_a_bookmark_that_nobody_made_has_nothing_else() -> None:
    """Moments and owners are optional."""
    assert Bookmark(None) == (None, None, None, None)
