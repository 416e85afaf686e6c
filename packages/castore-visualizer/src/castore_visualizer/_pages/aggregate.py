"""An aggregate: its timeline, its events, and its state at any version or moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from castore_core import EventStore
from castore_visualizer._diff import Change, compare
from castore_visualizer._events import ShownEvent, show_event
from castore_visualizer._history import (
    Position,
    State,
    States,
    find_last_version,
    find_version_at,
    get_window,
)
from castore_visualizer._missing_aggregate import MissingAggregateError
from castore_visualizer._queries import get_moment, get_number, get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site
from castore_visualizer._timeline import lay_out


@dataclass(frozen=True)
class _Subject:
    """An aggregate that has events."""

    store: EventStore
    aggregate_id: str
    last_version: int


async def show_aggregate(request: Request) -> Response:
    """Show an aggregate after the event of a version, or at a moment; by default, as it is."""
    site, subject = get_site(request), await _find_subject(request)
    moment = get_moment(request, "at")
    position = Position(await _choose_version(request, subject, moment), subject.last_version)
    events = await _read_events(site, subject, position)
    chosen = next((each for each in events if each.version == position.version), None)
    states = States(subject.store, site.masking, subject.aggregate_id)
    before, after = await states.load_step(position.version)
    if moment is not None:
        after = await states.load_at(moment)
    return render(
        request,
        "aggregate.html",
        subject=subject,
        position=position,
        moment=moment,
        events=events,
        chosen=chosen,
        timeline=lay_out(events),
        state=after,
        changes=_compare_states(before, after),
    )


async def show_diff(request: Request) -> Response:
    """Show what changed between two versions of an aggregate."""
    site, subject = get_site(request), await _find_subject(request)
    last = subject.last_version
    to = min(_get_version(request, "to", last), last)
    start = min(_get_version(request, "from", max(to - 1, 0)), last)
    states = States(subject.store, site.masking, subject.aggregate_id)
    before, after = await states.load(start), await states.load(to)
    return render(
        request,
        "diff.html",
        subject=subject,
        start=start,
        to=to,
        failure=before.failure or after.failure,
        changes=_compare_states(before, after),
        shows_all=get_text(request, "all") == "1",
    )


async def _find_subject(request: Request) -> _Subject:
    store = get_site(request).get_store(get_text(request, "store"))
    aggregate_id = get_text(request, "id")
    last = await find_last_version(store, aggregate_id) if aggregate_id else 0
    if not last:
        raise MissingAggregateError(store.event_store_id, aggregate_id)
    return _Subject(store, aggregate_id, last)


async def _choose_version(request: Request, subject: _Subject, moment: datetime | None) -> int:
    if moment is not None:
        return await find_version_at(
            subject.store, subject.aggregate_id, moment, subject.last_version
        )
    return min(_get_version(request, "version", subject.last_version), subject.last_version)


def _get_version(request: Request, name: str, default: int) -> int:
    number = get_number(request, name)
    return default if number is None else number


async def _read_events(site: Site, subject: _Subject, position: Position) -> list[ShownEvent]:
    records = await get_window(
        subject.store, subject.aggregate_id, position.first_shown, position.last_shown
    )
    return [show_event(site, subject.store.event_store_id, each) for each in records]


def _compare_states(before: State, after: State) -> Sequence[Change]:
    return [] if before.failure or after.failure else compare(before.value, after.value)
