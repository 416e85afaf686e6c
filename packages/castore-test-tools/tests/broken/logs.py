"""Event logs that skip, repeat or move events."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta, timezone
from decimal import Decimal
from typing import cast

from castore_core import (
    EventRecord,
    GroupedRecord,
    LogEntry,
    StorageError,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)

from .values import map_scalars, to_decimal


class NoStoreIsEveryStore(InMemoryEventStorageAdapter):
    """Takes an empty list of stores for none given."""

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

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Reverse."""
        await super().push_event_group(group[::-1], force=force)


class LogHasNoAbsence(InMemoryEventStorageAdapter):
    """Reads null where a field is absent."""

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


class EmptyLogRaises(InMemoryEventStorageAdapter):
    """Has no log before the first event."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Refuse."""
        found = await super().read_events(event_store_ids, after_position, limit)
        if not found:
            raise StorageError("there is no log")
        return found


class PositionsBeginAt0(InMemoryEventStorageAdapter):
    """Counts as Python does."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Count."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return [each._replace(position=each.position - 1) for each in found]


class LogBeginsAnew(InMemoryEventStorageAdapter):
    """Begins anew at the end."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Go round."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return found or await super().read_events(event_store_ids, 0, limit)


class LogLimitIgnored(InMemoryEventStorageAdapter):
    """Reads the whole log."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Drop the limit."""
        return await super().read_events(event_store_ids, after_position, 10 * limit)


class LogStoresAreFolded(InMemoryEventStorageAdapter):
    """Compares stores without regard to case."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Fold."""
        wanted = {each.casefold() for each in event_store_ids or []}
        found = await super().read_events(None, after_position, limit)
        if event_store_ids is None:
            return found
        return [each for each in found if each.event_store_id.casefold() in wanted]


class FirstPageOfLogOnly(InMemoryEventStorageAdapter):
    """Reads what its backend returns at once."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Stop after 1,000."""
        return await super().read_events(event_store_ids, after_position, min(limit, 1000))


class LogGivesReferencesOut(InMemoryEventStorageAdapter):
    """Remembers what it read, and gives the same value out again."""

    _read: list[LogEntry] | None = None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Read once."""
        if self._read is None:
            self._read = await super().read_events(event_store_ids, after_position, limit)
        return self._read


class LogOfOneEventLoop(InMemoryEventStorageAdapter):
    """Keeps the event loop of its first reader."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return await super().read_events(event_store_ids, after_position, limit)


class RewritingLog(InMemoryEventStorageAdapter):
    """Reads the log by a way of its own."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Return what is given out instead."""
        return record

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after_position: int = 0,
        limit: int = 100,
    ) -> list[LogEntry]:
        """Give out something else."""
        found = await super().read_events(event_store_ids, after_position, limit)
        return [each._replace(record=self.rewrite(each.record)) for each in found]


class DecimalLeaksFromTheLog(RewritingLog):
    """Converts no numbers."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Forget it."""
        return record._replace(payload=map_scalars(record.payload, to_decimal))


class LogIsInLocalTime(RewritingLog):
    """Gives timestamps out in the zone of its server."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Move them half a day."""
        return record._replace(
            timestamp=record.timestamp.replace(tzinfo=timezone(timedelta(hours=12)))
        )


class LogVersionsAreDecimals(RewritingLog):
    """Gives versions out as its backend does."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Forget to convert."""
        return record._replace(version=cast("int", Decimal(record.version)))


class ReplacedGroupGoesToTheEnd(InMemoryEventStorageAdapter):
    """Gives the replaced events of a group new positions."""

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Forget the old entries."""
        if force and len(group) > 1:
            for event_store_id, record, _ in group:
                self._aggregates[event_store_id, record.aggregate_id].pop(record.version, None)
        await super().push_event_group(group, force=force)
