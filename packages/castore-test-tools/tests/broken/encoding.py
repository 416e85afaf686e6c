"""Adapters that encode what they were given later, while their caller may change it."""

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from castore_core import EventRecord, GroupedRecord, MessageRecord, Snapshot
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter

from .channels import Channel


class EncodesInAThread(InMemoryEventStorageAdapter):
    """Encodes an event in a thread, to leave the event loop to others."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Encode it."""
        encoded = await asyncio.to_thread(deepcopy, record)
        await super().push_event(event_store_id, encoded, force=force)


class EncodesGroupsInAThread(InMemoryEventStorageAdapter):
    """Encodes a group in a thread."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Encode it."""
        records = await asyncio.to_thread(deepcopy, [each.record for each in group])
        encoded = [each._replace(record=one) for each, one in zip(group, records, strict=True)]
        await super().push_event_group(encoded, **options)


class EncodesAfterConnecting(InMemoryEventStorageAdapter):
    """Encodes an event once it has a connection."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Wait for one."""
        await asyncio.sleep(0)
        await super().push_event_group(group, **options)


class EncodesSnapshotsInAThread(InMemorySnapshotStorageAdapter):
    """Encodes a snapshot in a thread."""

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Encode it."""
        await super().put_snapshot(await asyncio.to_thread(deepcopy, snapshot))


class EncodesMessagesOneByOne(Channel):
    """Encodes a message when those before it are sent."""

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Send each alone."""
        for each in messages:
            await super().publish_messages([each], replay=replay)
