"""Bookmark storages that park other events than they are told, or none."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, cast

from castore_core import LOG_START, Failure, Lease, LogPosition, ParkedEvent
from castore_in_memory import InMemoryBookmarkStorageAdapter

from .remote import Client
from .remote_others import RemoteBookmarks

AT_ONCE = 25
BLANK = ParkedEvent("1", "NOTES", "a1", 1, "NOTED", cast("Any", None))


class OtherParkedEvents(InMemoryBookmarkStorageAdapter):
    """Gives parked events out by a way of its own."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Return what is given out instead."""
        return event

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Give out something else."""
        found = await super().get_parked_events(bookmark_id, after, limit)
        return [self.change(each) for each in found]


class SomethingIsParked(InMemoryBookmarkStorageAdapter):
    """Cannot say that there is nothing."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Give out a blank."""
        return await super().get_parked_events(bookmark_id, after, limit) or [BLANK]


class ParkedAtIsInSeconds(OtherParkedEvents):
    """Has a column of whole seconds."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Cut."""
        return event._replace(parked_at=event.parked_at.replace(microsecond=0))


class AttemptsAreDecimals(OtherParkedEvents):
    """Gives numbers out as its backend does."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Forget to convert."""
        return event._replace(attempts=cast("int", Decimal(event.attempts)))


class NoFailureIsABlankOne(OtherParkedEvents):
    """Has columns that are not NULL."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Fill them."""
        return event._replace(failure=event.failure or Failure("", ""))


class BlankFailureIsNone(OtherParkedEvents):
    """Tests a text for truth."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Take an empty one for none."""
        return event._replace(failure=event.failure if event.failure and event.failure[0] else None)


class FailuresAreCut(OtherParkedEvents):
    """Has columns of 255 characters."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Cut."""
        return event._replace(failure=event.failure and Failure(*(e[:255] for e in event.failure)))


class ParkedIdsAreCut(OtherParkedEvents):
    """Has a column of 255 characters."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Cut."""
        return event._replace(aggregate_id=event.aggregate_id[:255])


class ParkedTypesAreTrimmed(OtherParkedEvents):
    """Has a column of a fixed width."""

    def change(self, event: ParkedEvent) -> ParkedEvent:
        """Trim."""
        return event._replace(type=event.type.rstrip(" "))


class OrderOfParking(InMemoryBookmarkStorageAdapter):
    """Gives events out as they came."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Sort nothing."""
        found = self._parked.get(bookmark_id, {}).values()
        return [each for each in found if each.position > after][:limit]


class OrderOfALanguage(InMemoryBookmarkStorageAdapter):
    """Compares texts without regard to case."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Fold."""
        found = await super().get_parked_events(bookmark_id, after, 10 * limit)
        return sorted(found, key=lambda each: each.position.casefold())[:limit]


class OrderOfUTF16(InMemoryBookmarkStorageAdapter):
    """Compares texts as its language does."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Encode."""
        found = await super().get_parked_events(bookmark_id, after, 10 * limit)
        return sorted(found, key=lambda each: each.position.encode("utf-16-be"))[:limit]


class PageBeginsWithTheLast(InMemoryBookmarkStorageAdapter):
    """Begins with the event that was read already, unless that would not end."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Put it in front."""
        found = await super().get_parked_events(bookmark_id, after, limit)
        last = self._parked.get(bookmark_id, {}).get(after)
        return [last, *found][:limit] if last is not None and len(found) == limit > 1 else found


class PageBeginsWithAParkedEvent(InMemoryBookmarkStorageAdapter):
    """Looks for the event that was read last."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Begin anew where it is not there."""
        if after not in self._parked.get(bookmark_id, {}):
            after = LOG_START
        return await super().get_parked_events(bookmark_id, after, limit)


class ParkedLimitIgnored(InMemoryBookmarkStorageAdapter):
    """Reads all."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Drop the limit."""
        return await super().get_parked_events(bookmark_id, after, 10 * limit)


class FirstPageOfParkedEventsOnly(InMemoryBookmarkStorageAdapter):
    """Reads what its backend returns at once, and takes that for all."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Stop after 100."""
        return await super().get_parked_events(bookmark_id, after, min(limit, 100))


