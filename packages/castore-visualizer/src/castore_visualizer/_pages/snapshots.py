"""Snapshots: how often loads used them, and why not."""

from starlette.requests import Request
from starlette.responses import Response

from castore_core import EventStore
from castore_visualizer._error_texts import quote_error
from castore_visualizer._history import find_last_version
from castore_visualizer._queries import get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import get_site
from castore_visualizer._snapshot_views import HITS, MEANINGS, LoadTrial, try_load


async def show_snapshots(request: Request) -> Response:
    """Show the counts of each store with snapshots, and how one aggregate is loaded."""
    site = get_site(request)
    stores = [each for each in site.inventory.stores.values() if each.snapshots is not None]
    store_id, aggregate_id = get_text(request, "store"), get_text(request, "id").strip()
    trial, failure = None, None
    if store_id and aggregate_id:
        try:
            trial = await _try(site.get_store(store_id), aggregate_id)
        except Exception as error:  # noqa: BLE001 reducers and codecs are the user's
            failure = site.masking.apply_to_text(store_id, "error", quote_error(error))
    return render(
        request,
        "snapshots.html",
        stores=stores,
        meanings=MEANINGS,
        hits=HITS,
        store_id=store_id,
        aggregate_id=aggregate_id,
        trial=trial,
        failure=failure,
    )


async def _try(store: EventStore, aggregate_id: str) -> LoadTrial | None:
    version = await find_last_version(store, aggregate_id)
    if not version or store.snapshots is None:
        return None
    return await try_load(store, store.snapshots, aggregate_id, version)
