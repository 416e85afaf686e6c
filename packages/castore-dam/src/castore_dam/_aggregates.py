"""The aggregates of an event store, listed or found in its log, and read as records."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from castore_core import EventLog, EventRecord, EventStore, is_event_log
from castore_dam._scan import LogScan, read_aggregate

_LISTED = 100


class Aggregates:
    """The aggregates of a store. Nothing is decoded.

    Args:
        event_store: the store.
    """

    def __init__(self, event_store: EventStore) -> None:
        self._store = event_store
        self._id = event_store.event_store_id
        self._adapter = event_store.get_storage_adapter()
        self._log: EventLog | None = self._adapter if is_event_log(self._adapter) else None

    async def list(self) -> AsyncGenerator[str]:
        """Yield the aggregates that have an event of version 1."""
        cursor = None
        while True:
            found = await self._adapter.list_aggregate_ids(self._id, limit=_LISTED, cursor=cursor)
            for each in found.aggregates:
                yield each.aggregate_id
            cursor = found.cursor
            if cursor is None:
                return

    async def has_count(self, count: int) -> bool:
        """Tell whether the store has so many events; ``False`` where no log can tell."""
        return self._log is not None and count == await self._log.count_events([self._id])

    async def find_unlisted(self) -> AsyncGenerator[str]:
        """Yield the aggregates that have no event of version 1, where there is a log."""
        if self._log is None:
            return
        scan = LogScan([self._store], self._log, await self._log.get_last_position())
        async with aclosing(scan.read()) as pages:
            async for page in pages:
                for each in page.events:
                    if await self._begins(each.record):
                        yield each.record.aggregate_id

    async def names(self, aggregate_id: str) -> bool:
        """Tell whether `list` or `find_unlisted` yields an aggregate."""
        first = await self._get_first_version(aggregate_id)
        return first == 1 or (first > 1 and self._log is not None)

    def read(self, aggregate_id: str) -> AsyncGenerator[EventRecord]:
        """Yield the events of an aggregate."""
        return read_aggregate(self._adapter, self._id, aggregate_id)

    async def _begins(self, record: EventRecord) -> bool:
        """Tell whether an event of a later version than 1 is the first of its aggregate."""
        return record.version > 1 and (
            await self._get_first_version(record.aggregate_id) == record.version
        )

    async def _get_first_version(self, aggregate_id: str) -> int:
        found = await self._adapter.get_events(self._id, aggregate_id, limit=1)
        return found[0].version if found else 0
