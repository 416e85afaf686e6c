"""Adapters that do not keep groups together are caught."""

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
from castore_test_tools import (
    EventStorageAdapterTests,
)


class GroupNotAtomic(InMemoryEventStorageAdapter):
    """Pushes the events of a group one after the other."""

    caught_by = EventStorageAdapterTests.test_a_group_with_a_clash_is_refused

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Push each."""
        for event_store_id, record, adapter in group:
            await adapter.push_event(event_store_id, record, force=force)


class GroupNamesItsFirst(InMemoryEventStorageAdapter):
    """Does not know which event of a group clashed."""

    caught_by = EventStorageAdapterTests.test_a_group_with_a_clash_is_refused

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Name the first."""
        try:
            await super().push_event_group(group, force=force)
        except EventAlreadyExistsError as error:
            store_id, record, _ = group[0]
            raise EventAlreadyExistsError(store_id, record.aggregate_id, record.version) from error


class GroupForceIgnored(InMemoryEventStorageAdapter):
    """Forces no group."""

    caught_by = EventStorageAdapterTests.test_force_replaces_the_events_of_a_group

    async def push_event_group(self, group: Sequence[GroupedRecord], **_: Any) -> None:
        """Drop the option."""
        await super().push_event_group(group)


class GroupOfOneStore(InMemoryEventStorageAdapter):
    """Takes the store of the first event for that of all."""

    caught_by = EventStorageAdapterTests.test_a_group_of_several_stores

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Put all into one store."""
        first = group[0].event_store_id
        await super().push_event_group(
            [each._replace(event_store_id=first) for each in group], force=force
        )


class GroupLimitNotDeclared(InMemoryEventStorageAdapter):
    """Takes no more than 100 events."""

    caught_by = EventStorageAdapterTests.test_a_large_group

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Refuse more."""
        if len(group) > 100:
            raise InvalidEventGroupError("it has more than 100 events")
        await super().push_event_group(group, force=force)


class GroupInParts(InMemoryEventStorageAdapter):
    """Writes a large group in several transactions."""

    caught_by = EventStorageAdapterTests.test_a_large_group_with_a_clash_at_its_end

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write 100 at a time."""
        for start in range(0, len(group), 100):
            await super().push_event_group(group[start : start + 100], force=force)


class GroupWithoutLock(InMemoryEventStorageAdapter):
    """Checks all the events of a group, and writes them after a pause."""

    caught_by = EventStorageAdapterTests.test_a_group_among_single_pushes

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Pause."""
        for event_store_id, record, adapter in group:
            found = await adapter.get_events(event_store_id, record.aggregate_id)
            if not force and record.version in {each.version for each in found}:
                raise EventAlreadyExistsError(event_store_id, record.aggregate_id, record.version)
        await asyncio.sleep(0)
        await super().push_event_group(group, force=True)


class GroupCancelledInTheMiddle(InMemoryEventStorageAdapter):
    """Can be cancelled between two events of a group."""

    caught_by = EventStorageAdapterTests.test_a_cancelled_group_is_whole_or_absent

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Pause after each event."""
        for each in group:
            await super().push_event_group([each], force=force)
            await asyncio.sleep(0)


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
