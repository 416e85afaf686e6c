"""Storages that write nothing, or tell what they wrote."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

from castore_core import (
    AggregateIdsSlice,
    AssertedVersion,
    EventAlreadyExistsError,
    EventRecord,
    EventStorageAdapter,
    GroupedRecord,
    JSONValue,
    VersionAssertionError,
    VersionGapError,
)


class _StorageOver:
    """A storage over that of a store, which answers what nobody has changed here."""

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


class DraftStorageAdapter(_StorageOver):
    """Keeps what is pushed in memory, over the events of a storage that it only reads.

    Lists of aggregates lack those that began here.
    """

    def __init__(self, storage_adapter: EventStorageAdapter) -> None:
        super().__init__(storage_adapter)
        self.drafts: dict[tuple[str, str, int], EventRecord] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Keep an event."""
        await self.push_event_group([GroupedRecord(event_store_id, record, self)], force=force)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Keep all the events of a group, or none: the same conflicts come up as in a storage."""
        for each in asserted:
            drafts = cast("DraftStorageAdapter", each.storage_adapter)
            if (
                await drafts.find_last_version(each.event_store_id, each.aggregate_id)
                != each.version
            ):
                raise VersionAssertionError(each.event_store_id, each.aggregate_id, each.version)
        ahead: dict[tuple[int, str, str], int] = {}
        for event_store_id, record, adapter in group if not force else ():
            drafts = cast("DraftStorageAdapter", adapter)
            key = (id(drafts), event_store_id, record.aggregate_id)
            last = ahead.get(key)
            if last is None:
                last = await drafts.find_last_version(event_store_id, record.aggregate_id)
            _check_version(event_store_id, record, last)
            ahead[key] = record.version
        for event_store_id, record, adapter in group:
            drafts = cast("DraftStorageAdapter", adapter)
            drafts.drafts[event_store_id, record.aggregate_id, record.version] = record.copy()

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
        """Read the events of the storage and those that were pushed here."""
        stored = await self.storage_adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )
        by_version = {each.version: each for each in stored}
        for (store_id, own_id, version), record in self.drafts.items():
            is_within = (min_version is None or version >= min_version) and (
                max_version is None or version <= max_version
            )
            if (store_id, own_id) == (event_store_id, aggregate_id) and is_within:
                by_version[version] = record.copy()
        return [by_version[each] for each in sorted(by_version, reverse=reverse)][:limit]

    async def find_last_version(self, event_store_id: str, aggregate_id: str) -> int:
        """Return the version of the last event, or 0."""
        found = await self.get_events(event_store_id, aggregate_id, reverse=True, limit=1)
        return found[0].version if found else 0


class RecordingStorageAdapter(_StorageOver):
    """Writes to a storage, and tells of each event that was written."""

    def __init__(
        self, storage_adapter: EventStorageAdapter, on_written: Callable[[str, EventRecord], None]
    ) -> None:
        super().__init__(storage_adapter)
        self._on_written = on_written

    def __getattr__(self, name: str) -> Any:
        """Return what else the storage can do, such as reading its log."""
        return getattr(self.storage_adapter, name)

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write an event."""
        await self.storage_adapter.push_event(event_store_id, record, force=force)
        self._on_written(event_store_id, record)

    async def push_event_group(
        self,
        group: Sequence[GroupedRecord],
        *,
        asserted: Sequence[AssertedVersion] = (),
        force: bool = False,
    ) -> None:
        """Write a group."""
        await self.storage_adapter.push_event_group(
            [each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in group],
            asserted=[
                each._replace(storage_adapter=_unwrap(each.storage_adapter)) for each in asserted
            ],
            force=force,
        )
        for each in group:
            self._on_written(each.event_store_id, each.record)

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
        """Read the events of an aggregate."""
        return await self.storage_adapter.get_events(
            event_store_id,
            aggregate_id,
            min_version=min_version,
            max_version=max_version,
            limit=limit,
            reverse=reverse,
        )


def _unwrap(storage_adapter: EventStorageAdapter) -> EventStorageAdapter:
    return cast("RecordingStorageAdapter", storage_adapter).storage_adapter


def _check_version(event_store_id: str, record: EventRecord, last_version: int) -> None:
    if record.version <= last_version:
        raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
    if record.version > last_version + 1:
        raise VersionGapError(event_store_id, record.aggregate_id, record.version)
