"""Differences, timelines, graphs and rates, from values to what is drawn."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castore_core import ABSENT, EventRecord, JSONValue, LogEntry
from castore_visualizer._diff import compare, flatten
from castore_visualizer._events import ShownEvent
from castore_visualizer._graph import draw_graph
from castore_visualizer._json_html import render_json
from castore_visualizer._moments import parse_moment, show_age, show_gap
from castore_visualizer._rates import compute_rates
from castore_visualizer._timeline import HEIGHT, WIDTH, lay_out

START = datetime(2026, 1, 5, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def make_event(version: int, timestamp: datetime = START, **values: Any) -> ShownEvent:
    """Return an event as pages have it."""
    given: dict[str, Any] = {
        "event_store_id": "S",
        "aggregate_id": "a",
        "type": "T",
        "payload": ABSENT,
        "metadata": ABSENT,
        "correlation_id": "c",
        "causation_id": None,
        "hue": 0,
    }
    return ShownEvent(version=version, timestamp=timestamp, **(given | values))


def test_differences_name_each_value() -> None:
    """Added, removed and changed values have their paths; a value of another type has changed."""
    before: JSONValue = {"a": 1, "gone": [1], "same": {"x": True}, "kind": 1}
    after: JSONValue = {"a": 2, "same": {"x": True}, "kind": True, "new": ""}
    changes = {each.path: each.kind for each in compare(before, after)}

    assert {
        "a": "changed",
        "gone[0]": "removed",
        "same.x": "same",
        "kind": "changed",
        "new": "added",
    } == changes


@given(JSON, JSON)
def test_differences_miss_nothing(before: JSONValue, after: JSONValue) -> None:
    """Every value of either side is in them, and equal values are all the same."""
    changes = compare(before, after)
    assert {*flatten(before), *flatten(after)} == {each.path for each in changes}
    assert {"same"} >= {each.kind for each in compare(before, before)}


@given(JSON)
def test_json_is_escaped(value: JSONValue) -> None:
    """No text of a value becomes markup."""
    html = str(render_json(value))
    for each in ('<span class="', "</span>"):
        html = html.replace(each, "")
    assert "<" not in html


def test_events_are_drawn_to_time() -> None:
    """The first and last event are at the ends, and one in the middle is in the middle."""
    moments = [START, START + timedelta(hours=1), START + timedelta(hours=2)]
    timeline = lay_out([make_event(index + 1, each) for index, each in enumerate(moments)])

    first, middle, last = (each.x for each in timeline.marks)
    assert WIDTH / 2 == middle == (first + last) / 2
    assert timeline.ticks


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=100))
def test_all_events_are_within_the_timeline(seconds: list[int]) -> None:
    """However close they are, each has a place of its own order, and none is outside."""
    events = [make_event(i + 1, START + timedelta(seconds=each)) for i, each in enumerate(seconds)]
    timeline = lay_out(events)

    assert [*range(1, len(seconds) + 1)] == [each.event.version for each in timeline.marks]
    assert all(0 <= each.x <= WIDTH and 0 <= each.y <= HEIGHT for each in timeline.marks)
    assert len(timeline.ticks) <= 20


def test_an_empty_timeline_is_empty() -> None:
    """There is nothing to draw before the first event."""
    assert [] == lay_out([]).marks


def test_effects_are_right_of_their_causes() -> None:
    """Each effect is a column further, and a cause that is missing has a box as well."""
    graph = draw_graph(
        [
            make_event(1),
            make_event(2, causation_id="S#a#1"),
            make_event(3, causation_id="S#a#2"),
            make_event(4, causation_id="elsewhere"),
        ]
    )
    columns = {each.message_id: each.x for each in graph.boxes}

    assert columns["S#a#1"] < columns["S#a#2"] < columns["S#a#3"]
    assert columns["elsewhere"] < columns["S#a#4"]
    assert 3 == len(graph.links)
    assert [None] == [each.event for each in graph.boxes if each.message_id == "elsewhere"]
    assert len({(each.x, each.y) for each in graph.boxes}) == len(graph.boxes)


def test_causes_in_a_circle_are_drawn() -> None:
    """Metadata may say anything: events that cause each other, or themselves, have their boxes."""
    graph = draw_graph(
        [
            make_event(1, causation_id="S#a#2"),
            make_event(2, causation_id="S#a#1"),
            make_event(3, causation_id="S#a#3"),
        ]
    )
    assert 3 == len(graph.boxes)


def test_rates_count_each_event_once() -> None:
    """The sum over all steps is the number of events, and there are at most some hundred steps."""
    entries = [
        LogEntry("", "S", EventRecord("a", each, "T", START + timedelta(hours=each)))
        for each in range(1, 500)
    ]
    rates = compute_rates(entries, START + timedelta(days=25))

    assert 499 == sum(rates.series["S"])
    assert len(rates.starts) == len(rates.series["S"]) <= 600


def test_rates_without_events_are_empty() -> None:
    """There is nothing to draw, and events of the future are not waited for."""
    future = LogEntry("", "S", EventRecord("a", 1, "T", START + timedelta(days=1)))
    assert {} == compute_rates([], START).series
    assert {} == compute_rates([future], START).series


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (61, "1 minute ago"), (7200, "2 hours ago"), (-90000, "in 1 day")],
)
def test_ages_are_in_their_greatest_unit(seconds: int, text: str) -> None:
    """They are rounded down."""
    assert text == show_age(START - timedelta(seconds=seconds), START)


def test_gaps_tell_their_direction() -> None:
    """Timestamps may run backwards."""
    assert ["at once", "+ 1 hour", "- 1 minute"] == [
        show_gap(timedelta(seconds=each)) for each in (0, 3600, -60)
    ]


def test_moments_are_in_utc_without_an_offset() -> None:
    """An offset counts where there is one."""
    assert START == parse_moment("2026-01-05")
    assert START == parse_moment("2026-01-05T01:00+01:00")
    assert parse_moment(" ") is None
