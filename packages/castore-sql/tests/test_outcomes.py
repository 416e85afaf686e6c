"""Pushes that share a commit have the outcomes that they would have one by one."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from castore_core import (
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    VersionAssertionError,
    VersionGapError,
)
from castore_sql import SQLEventStorageAdapter

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
fresh_numbers = count()


class Place(NamedTuple):
    """A version of an aggregate."""

    aggregate_id: str
    version: int


class Push(NamedTuple):
    """What is pushed at once."""

    events: Sequence[Place]
    asserted: Sequence[Place]
    force: bool


places = st.builds(Place, st.sampled_from("abc"), st.integers(1, 4))
assertions = st.builds(Place, st.sampled_from("xabc"), st.integers(0, 4))


def make_push(events: Sequence[Place], asserted: Sequence[Place], force: bool) -> Push:
    """Return a push that the core would let through."""
    written = {place.aggregate_id for place in events}
    by_aggregate = {place.aggregate_id: place for place in asserted}
    return Push(
        sorted(events),
        [place for name, place in by_aggregate.items() if name not in written],
        force,
    )


pushes = st.builds(
    make_push,
    st.lists(places, min_size=1, max_size=3, unique=True),
    st.just([]) | st.lists(assertions, max_size=2),
    st.sampled_from([False, False, False, True]),
)


def push_to_model(stored: set[Place], push: Push) -> type[Exception] | None:
    """Do what an adapter has to do, to a set of places."""
    for aggregate_id, version in push.asserted:
        if version != max((at for name, at in stored if name == aggregate_id), default=0):
            return VersionAssertionError
    ahead = set(stored)
    for place in push.events:
        if not push.force and place in ahead:
            return EventAlreadyExistsError
        before = place._replace(version=place.version - 1)
        if not push.force and place.version > 1 and before not in ahead:
            return VersionGapError
        ahead.add(place)
    stored |= ahead
    return None


async def try_push(
    adapter: SQLEventStorageAdapter, store: str, push: Push
) -> type[Exception] | None:
    """Return the type of what a push raised."""
    events = [EventRecord(*place, "PUSHED", MOMENT) for place in push.events]
    try:
        if len(events) == 1 and not push.asserted:
            await adapter.push_event(store, events[0], force=push.force)
        else:
            await adapter.push_event_group(
                [GroupedRecord(store, each, adapter) for each in events],
                asserted=[AssertedVersion(store, *place, adapter) for place in push.asserted],
                force=push.force,
            )
    except (EventAlreadyExistsError, VersionGapError) as error:
        return type(error)
    return None


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batch=st.lists(pushes, max_size=10))
async def test_any_batch(adapter: SQLEventStorageAdapter, batch: list[Push]) -> None:
    """Whatever is pushed at a time, in a store of its own, happens in the order of the calls."""
    store = f"STORE-{next(fresh_numbers)}"
    stored: set[Place] = set()
    expected = [push_to_model(stored, push) for push in batch]

    outcomes = await asyncio.gather(*(try_push(adapter, store, push) for push in batch))

    assert expected == outcomes
    entries = (await adapter.read_events([store], limit=1000)).entries
    assert sorted(stored) == sorted(Place(*entry.record[:2]) for entry in entries)
