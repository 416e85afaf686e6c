"""Event logs that skip, repeat or move events are caught."""

import asyncio
from collections.abc import Sequence

from castore_core import (
    EventRecord,
    GroupedRecord,
    LogEntry,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)
from castore_test_tools import (
    EventLogTests,
)


class NoStoreIsEveryStore(InMemoryEventStorageAdapter):
    """Takes an empty list of stores for none given."""

    caught_by = EventLogTests.test_the_log_of_no_store

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Test for truth."""
        return await super().read_events(event_store_ids or None, after_position, limit)


class AfterIsInclusive(InMemoryEventStorageAdapter):
    """Begins with the position that was read already."""

    caught_by = EventLogTests.test_after_position_is_exclusive

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Begin one position earlier."""
        return await super().read_events(event_store_ids, after_position - 1, limit)


class LimitBeforeFilter(InMemoryEventStorageAdapter):
    """Counts the events of other stores."""

    caught_by = EventLogTests.test_the_log_of_some_stores

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Filter last."""
        found = await super().read_events(None, after_position, limit)
        if event_store_ids is None:
            return found
        return [each for each in found if each.event_store_id in event_store_ids]


class ReplacedGoesToTheEnd(InMemoryEventStorageAdapter):
    """Logs a forced event as the last one."""

    caught_by = EventLogTests.test_a_replaced_event_keeps_its_position

    _moved: int | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember what was forced."""
        await super().push_event(event_store_id, record, force=force)
        self._moved = record.version if force else None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Put it last."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return sorted(found, key=lambda each: each.record.version == self._moved)


class PositionsCommitLate(InMemoryEventStorageAdapter):
    """Shows some events a while after later ones, as a database sequence does."""

    caught_by = EventLogTests.test_a_reader_skips_nothing_while_others_write

    def __init__(self) -> None:
        super().__init__()
        self._late: EventRecord | None = None

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Take a position, and show it a few turns later."""
        if record.aggregate_id == "a8":
            self._late = record
        await super().push_event(event_store_id, record, force=force)
        if self._late is record:
            for _ in range(5):
                await asyncio.sleep(0)
            self._late = None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Leave out what is not committed."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return [each for each in found if each.record != self._late]


class LogOrderedByTime(InMemoryEventStorageAdapter):
    """Logs events in the order of their timestamps."""

    caught_by = EventLogTests.test_the_log_has_the_order_of_pushes

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Sort."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return sorted(found, key=lambda each: each.record.timestamp)


class GroupLoggedBackwards(InMemoryEventStorageAdapter):
    """Writes the last event of a group first."""

    caught_by = EventLogTests.test_a_group_is_logged_in_its_order

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Reverse."""
        await super().push_event_group(group[::-1], force=force)


class LogHasNoAbsence(InMemoryEventStorageAdapter):
    """Reads null where a field is absent."""

    caught_by = EventLogTests.test_absent_is_not_null_in_the_log

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Replace."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return [
            each._replace(record=each.record._replace(metadata=each.record.metadata or None))
            for each in found
        ]


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
