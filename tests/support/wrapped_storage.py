"""An event storage around another one: a base for those of tests that change what a call does."""

from collections.abc import Sequence
from datetime import datetime

from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    JSONValue,
)


class WrappedStorage:
    """Passes calls on to another storage. Override the calls that a test changes."""

    def __init__(self, storage_adapter: EventStorageAdapter) -> None:
        self.adapter = storage_adapter

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        await self.adapter.push_event(event_store_id, record, force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write a group, whose adapters are wrapped like this one."""
        await self.adapter.push_event_group(
            [each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in group],
            asserted=[
                each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in asserted
            ],
            force=force,
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
        return await self.adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
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
        return await self.adapter.list_aggregate_ids(
            event_store_id,
            limit=limit,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
            reverse=reverse,
            cursor=cursor,
        )


def _unwrap(storage_adapter: EventStorageAdapter) -> EventStorageAdapter:
    is_wrapped = isinstance(storage_adapter, WrappedStorage)
    return storage_adapter.adapter if is_wrapped else storage_adapter
