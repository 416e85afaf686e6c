"""Event logs that are not read from their end as they should be."""

from collections.abc import Sequence

from castore_core import (
    LOG_START,
    LogPosition,
    LogSlice,
    StorageError,
    check_limit,
    format_position,
    parse_position,
)
from castore_in_memory import InMemoryEventStorageAdapter


class BackwardsFromTheStart(InMemoryEventStorageAdapter):
    """Begins with the first event of those that precede."""

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Turn the page round."""
        found = await super().read_events_backwards(event_store_ids, before, limit)
        return found._replace(entries=found.entries[::-1])


class BackwardsSaysNotToGoOn(InMemoryEventStorageAdapter):
    """Says that nothing precedes a page, where its limit has ended it."""

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Forget where it was."""
        found = await super().read_events_backwards(event_store_ids, before, limit)
        return found._replace(position=LOG_START)


class BackwardsHasNoStart(InMemoryEventStorageAdapter):
    """Has no log before the first event."""

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Refuse."""
        if not self._log:
            raise StorageError("there is no log")
        return await super().read_events_backwards(event_store_ids, before, limit)


class BackwardsBoundIsInclusive(InMemoryEventStorageAdapter):
    """Gives the event of the position again."""

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Go one further."""
        after = before and format_position(parse_position(before) + 1)
        return await super().read_events_backwards(event_store_ids, after, limit)


class BackwardsTakesAnyStores(InMemoryEventStorageAdapter):
    """Takes the letters of a text for stores."""

    async def read_events_backwards(
        self,
        event_store_ids: Sequence[str] | None = None,
        before: LogPosition | None = None,
        limit: int = 100,
    ) -> LogSlice:
        """Make a list of whatever there is."""
        check_limit(limit)
        store_ids = None if event_store_ids is None else list(event_store_ids)
        return await super().read_events_backwards(store_ids, before, limit)
