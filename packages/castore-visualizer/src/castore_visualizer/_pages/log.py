"""The log: the events of all stores, the latest first, filtered, and live."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from castore_core import InvalidLogPositionError, LogEntry, LogPosition
from castore_visualizer._events import show_entry
from castore_visualizer._inventory import find_log
from castore_visualizer._live import LiveResponse, find_ends, stream
from castore_visualizer._log_places import find_places
from castore_visualizer._log_reading import LogFilter, read_page
from castore_visualizer._page_tokens import pack, unpack
from castore_visualizer._queries import get_moment, get_text
from castore_visualizer._rendering import encode, render, render_text
from castore_visualizer._site import get_site
from castore_visualizer._storage_failures import show_failures

PAGE_SIZE = 50


async def show_log(request: Request) -> Response:
    """Show a page of the log."""
    site = get_site(request)
    log_filter, token = _get_filter(request), get_text(request, "page")
    logs = site.inventory.list_logs()
    stores = site.inventory.stores
    before = unpack(token, len(logs))
    if log_filter.before is not None and not token:
        before = await find_places(logs, stores, log_filter.before, site.patience)
    is_live = not token and log_filter.before is None and bool(logs)
    # Before the page: it may show events beyond the end, and lack some that come before those.
    seen = await find_ends(logs) if is_live else []
    try:
        page = await read_page(logs, log_filter, before, PAGE_SIZE, site.patience)
    except InvalidLogPositionError as error:
        raise HTTPException(400, "The page token is of another visualizer.") from error
    return render(
        request,
        "log.html",
        filter=log_filter,
        events=[show_entry(site, each) for each in page.entries],
        page=page,
        failures=show_failures(site.masking, page.failures),
        has_jumped=not token and any(before),
        end=pack([None] * len(logs)),
        seen=pack(seen),
        next_page=None if page.following is None else pack(page.following),
        is_live=is_live,
        types=sorted({kind.type for each in stores.values() for kind in each.event_types}),
        without_log=[name for name, each in stores.items() if find_log(each) is None],
    )


async def stream_log(request: Request) -> Response:
    """Send rows for the events that follow those of the page, or of the stream before."""
    logs = get_site(request).inventory.list_logs()
    query = {name: each for name, each in request.query_params.items() if name != "seen"}
    gap = encode(render_text(request, "_gap_row.html", query=query)).decode()
    return LiveResponse(
        stream(logs, _make_row_renderer(request), after=_find_seen(request, len(logs)), gap=gap),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _find_seen(request: Request, count: int) -> list[LogPosition | None]:
    """Return where each log was read up to: by a stream that has ended, or by the page."""
    try:
        return unpack(request.headers.get("last-event-id") or get_text(request, "seen"), count)
    except HTTPException:  # of other stores: the visualizer was started anew
        return [None] * count


def _make_row_renderer(request: Request) -> Callable[[LogEntry], str | None]:
    site, log_filter = get_site(request), _get_filter(request)

    def to_html(entry: LogEntry) -> str | None:
        if not log_filter.wants(entry):
            return None
        shown = show_entry(site, entry)
        return encode(render_text(request, "_event_row.html", event=shown, is_new=True)).decode()

    return to_html


def _get_filter(request: Request) -> LogFilter:
    return LogFilter(
        get_text(request, "store"),
        get_text(request, "type"),
        get_text(request, "id").strip(),
        get_moment(request, "after"),
        get_moment(request, "before"),
        searches_whole_log=get_text(request, "whole") == "1",
    )
