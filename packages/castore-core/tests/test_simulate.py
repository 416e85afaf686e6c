"""simulate_aggregate tells what a state would be, or was, at a moment."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from castore_core import Event, EventStore

NOW = datetime(2022, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Noted(Event, type="NOTED"):
    """A note was made."""

    payload: str


class Retracted(Event, type="RETRACTED"):
    """An earlier event, of the version that the payload names, is to be forgotten."""

    payload: int


NoteEvent = Noted | Retracted


@dataclass(frozen=True)
class Notes:
    """The state: all that happened, with the versions under which it did."""

    aggregate_id: str
    version: int
    notes: tuple[tuple[int, str], ...] = ()


def reduce_notes(notes: Notes | None, event: NoteEvent) -> Notes:
    """Compute the state."""
    earlier = notes.notes if notes else ()
    return Notes(event.aggregate_id, event.version, (*earlier, (event.version, str(event.payload))))


def retract(held: dict[int, NoteEvent], event: NoteEvent) -> dict[int, NoteEvent]:
    """Forget the retracted event, and the retraction."""
    if isinstance(event, Retracted):
        return {version: each for version, each in held.items() if version != event.payload}
    return {**held, event.version: event}


def new_store(**options: Any) -> EventStore[NoteEvent, Notes]:
    """Return a store."""
    return EventStore("NOTES", event_types=[Noted, Retracted], reduce=reduce_notes, **options)


def noted(version: int, hours: int, text: str) -> Noted:
    """Return an event."""
    return Noted(aggregate_id="n", version=version, timestamp=NOW + hours * HOUR, payload=text)


def retracted(version: int, hours: int, of: int) -> Retracted:
    """Return a retraction."""
    return Retracted(aggregate_id="n", version=version, timestamp=NOW + hours * HOUR, payload=of)


def test_without_side_effects_it_is_the_aggregate() -> None:
    """By default, all events hold."""
    events = [noted(1, 1, "a"), noted(2, 2, "b")]

    assert new_store().build_aggregate(events) == new_store().simulate_aggregate(events)


def test_no_events_give_no_aggregate() -> None:
    """Nothing comes of nothing."""
    assert new_store().simulate_aggregate([]) is None
    assert new_store().simulate_aggregate([noted(1, 1, "a")], at=NOW) is None


def test_side_effect_changes_what_was_before() -> None:
    """What a side effect took out did not happen, and the rest is numbered anew."""
    store = new_store(simulate_side_effect=retract)
    events = [noted(1, 1, "a"), noted(2, 2, "b"), noted(3, 3, "c"), retracted(4, 4, of=1)]

    assert Notes("n", 2, ((1, "b"), (2, "c"))) == store.simulate_aggregate(events)


def test_side_effect_may_change_its_argument() -> None:
    """The dictionary of events is the side effect's to change."""

    def hold_two(held: dict[int, NoteEvent], event: NoteEvent) -> dict[int, NoteEvent]:
        held[event.version] = event
        if len(held) > 2:
            del held[min(held)]
        return held

    store = new_store(simulate_side_effect=hold_two)
    events = [noted(1, 1, "a"), noted(2, 2, "b"), noted(3, 3, "c")]

    assert Notes("n", 2, ((1, "b"), (2, "c"))) == store.simulate_aggregate(events)
    assert Notes("n", 2, ((1, "b"), (2, "c"))) == store.simulate_aggregate(events)


def test_events_stay_as_they_are() -> None:
    """Numbering anew makes other events."""
    events = [noted(3, 1, "a")]
    new_store().simulate_aggregate(events)

    assert [noted(3, 1, "a")] == events


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (1, Notes("n", 1, ((1, "a"),))),
        (2, Notes("n", 2, ((1, "a"), (2, "b")))),
        (9, Notes("n", 3, ((1, "a"), (2, "b"), (3, "c")))),
    ],
)
def test_state_at_a_moment(hours: int, expected: Notes) -> None:
    """`at` is inclusive, and may be of any offset."""
    events = [noted(1, 1, "a"), noted(2, 2, "b"), noted(3, 3, "c")]
    moment = (NOW + hours * HOUR).astimezone(timezone(-5 * HOUR))

    assert expected == new_store().simulate_aggregate(events, at=moment)


def test_side_effects_come_before_the_moment() -> None:
    """A later event changes what was before `at`, though it is not itself part of it."""
    store = new_store(simulate_side_effect=retract)
    events = [noted(1, 1, "a"), noted(2, 2, "b"), retracted(3, 3, of=1)]

    assert Notes("n", 1, ((1, "b"),)) == store.simulate_aggregate(events, at=NOW + 2 * HOUR)


def test_naive_moment_is_refused() -> None:
    """A naive moment is no moment."""
    with pytest.raises(ValueError, match="at is naive"):
        new_store().simulate_aggregate([], at=NOW.replace(tzinfo=None))


def test_events_are_sorted_by_timestamp() -> None:
    """A scheduled event takes its place in time."""
    events = [noted(1, 1, "a"), noted(2, 9, "scheduled"), noted(3, 3, "c")]

    expected = Notes("n", 3, ((1, "a"), (2, "c"), (3, "scheduled")))
    assert expected == new_store().simulate_aggregate(events)


def test_events_of_one_moment_are_sorted_by_version() -> None:
    """Where timestamps are equal, versions decide, whatever order a side effect left."""

    def hold_last_first(held: dict[int, NoteEvent], event: NoteEvent) -> dict[int, NoteEvent]:
        return {event.version: event, **held}

    store = new_store(simulate_side_effect=hold_last_first)
    events = [noted(1, 1, "a"), noted(2, 1, "b")]

    assert Notes("n", 2, ((1, "a"), (2, "b"))) == store.simulate_aggregate(events)
