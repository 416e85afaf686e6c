"""Event logs whose positions do not tell a reader where to go on."""

import asyncio
from collections.abc import Sequence
from typing import cast

from castore_core import (
    LOG_START,
    EventRecord,
    InvalidLogPositionError,
    LogPosition,
    LogSlice,
    format_position,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter

from .logs import ChangedLog, RepositionedLog


class PositionsBeginAtTheStart(RepositionedLog):
    """Counts as Python does."""

    def show(self, position: LogPosition) -> LogPosition:
        """Subtract 1."""
        number = parse_position(position) - 1
        return format_position(number) if number else LOG_START

    def read(self, shown: LogPosition) -> LogPosition:
        """Add 1."""
        return format_position(parse_position(shown) + 1)


class PositionsAreNotPadded(RepositionedLog):
    """Writes numbers as people do."""

    def show(self, position: LogPosition) -> LogPosition:
        """Write a number."""
        return str(parse_position(position))

    def read(self, shown: LogPosition) -> LogPosition:
        """Read a number."""
        return format_position(int(shown))


class PositionsAreNumbers(RepositionedLog):
    """Gives out the numbers of its backend."""

    def show(self, position: LogPosition) -> LogPosition:
        """Forget to write them."""
        return cast("LogPosition", parse_position(position))

    def read(self, shown: LogPosition) -> LogPosition:
        """Read one."""
        return format_position(cast("int", shown))


class SliceSkipsAhead(ChangedLog):
    """Says that it has looked at the whole log, also when the limit was reached before."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Go to the end."""
        return found._replace(position=max(after, self._get_last_position()))


class SliceEndsWithItsFirst(ChangedLog):
    """Says to go on within what it has given out."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Go on after the first entry."""
        return found._replace(position=found.entries[0].position) if found.entries else found


class PositionStandsStill(ChangedLog):
    """Does not say how far it has looked where it has found nothing."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Go on after the last entry."""
        return found._replace(position=found.entries[-1].position if found.entries else after)


class EndMovesOn(ChangedLog):
    """Never comes to the end of the log."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Go on and on."""
        if found.position != after:
            return found
        return found._replace(position=format_position(parse_position(after) + 1))


class LogBeginsAnew(InMemoryEventStorageAdapter):
    """Begins anew at the end."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Go round."""
        found = await super().read_events(event_store_ids, after, limit)
        if found.position != after:
            return found
        return await super().read_events(event_store_ids, LOG_START, limit)


class LooksBeyondTheEnd(ChangedLog):
    """Says that it has looked at the next event, where it has looked for it."""

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Count it."""
        if found.entries:
            return found
        return found._replace(position=max(after, format_position(len(self._log) + 1)))


class ForeignPositionIsTheStart(InMemoryEventStorageAdapter):
    """Begins anew where it does not understand a position."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Drop the position."""
        try:
            return await super().read_events(event_store_ids, after, limit)
        except InvalidLogPositionError:
            return await super().read_events(event_store_ids, LOG_START, limit)


class WaitsAfterAnyPosition(InMemoryEventStorageAdapter):
    """Looks at no position when it waits."""

    async def wait_for_events(self, after: LogPosition, timeout: float) -> None:  # noqa: ASYNC109 as in the protocol
        """Compare texts."""
        if self._get_last_position() <= after:
            await asyncio.sleep(timeout)


class KeywordOnlyPositionError(InvalidLogPositionError):
    """An error that does not pickle."""

    def __init__(self, *, position: str) -> None:
        super().__init__(position, "it is of another making")


class PositionErrorDoesNotPickle(InMemoryEventStorageAdapter):
    """Raises an error of its own."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Raise another error."""
        try:
            return await super().read_events(event_store_ids, after, limit)
        except InvalidLogPositionError as error:
            raise KeywordOnlyPositionError(position=after) from error


class EmptyLogEndsAtZero(InMemoryEventStorageAdapter):
    """Has a number for the position before the first."""

    async def get_last_position(self) -> LogPosition:
        """Return it."""
        return await super().get_last_position() or "0" * 16


class LastPositionLags(InMemoryEventStorageAdapter):
    """Does not count the last event."""

    async def get_last_position(self) -> LogPosition:
        """Return the position before it."""
        return self._log[-2].position if len(self._log) > 1 else LOG_START


class LastPositionIsTheNext(InMemoryEventStorageAdapter):
    """Returns where the next event will be."""

    async def get_last_position(self) -> LogPosition:
        """Count one more."""
        return format_position(len(self._log) + 1) if self._log else LOG_START


class LastPositionIsEstimated(InMemoryEventStorageAdapter):
    """Counts the pushes that are under way, and twice, to be sure."""

    _under_way = 0

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Count it meanwhile."""
        self._under_way += 1
        await super().push_event(event_store_id, record, force=force)
        self._under_way -= 1

    async def get_last_position(self) -> LogPosition:
        """Estimate."""
        number = len(self._log) + 2 * self._under_way
        return format_position(number) if number else LOG_START


class FindsTheAggregate(InMemoryEventStorageAdapter):
    """Does not look at the version."""

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the position of the last event."""
        events = await self.get_events(event_store_id, aggregate_id)
        return await super().find_position(event_store_id, aggregate_id, len(events))


class FindsInAnyStore(InMemoryEventStorageAdapter):
    """Does not look at the store."""

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the first position of such an event."""
        place = (aggregate_id, version)
        return next((each.position for each in self._log if each.record[:2] == place), None)


class MissingEventIsAtTheEnd(InMemoryEventStorageAdapter):
    """Takes an event that is not there for one that is to come."""

    async def find_position(
        self, event_store_id: str, aggregate_id: str, version: int
    ) -> LogPosition | None:
        """Return the end."""
        found = await super().find_position(event_store_id, aggregate_id, version)
        return found or await self.get_last_position()


class PositionsCommitLate(ChangedLog):
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

    def change(self, found: LogSlice, after: LogPosition) -> LogSlice:
        """Leave out what is not committed."""
        return found._replace(entries=[each for each in found.entries if each.record != self._late])


class LooksFurtherThanItRead(InMemoryEventStorageAdapter):
    """Asks for the end of the log after it has read, in another query."""

    async def read_events(
        self,
        event_store_ids: Sequence[str] | None = None,
        after: LogPosition = LOG_START,
        limit: int = 100,
    ) -> LogSlice:
        """Pause."""
        found = await super().read_events(event_store_ids, after, limit)
        if event_store_ids is None or len(found.entries) == limit:
            return found
        return found._replace(position=max(after, await self.get_last_position()))
