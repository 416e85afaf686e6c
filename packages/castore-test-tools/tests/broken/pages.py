"""Adapters whose cursors are no places in the list."""

from datetime import datetime
from typing import Any

from castore_core import AggregateIdsSlice, EventRecord, InvalidPageTokenError, ListedAggregate
from castore_in_memory import InMemoryEventStorageAdapter

from .lists import Listing


class CursorIsSplit(Listing):
    """Joins the parts of its cursor with a character that ids may have."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Split it at the last one."""
        cursor = options.get("cursor")
        if cursor is not None:
            if not isinstance(cursor, str) or "#" not in cursor:
                raise InvalidPageTokenError(event_store_id, "it is of another making")
            timestamp, _, aggregate_id = cursor.rpartition("#")
            options["cursor"] = [timestamp[:24], aggregate_id]
        found: Any = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(cursor=found.cursor and "#".join(found.cursor))


class CursorIsFolded(Listing):
    """Compares the ids of equal timestamps without regard to case."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip look-alikes."""
        found = await self.list_all(event_store_id, **options)
        if (cursor := options.get("cursor")) is not None:
            last = _fold(ListedAggregate.from_cursor(event_store_id, cursor))
            is_reverse = options.get("reverse")
            found = [
                each for each in found if (_fold(each) < last if is_reverse else _fold(each) > last)
            ]
        return AggregateIdsSlice.from_lookahead(found, options.get("limit"))


def _fold(listed: ListedAggregate) -> tuple[datetime, str]:
    return listed.initial_event_timestamp, listed.aggregate_id.casefold().strip()


class CursorKeepsItsDirection(Listing):
    """Goes on in the direction of the query that made the cursor."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Remember it in the cursor."""
        match options.get("cursor"):
            case None:
                pass
            case [timestamp, aggregate_id, reverse]:
                options |= {"cursor": [timestamp, aggregate_id], "reverse": reverse}
            case _:
                raise InvalidPageTokenError(event_store_id, "it is of another making")
        found: Any = await super().list_aggregate_ids(event_store_id, **options)
        is_reverse = bool(options.get("reverse"))
        return found._replace(cursor=found.cursor and [*found.cursor, is_reverse])


class CursorIsTheBound(Listing):
    """Puts the cursor in the place of the bound that it is nearest to."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the bound."""
        if options.get("cursor") is not None:
            is_reverse = options.get("reverse")
            options["initial_event_before" if is_reverse else "initial_event_after"] = None
        return await super().list_aggregate_ids(event_store_id, **options)


class CursorIsAnOffsetInReverse(Listing):
    """Counts from the end of a list that grows there."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Go on after so many."""
        limit, cursor = options.get("limit"), options.get("cursor")
        if limit is None or not options.get("reverse"):
            return await super().list_aggregate_ids(event_store_id, **options)
        found = await self.list_all(event_store_id, **options)
        start = 0 if cursor is None else cursor[2]
        following: Any = AggregateIdsSlice.from_lookahead(found[start:], limit)
        return following._replace(cursor=following.cursor and [*following.cursor, start + limit])


class ForceOfAnyVersionMoves(InMemoryEventStorageAdapter):
    """Lists the timestamp of the event that was replaced last."""

    def __init__(self) -> None:
        super().__init__()
        self._forced: dict[tuple[str, str], datetime] = {}

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember it."""
        await super().push_event(event_store_id, record, force=force)
        if force:
            self._forced[event_store_id, record.aggregate_id] = record.timestamp

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Give out what was remembered."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        moved = [
            ListedAggregate(name, self._forced.get((event_store_id, name), moment))
            for name, moment in found.aggregates
        ]
        return found._replace(aggregates=sorted(moved, key=lambda each: each[::-1]))
