"""Adapters that show what they have not written yet, or lose what they were to write."""

import asyncio
from collections.abc import Sequence
from time import sleep
from typing import Any

from castore_core import ABSENT, EventAlreadyExistsError, EventRecord, GroupedRecord
from castore_in_memory import InMemoryEventStorageAdapter


class TornEvents(InMemoryEventStorageAdapter):
    """Writes an event in two steps, and lets nobody cancel it between them."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Shield both."""
        await asyncio.shield(self._push(event_store_id, record, force=force))

    async def _push(self, event_store_id: str, record: EventRecord, *, force: bool) -> None:
        await super().push_event(event_store_id, record._replace(metadata=ABSENT), force=force)
        await asyncio.sleep(0)
        await super().push_event(event_store_id, record, force=True)


class ForceDeletesFirst(InMemoryEventStorageAdapter):
    """Deletes the event that it is to replace, and then writes the new one."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Pause."""
        self._hidden = (event_store_id, *record[:2]) if force else None
        await super().push_event(event_store_id, record, force=force)
        self._hidden = None

    _hidden: tuple[str, str, int] | None = None

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> list[EventRecord]:
        """Leave out what was deleted."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        return [each for each in found if (event_store_id, *each[:2]) != self._hidden]


class RefusedGroupIsSeen(InMemoryEventStorageAdapter):
    """Writes the events of a group, and takes them back after a conflict."""

    def __init__(self) -> None:
        super().__init__()
        self._uncommitted: list[GroupedRecord] = []

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Show them meanwhile."""
        self._uncommitted = list(group) if len(group) > 1 else []
        try:
            await asyncio.sleep(0)
            await super().push_event_group(group, **options)
        finally:
            self._uncommitted = []

    async def get_events(
        self, event_store_id: str, aggregate_id: str, **options: Any
    ) -> list[EventRecord]:
        """Read what may be taken back."""
        found = await super().get_events(event_store_id, aggregate_id, **options)
        place = (event_store_id, aggregate_id)
        dirty = [each for each in self._uncommitted if (each[0], each[1].aggregate_id) == place]
        return found or [each.record for each in dirty]


class GroupAppearsInParts(InMemoryEventStorageAdapter):
    """Lets readers in when half of a group is written."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Pause in the middle."""
        half = len(group) // 2
        await super().push_event_group(group[:half], **options)
        await super().push_event_group(group[half:], **options)


class GroupAppearsFromThreads(InMemoryEventStorageAdapter):
    """Writes the last event of a group in a second call, for which it has a thread."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Wait for the thread."""
        await super().push_event_group(group[:-1], **options)
        await asyncio.to_thread(sleep, 0.001)
        await super().push_event_group(group[-1:], **options)


class CancellationSwallowed(InMemoryEventStorageAdapter):
    """Returns when it is cancelled, as if it had written."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Say nothing."""
        try:
            await super().push_event_group(group, **options)
        except asyncio.CancelledError:
            return


class CancellationIsAConflict(InMemoryEventStorageAdapter):
    """Takes whatever stops a push for a conflict."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Raise another error."""
        try:
            await super().push_event(event_store_id, record, force=force)
        except asyncio.CancelledError as error:
            taken = (event_store_id, record.aggregate_id, record.version)
            raise EventAlreadyExistsError(*taken) from error
