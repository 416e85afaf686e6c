"""A storage that reports the events that it wrote."""

from collections.abc import Callable, Sequence
from typing import Any

from castore_core import AssertedVersion, EventRecord, EventStorageAdapter, GroupedRecord
from castore_visualizer._storage_wrapper import StorageWrapper, check_together, unwrap


class RecordingStorageAdapter(StorageWrapper):
    """Writes to a storage, and reports each event that was written."""

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
        """Write a group, all of it or nothing.

        Raises:
            InvalidEventGroupError: its storages cannot write together. Nothing was written.
        """
        check_together([*group, *asserted])
        await self.storage_adapter.push_event_group(
            [each._replace(storage_adapter=unwrap(each.storage_adapter)) for each in group],
            asserted=[
                each._replace(storage_adapter=unwrap(each.storage_adapter)) for each in asserted
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
