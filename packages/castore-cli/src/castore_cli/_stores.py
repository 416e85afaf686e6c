"""`castore stores`: the event stores of an address."""

from typing import Any

from castore_cli._addresses import Address
from castore_cli._finding import open_stores
from castore_cli._logs import find_log
from castore_cli._terminal import Terminal
from castore_core import EventStore


async def stores(address: Address, /, *, count: bool = False, terminal: Terminal) -> None:
    """List event stores, with their event types and storage adapters.

    Args:
        address: The event stores.
        count: Count the events, too, where there is a log. It may take as long as reading them.
    """
    async with open_stores(address) as event_stores:
        rows = [await _describe(each, counts=count) for each in event_stores]
        terminal.show_rows(rows)


async def _describe(store: EventStore, *, counts: bool) -> dict[str, Any]:
    adapter = store.storage_adapter
    log = find_log(store)
    row: dict[str, Any] = {
        "eventStoreId": store.event_store_id,
        "eventTypes": [each.type for each in store.event_types],
        "storageAdapter": None if adapter is None else type(adapter).__name__,
        "hasLog": log is not None,
    }
    if counts:
        row["events"] = None if log is None else await log.count_events([store.event_store_id])
    return row
