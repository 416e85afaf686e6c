"""A correlation: the events of a request across all stores, as a graph of causes."""

from starlette.requests import Request
from starlette.responses import Response

from castore_visualizer._correlation import MOST_LOOKED_AT, Place, find_correlated
from castore_visualizer._events import show_entry
from castore_visualizer._graph import draw_graph
from castore_visualizer._queries import get_number, get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import get_site
from castore_visualizer._storage_failures import show_failures

_FURTHER = 5
_MOST = 50_000


async def show_correlation(request: Request) -> Response:
    """Show the events of a correlation id, near the event from which the link came."""
    site, correlation_id = get_site(request), get_text(request, "id").strip()
    most = min(get_number(request, "most") or MOST_LOOKED_AT, _MOST)
    near = _get_place(request)
    found = None
    if correlation_id:
        logs = site.inventory.list_logs()
        found = await find_correlated(logs, correlation_id, near, most, site.patience)
    events = [show_entry(site, each) for each in found.entries] if found else []
    return render(
        request,
        "correlation.html",
        correlation_id=correlation_id,
        near=near,
        events=events,
        graph=draw_graph(events),
        looked_at=found.looked_at if found else 0,
        failures=show_failures(site.masking, found.failures) if found else [],
        further=most * _FURTHER if found and found.looked_at >= most and most < _MOST else None,
    )


def _get_place(request: Request) -> Place | None:
    version = get_number(request, "version")
    if version is None:
        return None
    return Place(get_text(request, "store"), get_text(request, "aggregate"), version)
