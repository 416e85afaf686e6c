"""Adapters that list aggregates wrongly."""

from datetime import UTC, datetime, timedelta
from typing import Any

from castore_core import (
    AggregateIdsSlice,
    EventRecord,
    InvalidPageTokenError,
    ListedAggregate,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)


class Listing(InMemoryEventStorageAdapter):
    """Lists otherwise: pages by a rule of its own."""

    async def list_all(self, event_store_id: str, **options: Any) -> list[ListedAggregate]:
        """Return the whole list."""
        options |= {"limit": None, "cursor": None}
        return list((await super().list_aggregate_ids(event_store_id, **options)).aggregates)


class TiesLost(Listing):
    """Goes on after the timestamp of the last aggregate."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip what has the same timestamp."""
        found = await self.list_all(event_store_id, **options)
        if (cursor := options.get("cursor")) is not None:
            last = ListedAggregate.from_cursor(event_store_id, cursor).initial_event_timestamp
            is_reverse = options.get("reverse")
            found = [
                each
                for each in found
                if (each.initial_event_timestamp < last if is_reverse else each[1] > last)
            ]
        return AggregateIdsSlice.from_lookahead(found, options.get("limit"))


class EmptyLastPage(Listing):
    """Does not look whether anything follows."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Return a cursor with every full page."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if found.aggregates and len(found.aggregates) == options.get("limit"):
            return found._replace(cursor=found.aggregates[-1].to_cursor())
        return found


class CursorIsAnOffset(Listing):
    """Counts how many aggregates were listed."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip so many."""
        found = await self.list_all(event_store_id, **options)
        start = options.get("cursor") or 0
        end = len(found) if options.get("limit") is None else start + options["limit"]
        return AggregateIdsSlice(found[start:end], end if end < len(found) else None)


class CursorUnchecked(Listing):
    """Begins anew where it does not understand a cursor."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the cursor."""
        try:
            return await super().list_aggregate_ids(event_store_id, **options)
        except ValueError:
            return await super().list_aggregate_ids(event_store_id)


class TiesNotReversed(Listing):
    """Reverses the timestamps only."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort ties forwards."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if options.get("reverse"):
            by_id = sorted(found.aggregates)
            return found._replace(aggregates=sorted(by_id, key=lambda each: each[1], reverse=True))
        return found


class ListBoundExclusive(Listing):
    """Stops before the bound."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("initial_event_before") is not None:
            options["initial_event_before"] -= timedelta(milliseconds=1)
        return await super().list_aggregate_ids(event_store_id, **options)


class ListOrderedById(Listing):
    """Lists in alphabetical order."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=sorted(found.aggregates))


class ListsWhateverIsPushed(Listing):
    """Lists an aggregate from its first push on."""

    def __init__(self) -> None:
        super().__init__()
        self._pushed: list[ListedAggregate] = []

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Remember."""
        await super().push_event(event_store_id, record, force=force)
        self._pushed.append(ListedAggregate(record.aggregate_id, record.timestamp))

    async def list_aggregate_ids(self, *_: Any, **__: Any) -> AggregateIdsSlice:
        """List what was remembered."""
        return AggregateIdsSlice(sorted(self._pushed, key=lambda each: each[::-1]))


class FirstPageOfListOnly(Listing):
    """Lists what its backend returns at once."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Stop after 1,000."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=found.aggregates[:1000])


class EmptyListHasACursor(Listing):
    """Says that more follows, where there is nothing."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Return a cursor."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found if found.aggregates else found._replace(cursor="end")


class ListBeginsIn1970(Listing):
    """Lists what its clock can tell."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Leave out what is older."""
        options["initial_event_after"] = datetime(1970, 1, 1, tzinfo=UTC)
        return await super().list_aggregate_ids(event_store_id, **options)


class TiesBackwards(Listing):
    """Lists equal timestamps the other way round."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort."""
        found = await self.list_all(event_store_id, **options)
        backwards = sorted(found, reverse=True)
        return AggregateIdsSlice(sorted(backwards, key=lambda each: each[1]))


class ListBoundsSwapped(Listing):
    """Puts bounds into their order."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Swap."""
        after, before = options.get("initial_event_after"), options.get("initial_event_before")
        if after is not None and before is not None:
            options["initial_event_after"] = min(after, before)
            options["initial_event_before"] = max(after, before)
        return await super().list_aggregate_ids(event_store_id, **options)


class ListBoundsAreSeconds(Listing):
    """Drops the milliseconds of a bound."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Cut."""
        if options.get("initial_event_after") is not None:
            after = options["initial_event_after"].replace(microsecond=0)
            options["initial_event_after"] = after
        return await super().list_aggregate_ids(event_store_id, **options)


class ListLimitIgnored(Listing):
    """Lists more than was asked for."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the limit."""
        options["limit"] = None
        return await super().list_aggregate_ids(event_store_id, **options)


class CursorIsNoJSON(Listing):
    """Returns a cursor that only Python knows."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Return the last of the list."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found if found.cursor is None else found._replace(cursor=found.aggregates[-1])


class CursorIgnored(Listing):
    """Begins anew with each page."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the cursor."""
        options["cursor"] = None
        return await super().list_aggregate_ids(event_store_id, **options)


class CursorGoesForwards(Listing):
    """Forgets the direction after the first page."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the direction."""
        if options.get("cursor") is not None:
            options["reverse"] = False
        return await super().list_aggregate_ids(event_store_id, **options)


class CursorKeepsItsBounds(Listing):
    """Goes on with the bounds of the first page."""

    _before: datetime | None = None

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Remember."""
        if options.get("cursor") is None:
            self._before = options.get("initial_event_before")
        options["initial_event_before"] = self._before
        return await super().list_aggregate_ids(event_store_id, **options)


class KeywordOnlyCursorError(InvalidPageTokenError):
    """An error that does not pickle."""

    def __init__(self, *, store: str) -> None:
        super().__init__(store, "it is of another making")


class CursorErrorDoesNotPickle(Listing):
    """Raises an error of its own."""

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Raise another error."""
        try:
            return await super().list_aggregate_ids(event_store_id, **options)
        except InvalidPageTokenError as error:
            raise KeywordOnlyCursorError(store=event_store_id) from error
