"""The list of the aggregates of a store, searched and paged by the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from castore_core import EventStore, InvalidPageTokenError, ListedAggregate
from castore_visualizer._history import find_last_version
from castore_visualizer._queries import get_moment, get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import get_site

PAGE_SIZE: Final = 50
MOST_LOOKED_AT: Final = 5_000
"""How many ids a search for a part of one looks at before it asks whether to go on."""

_BATCH: Final = 1_000


@dataclass(frozen=True)
class _Found:
    """A page of aggregates, and the token of what follows."""

    aggregates: Sequence[ListedAggregate]
    next_page: str | None
    looked_at: int


@dataclass(frozen=True)
class _Query:
    """The filters of an address."""

    text: str
    after: datetime | None
    before: datetime | None
    oldest_first: bool
    page: str

    @property
    def is_narrow(self) -> bool:
        return bool(self.text or self.after or self.before)


async def show_aggregates(request: Request) -> Response:
    """Show a page of aggregates, the latest first, and the one whose id is the text searched."""
    store = get_site(request).get_store(get_text(request, "store"))
    query = _Query(
        get_text(request, "q").strip(),
        get_moment(request, "after"),
        get_moment(request, "before"),
        get_text(request, "order") == "oldest",
        get_text(request, "page"),
    )
    try:
        found = await _find(store, query)
    except InvalidPageTokenError as error:
        raise HTTPException(400, f"{error}.") from error
    exact = query.text if query.text and await _exists(store, query.text) else None
    return render(request, "aggregates.html", store=store, query=query, found=found, exact=exact)


async def _exists(store: EventStore, aggregate_id: str) -> bool:
    return await find_last_version(store, aggregate_id) > 0


async def _find(store: EventStore, query: _Query) -> _Found:
    if not query.text:
        page = await _list(store, query, query.page or None, PAGE_SIZE)
        return _Found(*page, looked_at=0)
    aggregates: list[ListedAggregate] = []
    token, looked_at = query.page or None, 0
    while looked_at < MOST_LOOKED_AT and len(aggregates) < PAGE_SIZE:
        listed, token = await _list(store, query, token, _BATCH)
        looked_at += len(listed)
        aggregates += [each for each in listed if query.text.lower() in each.aggregate_id.lower()]
        if token is None:
            break
    return _Found(aggregates, token, looked_at)


async def _list(
    store: EventStore, query: _Query, token: str | None, limit: int
) -> tuple[Sequence[ListedAggregate], str | None]:
    page = await store.list_aggregate_ids(
        limit=limit,
        initial_event_after=query.after,
        initial_event_before=query.before,
        reverse=not query.oldest_first,
        page_token=token,
    )
    return page.aggregates, page.next_page_token
