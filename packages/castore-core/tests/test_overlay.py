"""Pending events among stored ones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from castore_core import EventRecord, overlay_events

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
VERSIONS = st.none() | st.integers(1, 10)


def make_event(version: int, type_: str, payload: Any = None) -> EventRecord:
    """Return an event of an aggregate."""
    return EventRecord("a", version, type_, MOMENT, payload)


def read(
    events: Sequence[EventRecord],
    *,
    min_version: int | None,
    max_version: int | None,
    limit: int | None,
    reverse: bool,
) -> list[EventRecord]:
    """Return events as a storage does that has just these."""
    low, high = min_version or 1, max_version or 100
    found = [each for each in events if low <= each.version <= high]
    return (found[::-1] if reverse else found)[:limit]


@given(
    st.integers(0, 6),
    st.sets(st.integers(1, 9)),
    st.fixed_dictionaries(
        {
            "min_version": VERSIONS,
            "max_version": VERSIONS,
            "limit": VERSIONS,
            "reverse": st.booleans(),
        }
    ),
)
def test_an_overlay_is_read_as_a_storage_that_has_both(
    last_stored: int, pending_versions: set[int], options: dict[str, Any]
) -> None:
    """Pending events are found as if they were stored, with any options."""
    stored = [make_event(each, "STORED") for each in range(1, last_stored + 1)]
    pending = [make_event(each, "PENDING") for each in pending_versions]
    both = {each.version: each for each in [*stored, *pending]}

    expected = read([both[each] for each in sorted(both)], **options)
    assert expected == overlay_events(read(stored, **options), pending, **options)


def test_pending_events_are_copied() -> None:
    """A reader that changes what it was given changes no pending event."""
    pending = make_event(1, "PENDING", {"levels": [1]})
    (found,) = overlay_events([], [pending])
    payload: Any = found.payload
    payload["levels"].append(2)

    assert {"levels": [1]} == pending.payload
