"""Effects of commands: the aggregates that a run changed, or that somebody else changed since."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from castore_core import Absent, EventAlreadyExistsError
from castore_visualizer._command_runs import Written
from castore_visualizer._diff import Change, compare
from castore_visualizer._events import ShownEvent, show_event
from castore_visualizer._history import State, States, find_last_version, get_record
from castore_visualizer._site import Site


@dataclass(frozen=True)
class Effect:
    """An aggregate that a run changed: its events, and its state before and after them.

    ``before`` is the version before the events. It is not open where the visualizer does not have
    its store.
    """

    event_store_id: str
    aggregate_id: str
    before: int
    events: Sequence[ShownEvent]
    changes: Sequence[Change]
    failure: str | None
    is_open: bool = True


@dataclass(frozen=True)
class MovedAggregate:
    """An aggregate that somebody else has changed since a rehearsal: its versions then and now."""

    event_store_id: str
    aggregate_id: str
    seen: int
    now: int


def write_seen(effects: Sequence[Effect]) -> str:
    """Return the versions on which a rehearsal is based, for the real run to compare."""
    return json.dumps(
        [[each.event_store_id, each.aggregate_id, each.before] for each in effects if each.is_open]
    )


async def find_moved(site: Site, seen: str) -> list[MovedAggregate]:
    """Return the aggregates that are not at the versions that a rehearsal has seen.

    Raises:
        HTTPException: the text is not one of `write_seen` (400), or names no store (404).
    """
    try:
        rows = [
            (str(store_id), str(aggregate_id), int(version))
            for store_id, aggregate_id, version in json.loads(seen or "[]")
        ]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise HTTPException(400, "The form is broken.") from error
    moved: list[MovedAggregate] = []
    for store_id, aggregate_id, version in rows:
        now = await find_last_version(site.get_store(store_id), aggregate_id)
        if now != version:
            moved.append(MovedAggregate(store_id, aggregate_id, version, now))
    return moved


async def find_winner(site: Site, error: Exception | None) -> ShownEvent | None:
    """Return the event that somebody else pushed at the version of a conflict."""
    if not isinstance(error, EventAlreadyExistsError):
        return None
    store = site.inventory.stores.get(error.event_store_id)
    record = store and await get_record(store, error.aggregate_id, error.version)
    return show_event(site, error.event_store_id, record) if record else None


async def list_effects(site: Site, written: Sequence[Written]) -> list[Effect]:
    """Return the effects of written events, by aggregate, in the order of their first events."""
    by_aggregate: dict[tuple[str, str], list[Written]] = {}
    for each in written:
        key = (each.event_store_id, each.record.aggregate_id)
        by_aggregate.setdefault(key, []).append(each)
    return [await _make_effect(site, each) for each in by_aggregate.values()]


async def _make_effect(site: Site, written: Sequence[Written]) -> Effect:
    store_id, first, store = written[0]
    aggregate_id, version = first.aggregate_id, first.version - 1
    events = [show_event(site, store_id, each.record) for each in written]
    if store is None:
        failure = "The visualizer does not have this event store."
        return Effect(store_id, aggregate_id, version, events, [], failure, is_open=False)
    states = States(store, site.masking, aggregate_id)
    before = await states.load(version)
    after = await states.load(written[-1].record.version)
    changes = _compare(before, after)
    return Effect(store_id, aggregate_id, version, events, changes, after.failure)


def _compare(before: State, after: State) -> list[Change]:
    if before.failure or after.failure or isinstance(after.value, Absent):
        return []
    return compare(before.value, after.value)
