"""Projections and relays: how far they have come, and what is parked."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from castore_core import InvalidLogPositionError, LogPosition, ParkedEvent
from castore_visualizer._error_texts import quote_error
from castore_visualizer._forms import read_form
from castore_visualizer._log_followers import LogFollower
from castore_visualizer._queries import get_number, get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site
from castore_visualizer._urls import make_url

MOST_SHOWN: Final = 100
MOST_LOOKED_AT: Final = 3_000
"""How many parked events a page looks at, at most, to find those of a kind."""

_DONE: Final = {"retry": "will be tried again", "drop": "were dropped"}


class _Page(NamedTuple):
    """Some parked events, and the position after which the next page begins, if one follows."""

    events: Sequence[ParkedEvent]
    following: LogPosition | None
    looked_at: int


async def show_projections(request: Request) -> Response:
    """Show the status of each projection and relay."""
    site = get_site(request)
    followers = site.inventory.projections.values()
    rows = [(each, await _read_status(site, each)) for each in followers]
    return render(request, "projections.html", rows=rows)


async def get_lags(request: Request) -> Response:
    """Return how many events each projection is behind, for the chart."""
    site = get_site(request)
    found = {
        name: await _read_status(site, each) for name, each in site.inventory.projections.items()
    }
    return JSONResponse(
        {
            name: None if isinstance(each, str) else each.events_behind
            for name, each in found.items()
        }
    )


async def show_parked(request: Request) -> Response:
    """Show a page of the parked events of a projection; before the first one, their groups."""
    site = get_site(request)
    follower = _get_follower(site, get_text(request, "name"))
    kind = get_text(request, "kind")
    after = get_text(request, "after")
    groups = () if after else await follower.group_parked_events()
    try:
        page = await _read_page(follower, kind, after)
    except InvalidLogPositionError as error:
        raise HTTPException(400, f"{error}.") from error
    return render(
        request,
        "parked.html",
        follower=follower,
        groups=[(each, _show_failure(site, each.first)) for each in groups],
        kind=kind,
        after=after,
        parked=[(each, _show_failure(site, each)) for each in page.events],
        following=page.following,
        looked_at=page.looked_at,
        done=_DONE.get(get_text(request, "done")),
        number=get_number(request, "number") or 0,
    )


async def change_parked(request: Request) -> Response:
    """Retry or drop the parked events of a kind, and show the rest."""
    form = await read_form(request)
    follower = _get_follower(get_site(request), form.get("name", ""))
    kind = form.get("kind", "")
    if not kind:
        raise HTTPException(400, "Name the kind of failure.")
    if form.get("action") == "retry":
        number = await follower.retry_parked_events(kind=kind)
    elif form.get("action") == "drop":
        await _check_seen(follower, kind, form.get("seen", ""))
        number = await follower.drop_parked_events(kind=kind)
    else:
        raise HTTPException(400, "Choose to retry or to drop.")
    url = make_url(request, "parked", name=follower.name, done=form["action"], number=number)
    return RedirectResponse(url, 303)


async def _read_page(follower: LogFollower, kind: str, after: LogPosition) -> _Page:
    events: list[ParkedEvent] = []
    looked_at, reached = 0, after
    parked = cast("AsyncGenerator[ParkedEvent]", follower.iter_parked_events(after=after))
    async with aclosing(parked):
        async for each in parked:
            if len(events) == MOST_SHOWN or looked_at == MOST_LOOKED_AT:
                return _Page(events, reached, looked_at)
            looked_at, reached = looked_at + 1, each.position
            if _is_of_kind(each, kind):
                events.append(each)
    return _Page(events, None, looked_at)


async def _check_seen(follower: LogFollower, kind: str, seen: str) -> None:
    """Refuse to drop other events than a page has shown: as many, up to the same one."""
    groups = await follower.group_parked_events()
    now = [f"{each.count} {each.last.position}" for each in groups if each.kind == kind]
    if seen not in {"", *now}:
        text = f"Other events are parked for {kind!r} by now. Nothing was dropped: look again."
        raise HTTPException(409, text)


def _get_follower(site: Site, name: str) -> LogFollower:
    follower = site.inventory.projections.get(name)
    if follower is None:
        raise HTTPException(404, f"There is no projection {name!r}.")
    return follower


async def _read_status(site: Site, follower: LogFollower) -> Any:
    """Return the status, or the text of the error where it cannot be read."""
    try:
        return await follower.status()
    except Exception as error:  # noqa: BLE001 one that fails does not hide the others
        return site.masking.apply_to_text("", "error", quote_error(error))


def _is_of_kind(parked: ParkedEvent, kind: str) -> bool:
    return not kind or (parked.failure is not None and parked.failure.kind == kind)


def _show_failure(site: Site, parked: ParkedEvent) -> str:
    text = "" if parked.failure is None else parked.failure.text
    return site.masking.apply_to_text(parked.event_store_id, "failure", text)
