"""Adapters that do not keep groups together."""

import asyncio
from collections.abc import Sequence
from typing import Any

from castore_core import (
    EventAlreadyExistsError,
    GroupedRecord,
    InvalidEventGroupError,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)


class GroupNotAtomic(InMemoryEventStorageAdapter):
    """Pushes the events of a group one after the other."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Push each."""
        for each in group:
            await super().push_event_group([each], **options)


class GroupNamesItsFirst(InMemoryEventStorageAdapter):
    """Does not know which event of a group clashed."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Name the first."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError as error:
            store_id, record, _ = group[0]
            raise EventAlreadyExistsError(store_id, record.aggregate_id, record.version) from error


class GroupForceIgnored(InMemoryEventStorageAdapter):
    """Forces no group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Drop the option."""
        options["force"] = False
        await super().push_event_group(group, **options)


class GroupOfOneStore(InMemoryEventStorageAdapter):
    """Takes the store of the first event for that of all."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Put all into one store."""
        first = group[0].event_store_id
        await super().push_event_group(
            [each._replace(event_store_id=first) for each in group], **options
        )


class GroupLimitNotDeclared(InMemoryEventStorageAdapter):
    """Takes no more than 100 events."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Refuse more."""
        if len(group) > 100:
            raise InvalidEventGroupError("it has more than 100 events")
        await super().push_event_group(group, **options)


class GroupInParts(InMemoryEventStorageAdapter):
    """Writes a large group in several transactions."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write 100 at a time."""
        for start in range(0, len(group), 100):
            await super().push_event_group(group[start : start + 100], **options)


class GroupWithoutLock(InMemoryEventStorageAdapter):
    """Checks all the events of a group, and writes them after a pause."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Pause."""
        for event_store_id, record, adapter in group:
            found = await adapter.get_events(event_store_id, record.aggregate_id)
            taken = {each.version for each in found}
            if not options.get("force") and record.version in taken:
                raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        await asyncio.sleep(0)
        options["force"] = True
        await super().push_event_group(group, **options)


class GroupCancelledInTheMiddle(InMemoryEventStorageAdapter):
    """Can be cancelled between two events of a group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Pause after each event."""
        for each in group:
            await super().push_event_group([each], **options)
            await asyncio.sleep(0)


class GroupNeedsTwo(InMemoryEventStorageAdapter):
    """Takes one event for no group."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Refuse one."""
        if len(group) == 1:
            raise InvalidEventGroupError("it has one event")
        await super().push_event_group(group, **options)


class GroupOfOneAggregate(InMemoryEventStorageAdapter):
    """Takes the aggregate of the first event for that of all."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Put all into one aggregate."""
        first = group[0].record.aggregate_id
        records = [each.record._replace(aggregate_id=first) for each in group]
        await super().push_event_group(
            [each._replace(record=record) for each, record in zip(group, records, strict=True)],
            **options,
        )


class GroupOfDistinctAggregates(InMemoryEventStorageAdapter):
    """Has room for one event of each aggregate."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Keep the last."""
        last = {(each.event_store_id, each.record.aggregate_id): each for each in group}
        await super().push_event_group([*last.values()], **options)


class GroupNamesTheNext(InMemoryEventStorageAdapter):
    """Counts from 1 where its backend counts from 0."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Name the event after the one that clashed."""
        try:
            await super().push_event_group(group, **options)
        except EventAlreadyExistsError as error:
            places = [(each.event_store_id, *each.record[:2]) for each in group]
            index = places.index((error.event_store_id, error.aggregate_id, error.version))
            raise EventAlreadyExistsError(*places[(index + 1) % len(places)]) from error
