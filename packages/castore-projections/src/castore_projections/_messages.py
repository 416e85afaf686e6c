"""Events that come with messages: handled in the order of their aggregate, each once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

from castore_core import (
    LOG_START,
    BookmarkStorageAdapter,
    Event,
    EventRecord,
    EventStore,
    Lease,
    LogEntry,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_projections._event_processor import EventProcessor
from castore_projections._identity import Identity
from castore_projections._leases import LeaseKeeper, make_owner
from castore_projections.errors import MissingEventsError

_LONGEST_WAIT: Final = 5.0  # seconds, for another process that handles the same aggregate


class MessageHandling:
    """Handles events that come with messages, by a bookmark for each aggregate.

    Its position is the version of the last event that was handled. A message of an earlier one is
    passed over; where events are missing in between, they are read from the event store. Messages
    of one aggregate that come at the same time wait for each other.
    """

    def __init__(
        self,
        identity: Identity,
        event_stores: Mapping[str, EventStore],
        processor: EventProcessor,
        bookmarks: BookmarkStorageAdapter[Any],
        lease_duration: timedelta,
    ) -> None:
        self._identity = identity
        self._event_stores = event_stores
        self._processor = processor
        self._bookmarks = bookmarks
        self._lease_duration = lease_duration
        self._locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    async def handle(
        self,
        message: NotificationMessage[Any] | StateCarryingMessage[Any, Any],
        *,
        is_replay: bool,
    ) -> int:
        """Handle the event of a message, and those that are missing before it."""
        store = self._get_store(message)
        aggregate_id = message.event.aggregate_id
        bookmark_id = self._identity.get_aggregate_id(store.event_store_id, aggregate_id)
        async with self._get_lock(bookmark_id):
            if message.event.version <= await self._get_last(bookmark_id):
                return 0
            keeper = LeaseKeeper(
                self._bookmarks, bookmark_id, owner=make_owner(), duration=self._lease_duration
            )
            lease = await keeper.take_within(self._identity.name, _LONGEST_WAIT)
            async with keeper.keep(lease):
                records = await self._find(store, message.event, await self._get_last(bookmark_id))
                for each in records:
                    entry = LogEntry(LOG_START, store.event_store_id, each)
                    await self._handle_one(entry, lease, is_replay=is_replay)
            return len(records)

    def _get_store(self, message: object) -> EventStore:
        if not isinstance(message, (NotificationMessage, StateCarryingMessage)):
            raise TypeError(f"a message that carries an event is needed, not {type(message)!r}")
        store = self._event_stores.get(message.event_store_id)
        if store is None:
            stores = ", ".join(self._event_stores)
            raise ValueError(
                f"the message is of event store {message.event_store_id!r}, and projection "
                f"{self._identity.name!r} follows {stores}"
            )
        return store

    def _get_lock(self, bookmark_id: str) -> asyncio.Lock:
        """Return the lock of an aggregate, which all tasks of the event loop share."""
        key = id(asyncio.get_running_loop()), bookmark_id
        return self._locks.setdefault(key, asyncio.Lock())

    async def _get_last(self, bookmark_id: str) -> int:
        bookmark = await self._bookmarks.get_bookmark(bookmark_id)
        return int(bookmark.position or 0)

    async def _find(self, store: EventStore, event: Event, last: int) -> Sequence[EventRecord]:
        """Return the events from the one after the last that was handled to the one given."""
        if event.version <= last:
            return ()
        records: Sequence[EventRecord] = [store.event_to_record(event)]
        if store.storage_adapter is not None:
            records = await store.storage_adapter.get_events(
                store.event_store_id,
                event.aggregate_id,
                min_version=last + 1,
                max_version=event.version,
            )
        for expected, each in enumerate(records, last + 1):
            if each.version != expected:
                raise self._to_missing(store, event, expected)
        if len(records) != event.version - last:
            raise self._to_missing(store, event, last + len(records) + 1)
        return records

    def _to_missing(self, store: EventStore, event: Event, missing: int) -> MissingEventsError:
        name, store_id = self._identity.name, store.event_store_id
        return MissingEventsError(name, store_id, event.aggregate_id, event.version, missing)

    async def _handle_one(self, entry: LogEntry, lease: Lease, *, is_replay: bool) -> None:
        async with self._bookmarks.move_bookmark(lease, str(entry.record.version)) as transaction:
            await self._processor.handle(entry, transaction, is_replay=is_replay)
