"""An adapter that is called as façades call it: from threads that have no event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any, TypeVar

from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    JSONValue,
)
from castore_core.sync import EventLoopThread

T = TypeVar("T")


class ThroughFacade:
    """Calls an adapter in an event loop thread, each time from a thread that waits for it.

    Records are copied before: a synchronous program changes nothing while it waits.

    Args:
        adapter: the asynchronous one.
        event_loop: where it runs.
    """

    def __init__(self, adapter: EventStorageAdapter, event_loop: EventLoopThread) -> None:
        self.adapter = adapter
        self._event_loop = event_loop

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        copied = deepcopy(record)
        await self._call(lambda: self.adapter.push_event(event_store_id, copied, force=force))

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write several events."""
        records = [
            GroupedRecord(store_id, deepcopy(record), _unwrap(adapter))
            for store_id, record, adapter in group
        ]
        versions = [
            each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in asserted
        ]
        await self._call(
            lambda: self.adapter.push_event_group(records, asserted=versions, force=force)
        )

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Sequence[EventRecord]:
        """Read events."""
        return await self._call(
            lambda: self.adapter.get_events(
                event_store_id,
                aggregate_id,
                min_version=min_version,
                max_version=max_version,
                limit=limit,
                reverse=reverse,
            )
        )

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List aggregates."""
        return await self._call(
            lambda: self.adapter.list_aggregate_ids(
                event_store_id,
                limit=limit,
                initial_event_after=initial_event_after,
                initial_event_before=initial_event_before,
                reverse=reverse,
                cursor=cursor,
            )
        )

    async def _call(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await asyncio.to_thread(lambda: self._event_loop.run(function(), timeout=60))


def _unwrap(adapter: EventStorageAdapter) -> EventStorageAdapter:
    return adapter.adapter if isinstance(adapter, ThroughFacade) else adapter