class OtherParking(InMemoryBookmarkStorageAdapter):
    """Parks by a way of its own."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Park and unpark."""
        super()._park(bookmark_id, parked, unparked)

    def _park(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        self.arrange(bookmark_id, parked, unparked)


class FirstParkingStays(OtherParking):
    """Inserts what is not there."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Leave out what is there."""
        there = self._parked[bookmark_id].keys() - set(unparked)
        super().arrange(bookmark_id, [e for e in parked if e.position not in there], unparked)


class OldFailureStays(OtherParking):
    """Updates what is given."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Merge."""
        there = self._parked[bookmark_id]
        merged = [
            each._replace(failure=each.failure or there[each.position].failure)
            if each.position in there
            else each
            for each in parked
        ]
        super().arrange(bookmark_id, merged, unparked)


class NothingIsUnparked(OtherParking):
    """Takes nothing back."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Forget it, unless it parks nothing."""
        super().arrange(bookmark_id, parked, () if parked else unparked)


class UnparkingNothingFails(OtherParking):
    """Takes back what is there only."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Refuse."""
        if not self._parked[bookmark_id].keys() >= set(unparked):
            raise RuntimeError("it is not parked")
        super().arrange(bookmark_id, parked, unparked)


class ParksOneLess(OtherParking):
    """Counts from 1 to 24."""

    def arrange(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        """Cut."""
        super().arrange(bookmark_id, parked[: AT_ONCE - 1], unparked)


class ParksApart(InMemoryBookmarkStorageAdapter):
    """Parks in a step of its own."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[None]:
        """Pause between the steps."""
        async with super().move_bookmark(lease, position):
            yield
        await asyncio.sleep(0)
        self._park(lease.bookmark_id, parked, unparked)


class ParksInSpiteOfAnError(InMemoryBookmarkStorageAdapter):
    """Parks whatever comes of the block."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[None]:
        """Park last."""
        try:
            async with super().move_bookmark(lease, position):
                yield
        finally:
            self._park(lease.bookmark_id, parked, unparked)


class ParksWithoutALease(InMemoryBookmarkStorageAdapter):
    """Parks, and then sees whether the lease holds."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[None]:
        """Park before the check."""
        async with super().move_bookmark(lease, position):
            yield
            self._park(lease.bookmark_id, parked, unparked)


class ParksAnyNumber(InMemoryBookmarkStorageAdapter):
    """Has room for all that comes."""

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[None]:
        """Check nothing."""
        async with super().move_bookmark(lease, position):
            yield
        self._park(lease.bookmark_id, parked, unparked)


class RetryBeginsAnew(InMemoryBookmarkStorageAdapter):
    """Forgets how often an event was tried."""

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Begin with 0."""
        await super().retry_parked_events(bookmark_id, positions)
        for position, event in self._parked[bookmark_id].items():
            if position in positions:
                self._parked[bookmark_id][position] = event._replace(attempts=0)


class RetryOfAll(InMemoryBookmarkStorageAdapter):
    """Tries all again."""

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Drop the positions."""
        if positions:
            positions = [*self._parked[bookmark_id]]
        await super().retry_parked_events(bookmark_id, positions)


class RetryParks(InMemoryBookmarkStorageAdapter):
    """Writes a row, whether there is one."""

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Insert it."""
        for each in positions:
            self._parked[bookmark_id].setdefault(each, BLANK._replace(position=each))
        await super().retry_parked_events(bookmark_id, positions)


class NoPositionsAreAllToRetry(InMemoryBookmarkStorageAdapter):
    """Takes an empty list for none given."""

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Test for truth."""
        await super().retry_parked_events(bookmark_id, positions or [*self._parked[bookmark_id]])


class NoPositionsAreAllToDrop(InMemoryBookmarkStorageAdapter):
    """Takes an empty list for none given."""

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Test for truth."""
        await super().drop_parked_events(bookmark_id, positions or [*self._parked[bookmark_id]])


class DropLeavesATombstone(InMemoryBookmarkStorageAdapter):
    """Does not park an event again that was dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped: set[LogPosition] = set()

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Remember it."""
        await super().drop_parked_events(bookmark_id, positions)
        self._dropped |= set(positions)

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Leave it out."""
        found = await super().get_parked_events(bookmark_id, after, limit)
        return [each for each in found if each.position not in self._dropped]


class DroppingNothingFails(InMemoryBookmarkStorageAdapter):
    """Drops what is there only."""

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Refuse."""
        if not self._parked[bookmark_id].keys() >= set(positions):
            raise RuntimeError("it is not parked")
        await super().drop_parked_events(bookmark_id, positions)


class FirstOfManyOnly(InMemoryBookmarkStorageAdapter):
    """Takes as many positions as fit into a statement."""

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Cut."""
        await super().retry_parked_events(bookmark_id, positions[:AT_ONCE])


class ParkedRenamed(InMemoryBookmarkStorageAdapter):
    """Has other names for the bookmarks of parked events."""

    def rename(self, bookmark_id: str) -> str:
        """Return the name of a bookmark."""
        return bookmark_id

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Use that name."""
        return await super().get_parked_events(self.rename(bookmark_id), after, limit)

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Use that name."""
        await super().retry_parked_events(self.rename(bookmark_id), positions)

    def _park(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> None:
        super()._park(self.rename(bookmark_id), parked, unparked)


class ParkedTogether(ParkedRenamed):
    """Has one place for the events of all bookmarks."""

    def rename(self, bookmark_id: str) -> str:
        """Drop the name."""
        return bookmark_id[:0]


class ParkedIdsAreFolded(ParkedRenamed):
    """Compares names without regard to case."""

    def rename(self, bookmark_id: str) -> str:
        """Fold."""
        return bookmark_id.casefold()


class ParkedByPrefix(InMemoryBookmarkStorageAdapter):
    """Finds bookmarks whose names begin alike."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Search."""
        found = [
            event
            for name, events in self._parked.items()
            if name.startswith(bookmark_id)
            for event in events.values()
            if event.position > after
        ]
        return sorted(found, key=lambda each: each.position)[:limit]


class CancelledReadIsNothingParked(InMemoryBookmarkStorageAdapter):
    """Takes a cancellation for nothing."""

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Return none."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return []
        return await super().get_parked_events(bookmark_id, after, limit)


class ParkedEventsAreCached(RemoteBookmarks):
    """Reads parked events once."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._found: Sequence[ParkedEvent] = ()

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> Sequence[ParkedEvent]:
        """Keep them, if there are any."""
        self._found = self._found or await super().get_parked_events(bookmark_id, after, limit)
        return self._found
