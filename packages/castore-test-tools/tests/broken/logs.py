"""Event logs that skip, repeat or move events."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import pytest

from castore_core import (
    LOG_START,
    EventRecord,
    GroupedRecord,
    InvalidLogPositionError,
    LogPosition,
    LogSlice,
    StorageError,
    format_position,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import EventLogTests

from .values import map_scalars, to_decimal

FEW = 5


class ChangedLog(InMemoryEventStorageAdapter):
    """Reads the log by a way of its own."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Return what is given out instead."""
        return found

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Give out something else."""
        return self.change(await super().read_events(event_store_ids, after, limit), after)


class RepositionedLog(InMemoryEventStorageAdapter):
    """Has positions of its own making."""

    def show(self, position: LogPosition) -> LogPosition:
        """Return what is given out for a position that is not that of the start."""
        return position

    def read(self, shown: LogPosition) -> LogPosition:
        """Return the position for which that was given out."""
        return shown

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Read the log after such a position."""
        found = await super().read_events(event_store_ids, after and self.read(after), limit)
        entries = [each._replace(position=self.show(each.position)) for each in found.entries]
        return LogSlice(entries, found.position and self.show(found.position))

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Read the log before such a position."""
        found = await super().read_events_backwards(
            event_store_ids, before and self.read(before), limit
        )
        entries = [each._replace(position=self.show(each.position)) for each in found.entries]
        return LogSlice(entries, found.position and self.show(found.position))

    async def get_last_position(self) -> LogPosition:
        """Return such a position."""
        last = await super().get_last_position()
        return last and self.show(last)

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return such a position."""
        found = await super().find_position(event_store_id, aggregate_id, version)
        return found and self.show(found)

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Count the events after such a position."""
        return await super().count_events(event_store_ids, after and self.read(after))

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Wait after such a position."""
        await super().wait_for_events(after and self.read(after), timeout)


class PartialLog(RepositionedLog):
    """Looks at a few events at a time, and hears of no push: slow, and sound."""

    def show(self, position: LogPosition) -> LogPosition:
        """Write it another way."""
        return f"events/{position}"

    def read(self, shown: LogPosition) -> LogPosition:
        """Read it, or refuse it."""
        name, _, position = shown.partition("/")
        if name != "events":
            raise InvalidLogPositionError(shown, "it has no name")
        return position

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Look at a few, and say how far that was."""
        found = await super().read_events(None, after, min(limit, FEW))
        wanted = [
            each
            for each in found.entries
            if event_store_ids is None or each.event_store_id in event_store_ids
        ]
        return LogSlice(wanted, found.position)

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Look, and let the time pass where nothing follows."""
        if not (await self.read_events(None, after)).entries:
            await asyncio.sleep(max(timeout, 0))


class PartialLogTests(EventLogTests):
    """Everything is declared."""

    adapter_class: type[PartialLog] = PartialLog
    wakes_waiting_readers = False
    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self) -> PartialLog:
        """Return a log without events."""
        return self.adapter_class()


class NoStoreIsEveryStore(InMemoryEventStorageAdapter):
    """Takes an empty list of stores for none given."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Test for truth."""
        return await super().read_events(event_store_ids or None, after, limit)


class AfterIsInclusive(InMemoryEventStorageAdapter):
    """Begins with the position that was read already."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Begin one position earlier."""
        number = parse_position(after) - 1
        after = format_position(number) if number > 0 else LOG_START
        return await super().read_events(event_store_ids, after, limit)


class FilterAfterLimit(InMemoryEventStorageAdapter):
    """Takes an end of those that it looked at for the end of the log."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Filter last, and say nothing of what was passed over."""
        found = await super().read_events(None, after, limit)
        if event_store_ids is None:
            return found
        wanted = [each for each in found.entries if each.event_store_id in event_store_ids]
        return LogSlice(wanted, wanted[-1].position if wanted else after)


class LogOrderedByTime(ChangedLog):
    """Logs events in the order of their timestamps."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Sort."""
        return found._replace(entries=sorted(found.entries, key=lambda each: each.record.timestamp))


class GroupLoggedBackwards(InMemoryEventStorageAdapter):
    """Writes the last event of a group first."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Reverse."""
        await super().push_event_group(group[::-1], **options)


class EmptyLogRaises(ChangedLog):
    """Has no log before the first event."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Refuse."""
        if not self._log:
            raise StorageError("there is no log")
        return found


class LogLimitIgnored(InMemoryEventStorageAdapter):
    """Reads the whole log."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Drop the limit."""
        return await super().read_events(event_store_ids, after, 10 * limit)


class NoLimitIsNoEntry(InMemoryEventStorageAdapter):
    """Reads nothing where it may read nothing."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Return at once."""
        if limit < 1:
            return LogSlice([], after)
        return await super().read_events(event_store_ids, after, limit)


class LogStoresAreFolded(InMemoryEventStorageAdapter):
    """Compares stores without regard to case."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Add the look-alikes."""
        if event_store_ids is not None:
            wanted = {each.casefold() for each in event_store_ids}
            stores = {each.event_store_id for each in self._log}
            event_store_ids = [each for each in stores if each.casefold() in wanted]
        return await super().read_events(event_store_ids, after, limit)


class FirstPageOfLogOnly(ChangedLog):
    """Reads what its backend returns at once, and takes that for all."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Stop after 1,000."""
        return found._replace(entries=found.entries[:1000])


class LogGivesReferencesOut(ChangedLog):
    """Remembers what it read, and gives the same value out again."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[LogPosition, LogSlice] = {}

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Read once."""
        return self._read.setdefault(after, found)


class LogOfOneEventLoop(InMemoryEventStorageAdapter):
    """Keeps the event loop of its first reader."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Refuse another loop."""
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("attached to a different loop")
        return await super().read_events(event_store_ids, after, limit)


class RewritingLog(ChangedLog):
    """Reads the events of the log by a way of its own."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Return what is given out instead."""
        return record

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Give out something else."""
        entries = [each._replace(record=self.rewrite(each.record)) for each in found.entries]
        return found._replace(entries=entries)


class LogHasNoAbsence(RewritingLog):
    """Reads null where a field is absent."""

    def rewrite(self, record: EventRecord) -> EventRecord:
        """Replace."""
        return record._replace(metadata=record.metadata or None)


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


class ReplacedGoesToTheEnd(InMemoryEventStorageAdapter):
    """Gives an event that is replaced a new position."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Forget the old entry."""
        if options.get("force") and len(group) == 1:
            ((event_store_id, record, _),) = group
            self._aggregates[event_store_id, record.aggregate_id].pop(record.version, None)
        await super().push_event_group(group, **options)


class ReplacedGroupGoesToTheEnd(InMemoryEventStorageAdapter):
    """Gives the replaced events of a group new positions."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Forget the old entries."""
        if options.get("force") and len(group) > 1:
            for event_store_id, record, _ in group:
                self._aggregates[event_store_id, record.aggregate_id].pop(record.version, None)
        await super().push_event_group(group, **options)
