"""Logs of storage adapters."""

from castore_cli.errors import UsageError
from castore_core import EventLog, EventStore, is_event_log


def find_log(store: EventStore) -> EventLog | None:
    """Return the storage adapter of a store, if it is a log."""
    adapter = store.storage_adapter
    return adapter if is_event_log(adapter) else None


def get_log(store: EventStore) -> EventLog:
    """Return the storage adapter of a store, which has to be a log.

    Raises:
        UsageError: it is none.
        UndefinedStorageAdapterError: there is no adapter.
    """
    log = find_log(store)
    if log is None:
        kind = type(store.get_storage_adapter()).__name__
        raise UsageError(
            f"event store {store.event_store_id!r} has no log to follow: {kind} is none"
        )
    return log
