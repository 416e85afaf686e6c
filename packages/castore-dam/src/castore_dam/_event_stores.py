"""The event stores that an operation is given."""

from collections.abc import Iterable
from typing import Any, cast

from castore_core import EventStore


def check_event_stores(event_stores: EventStore | Iterable[EventStore]) -> tuple[EventStore, ...]:
    """Return one event store, or several of different ids.

    Raises:
        TypeError: one is no event store.
        ValueError: there is none, or two have one id.
    """
    stores = (event_stores,) if isinstance(event_stores, EventStore) else tuple(event_stores)
    for each in stores:
        if not isinstance(cast("Any", each), EventStore):
            raise TypeError(f"{each!r} is no EventStore")
    if not stores:
        raise ValueError("event_stores is empty")
    seen: set[str] = set()
    for each in stores:
        if each.event_store_id in seen:
            raise ValueError(f"two event stores have the id {each.event_store_id!r}")
        seen.add(each.event_store_id)
    return stores
