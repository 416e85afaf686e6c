"""Storage adapters that stand before those of the user's stores."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventStorageAdapter,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
)


class StorageWrapper:
    """Stands before the storage adapter of a store, and lists its aggregates."""

    def __init__(self, storage_adapter: EventStorageAdapter) -> None:
        self.storage_adapter = storage_adapter

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
        """List the aggregates that are stored."""
        return await self.storage_adapter.list_aggregate_ids(
            event_store_id,
            limit=limit,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
            reverse=reverse,
            cursor=cursor,
        )


def unwrap(storage_adapter: EventStorageAdapter) -> EventStorageAdapter:
    """Return the adapter behind a wrapper."""
    return cast("StorageWrapper", storage_adapter).storage_adapter


def check_together(parts: Sequence[GroupedRecord | AssertedVersion]) -> None:
    """Refuse a group that the adapters behind the wrappers could not write at once.

    An event store refuses adapters of different types, and wrappers are all of one.

    Raises:
        InvalidEventGroupError: the adapters behind the wrappers are of different types.
    """
    names = {type(adapter): type(adapter).__name__ for adapter in map(_get_wrapped, parts)}
    if len(names) > 1:
        raise InvalidEventGroupError(f"{' and '.join(names.values())} cannot write together")


def _get_wrapped(part: GroupedRecord | AssertedVersion) -> EventStorageAdapter:
    return unwrap(part.storage_adapter)
