"""Event logs that count other events than they give."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from castore_core import (
    LOG_START,
    GroupedRecord,
    InvalidLogPositionError,
    LogPosition,
    StorageError,
    format_position,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter


class CountOfNothingRaises(InMemoryEventStorageAdapter):
    """Has no log before the first event."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Refuse."""
        if not self._log:
            raise StorageError("there is no log")
        return await super().count_events(event_store_ids, after)


class CountsAllStores(InMemoryEventStorageAdapter):
    """Counts what follows, of whichever store."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Drop the stores."""
        return await super().count_events(None, after)


class CountsNoStoreAsAll(InMemoryEventStorageAdapter):
    """Takes an empty list of stores for none given."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Test for truth."""
        return await super().count_events(event_store_ids or None, after)


class CountsThePositionItself(InMemoryEventStorageAdapter):
    """Counts the event that was read already."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Begin one position earlier."""
        number = parse_position(after) - 1
        after = format_position(number) if number > 0 else LOG_START
        return await super().count_events(event_store_ids, after)


class CountsAreDecimals(InMemoryEventStorageAdapter):
    """Gives counts out as its backend does."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Forget to convert."""
        return cast("int", Decimal(await super().count_events(event_store_ids, after)))


class CountsAPage(InMemoryEventStorageAdapter):
    """Counts what a read returns."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Read once."""
        return len((await self.read_events(event_store_ids, after)).entries)


class CountsPushes(InMemoryEventStorageAdapter):
    """Counts each write."""

    def __init__(self) -> None:
        super().__init__()
        self._pushes = 0

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Add them up."""
        await super().push_event_group(group, **options)
        self._pushes += len(group)

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Return the sum, where all are asked for."""
        if event_store_ids is None and after == LOG_START:
            return self._pushes
        return await super().count_events(event_store_ids, after)


class CountsTheLettersOfAStore(InMemoryEventStorageAdapter):
    """Takes any sequence of texts."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Make a list of it."""
        stores = None if event_store_ids is None else [*event_store_ids]
        return await super().count_events(stores, after)


class CountFoldsStores(InMemoryEventStorageAdapter):
    """Compares stores without regard to case."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Add the look-alikes."""
        if event_store_ids is not None:
            wanted = {each.casefold() for each in event_store_ids}
            stores = {each.event_store_id for each in self._log}
            event_store_ids = [each for each in stores if each.casefold() in wanted]
        return await super().count_events(event_store_ids, after)


class CountsAfterAnyPosition(InMemoryEventStorageAdapter):
    """Begins anew where it does not understand a position."""

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Drop the position."""
        try:
            return await super().count_events(event_store_ids, after)
        except InvalidLogPositionError:
            return await super().count_events(event_store_ids, LOG_START)


class CountsWhatIsUnderWay(InMemoryEventStorageAdapter):
    """Counts events that no reader is given yet."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: list[str] = []

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Pause before the commit."""
        stores = [each.event_store_id for each in group]
        self._under_way += stores
        for _ in range(5):
            await asyncio.sleep(0)
        await super().push_event_group(group, **options)
        for each in stores:
            self._under_way.remove(each)

    async def count_events(
        self, event_store_ids: Sequence[str] | None = None, after: LogPosition = LOG_START
    ) -> int:
        """Add them."""
        found = await super().count_events(event_store_ids, after)
        return found + sum(event_store_ids is None or e in event_store_ids for e in self._under_way)
