"""The first page: the event stores, with their numbers of events and their rates."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from castore_core import EventStore, LogEntry, ReversibleEventLog, utc_now
from castore_visualizer._error_texts import quote_error
from castore_visualizer._events import ShownEvent, show_entry
from castore_visualizer._history import find_last_version
from castore_visualizer._inventory import find_log
from castore_visualizer._log_reading import LogFilter, LogPage, read_page
from castore_visualizer._queries import get_text
from castore_visualizer._rates import NEWEST, compute_rates
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site
from castore_visualizer._storage_failures import (
    StorageFailure,
    attempt,
    show_failures,
)
from castore_visualizer._urls import make_url

_LATEST = 8
_LONGEST_ID = 1000


@dataclass(frozen=True)
class _Row:
    """A store of the list; ``count`` is ``None`` where the events are not counted.

    ``latest`` is its latest event, if that is among the latest ones of all stores; ``failure`` says
    why its storage cannot be read.
    """

    store: EventStore
    adapter: str | None
    has_log: bool
    count: int | None
    latest: ShownEvent | None
    failure: str | None = None

    @property
    def needs_count(self) -> bool:
        """Whether its events can be counted, and are not."""
        return self.has_log and self.count is None and self.failure is None


async def show_stores(request: Request) -> Response:
    """Show the stores. They are counted here only if that is quick; the page asks for the rest."""
    site = get_site(request)
    page = await _read_latest(site, _LATEST)
    rows = await _list_rows(site, page, counts=False)
    return render(
        request,
        "stores.html",
        rows=rows,
        latest=[show_entry(site, each) for each in page.entries],
        needs_counts=any(each.needs_count for each in rows),
        fails=any(each.failure is not None for each in rows),
    )


async def show_counts(request: Request) -> Response:
    """Show the stores, all of them counted."""
    site = get_site(request)
    rows = await _list_rows(site, await _read_latest(site, NEWEST), counts=True)
    return render(request, "_stores_table.html", rows=rows, needs_counts=False)


async def get_rates(request: Request) -> Response:
    """Return the rates of all stores, for the chart."""
    site = get_site(request)
    rates = compute_rates((await _read_latest(site, NEWEST)).entries, utc_now())
    return JSONResponse(
        {
            "step": rates.step.total_seconds(),
            "starts": rates.starts,
            "series": [{"name": name, "values": each} for name, each in rates.series.items()],
        }
    )


async def search(request: Request) -> Response:
    """Go to the aggregate of an id; where several stores have it, show which."""
    site, text = get_site(request), get_text(request, "q").strip()
    found: list[tuple[str, int]] = []
    failures: list[StorageFailure] = []
    if 0 < len(text) <= _LONGEST_ID:
        found, failures = await _find_in_stores(site, text)
    if len(found) == 1 and not failures:
        return RedirectResponse(make_url(request, "aggregate", store=found[0][0], id=text), 303)
    shown = show_failures(site.masking, failures)
    return render(request, "search.html", text=text, found=found, failures=shown)


async def _find_in_stores(
    site: Site, aggregate_id: str
) -> tuple[list[tuple[str, int]], list[StorageFailure]]:
    """Return the stores that have an aggregate, with its last version, and those that failed."""
    found: list[tuple[str, int]] = []
    failures: list[StorageFailure] = []
    stores = site.inventory.stores
    readings = (
        attempt(find_last_version(each, aggregate_id), site.patience) for each in stores.values()
    )
    for store_id, version in zip(stores, await asyncio.gather(*readings), strict=True):
        if isinstance(version, Exception):
            failures.append(StorageFailure([store_id], version))
        elif version:
            found.append((store_id, version))
    return found, failures


async def _list_rows(site: Site, page: LogPage, *, counts: bool) -> list[_Row]:
    by_store = {each.event_store_id: each for each in reversed(page.entries)}
    failed = show_failures(site.masking, page.failures)
    failures = {store_id: text for store_ids, text in failed for store_id in store_ids}
    return [
        await _describe(site, store, by_store.get(name), failures.get(name), counts=counts)
        for name, store in site.inventory.stores.items()
    ]


async def _describe(
    site: Site, store: EventStore, latest: LogEntry | None, failure: str | None, *, counts: bool
) -> _Row:
    log, store_id = find_log(store), store.event_store_id
    adapter = None if store.storage_adapter is None else type(store.storage_adapter).__name__
    if log is None:
        return _Row(store, adapter, has_log=False, count=None, latest=None)
    count = None
    if failure is None and (counts or site.counts.knows(log, store_id)):
        count, failure = await _count(site, log, store_id)
    shown = None if latest is None else show_entry(site, latest)
    return _Row(store, adapter, has_log=True, count=count, latest=shown, failure=failure)


async def _count(
    site: Site, log: ReversibleEventLog, store_id: str
) -> tuple[int | None, str | None]:
    """Return the number of the events of a store, or the text of the error."""
    number = await attempt(site.counts.count(log, store_id), None)
    if isinstance(number, Exception):
        return None, site.masking.apply_to_text(store_id, "error", quote_error(number))
    return number, None


async def _read_latest(site: Site, limit: int) -> LogPage:
    logs = site.inventory.list_logs()
    return await read_page(logs, LogFilter(), [None] * len(logs), limit, site.patience)
