"""The source of a projection: its event stores, and the log that has their events."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

from castore_core import (
    Aggregate,
    Event,
    EventLog,
    EventRecord,
    EventStorageAdapter,
    EventStore,
    LogEntry,
    LogPosition,
    LogSlice,
    ParkedEvent,
    UndefinedStorageAdapterError,
    is_event_log,
)


class Source:
    """The events of some event stores, in the order of the one log that has them.

    Args:
        event_stores: the stores.
        log: has their events. ``None`` stands for the storage adapter that they share.

    Raises:
        TypeError: something else is given.
        ValueError: there is no store, or two have one id.
    """

    def __init__(self, event_stores: Iterable[EventStore], log: EventLog | None = None) -> None:
        stores = tuple(event_stores)
        for each in stores:
            if not isinstance(cast("Any", each), EventStore):
                raise TypeError(f"event_stores has {each!r}, which is no EventStore")
        self.event_stores: dict[str, EventStore] = {each.event_store_id: each for each in stores}
        if not stores:
            raise ValueError("event_stores is empty")
        if len(self.event_stores) < len(stores):
            ids = Counter(each.event_store_id for each in stores)
            raise ValueError(f"two event stores have the id {ids.most_common(1)[0][0]!r}")
        self._log = log

    @property
    def event_store_ids(self) -> Sequence[str]:
        """The ids of the stores."""
        return tuple(self.event_stores)

    def get_log(self) -> EventLog:
        """Return the log.

        Raises:
            TypeError: the storage adapter of the stores is no log.
            UndefinedStorageAdapterError: a store has none.
            ValueError: the stores have different ones.
        """
        if self._log is not None:
            return self._log
        adapters = {id(each): each for each in map(_get_adapter, self.event_stores.values())}
        if len(adapters) > 1:
            raise ValueError(
                f"the event stores {', '.join(self.event_stores)} have different storage "
                "adapters: give them one, or say which has the log of all: log=..."
            )
        (adapter,) = adapters.values()
        if not is_event_log(adapter):
            raise TypeError(
                f"{adapter!r} has no log to read: hand the messages of its events to handle()"
            )
        return adapter

    def find_log(self) -> EventLog | None:
        """Return the log, or ``None`` where there is none: messages bring the events."""
        adapters = {id(each.storage_adapter): each for each in self.event_stores.values()}
        (store, *others) = adapters.values()
        if self._log is None and (others or not is_event_log(store.storage_adapter)):
            return None
        return self.get_log()

    def find_store(
        self, event: Event | Aggregate, event_store: EventStore | None = None
    ) -> EventStore:
        """Return the store of an event: the given one, or the only one that has its class.

        An aggregate is that of the only store.

        Raises:
            TypeError: it is neither.
            ValueError: the store is none of these, or there is not exactly one.
        """
        if not hasattr(event, "aggregate_id") or not hasattr(event, "version"):
            raise TypeError(f"neither an event nor an aggregate: {type(event).__qualname__}")
        if event_store is not None:
            if event_store.event_store_id not in self.event_stores:
                raise ValueError(f"{event_store!r} is no event store of the projection")
            return event_store
        found = list(self.event_stores.values())
        if isinstance(event, Event):
            found = [each for each in found if type(event) in each.event_types]
        if len(found) != 1:
            raise ValueError(
                f"{len(found)} event stores of the projection have {type(event).__name__}: "
                "say which one it was pushed to, with event_store=..."
            )
        return found[0]

    async def read(self, after: LogPosition, limit: int) -> LogSlice:
        """Read what follows a position."""
        return await self.get_log().read_events(self.event_store_ids, after, limit)

    async def read_again(self, parked: ParkedEvent) -> LogEntry | None:
        """Read a parked event as it is stored now, or ``None`` where it is no more."""
        store = self.event_stores.get(parked.event_store_id)
        if store is None:  # it is followed no longer
            return None
        adapter = self._log if store.storage_adapter is None else store.storage_adapter
        if not hasattr(adapter, "get_events"):
            raise UndefinedStorageAdapterError(parked.event_store_id)
        records: Sequence[EventRecord] = await cast("EventStorageAdapter", adapter).get_events(
            parked.event_store_id,
            parked.aggregate_id,
            min_version=parked.version,
            max_version=parked.version,
        )
        return LogEntry(parked.position, parked.event_store_id, records[0]) if records else None


def _get_adapter(event_store: EventStore) -> object:
    return event_store.get_storage_adapter()
