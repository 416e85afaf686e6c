"""Adapters that list aggregates wrongly are caught."""

from datetime import timedelta
from typing import Any

from castore_core import (
    AggregateIdsSlice,
    EventRecord,
    ListedAggregate,
)
from castore_in_memory import (
    InMemoryEventStorageAdapter,
)
from castore_test_tools import (
    EventStorageAdapterTests,
)


class Listing(InMemoryEventStorageAdapter):
    """Lists otherwise: pages by a rule of its own."""

    async def list_all(self, event_store_id: str, **options: Any) -> list[ListedAggregate]:
        """Return the whole list."""
        options |= {"limit": None, "cursor": None}
        return list((await super().list_aggregate_ids(event_store_id, **options)).aggregates)


class TiesLost(Listing):
    """Goes on after the timestamp of the last aggregate."""

    caught_by = EventStorageAdapterTests.test_pages_hold_each_id_once

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

    caught_by = EventStorageAdapterTests.test_pages_hold_each_id_once

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Return a cursor with every full page."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if found.aggregates and len(found.aggregates) == options.get("limit"):
            return found._replace(cursor=found.aggregates[-1].to_cursor())
        return found


class CursorIsAnOffset(Listing):
    """Counts how many aggregates were listed."""

    caught_by = EventStorageAdapterTests.test_pages_while_others_push

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Skip so many."""
        found = await self.list_all(event_store_id, **options)
        start = options.get("cursor") or 0
        end = len(found) if options.get("limit") is None else start + options["limit"]
        return AggregateIdsSlice(found[start:end], end if end < len(found) else None)


class CursorUnchecked(Listing):
    """Begins anew where it does not understand a cursor."""

    caught_by = EventStorageAdapterTests.test_a_foreign_cursor_is_refused

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Drop the cursor."""
        try:
            return await super().list_aggregate_ids(event_store_id, **options)
        except ValueError:
            return await super().list_aggregate_ids(event_store_id)


class TiesNotReversed(Listing):
    """Reverses the timestamps only."""

    caught_by = EventStorageAdapterTests.test_reverse_is_the_exact_reverse

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort ties forwards."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        if options.get("reverse"):
            by_id = sorted(found.aggregates)
            return found._replace(aggregates=sorted(by_id, key=lambda each: each[1], reverse=True))
        return found


class ListBoundExclusive(Listing):
    """Stops before the bound."""

    caught_by = EventStorageAdapterTests.test_bounds_of_the_list_are_inclusive

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Shift the bound."""
        if options.get("initial_event_before") is not None:
            options["initial_event_before"] -= timedelta(milliseconds=1)
        return await super().list_aggregate_ids(event_store_id, **options)


class ListOrderedById(Listing):
    """Lists in alphabetical order."""

    caught_by = EventStorageAdapterTests.test_the_list_is_ordered_by_initial_timestamp

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Sort."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=sorted(found.aggregates))


class ListsWhateverIsPushed(Listing):
    """Lists an aggregate from its first push on."""

    caught_by = EventStorageAdapterTests.test_aggregates_without_version_1_are_not_listed

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

    caught_by = EventStorageAdapterTests.test_many_aggregates

    async def list_aggregate_ids(self, event_store_id: str, **options: Any) -> Any:
        """Stop after 1,000."""
        found = await super().list_aggregate_ids(event_store_id, **options)
        return found._replace(aggregates=found.aggregates[:1000])


def test_a_broken_adapter_is_caught(broken: type[object], failures: dict[str, list[str]]) -> None:
    """The test that is meant for its rule fails, in one of its cases at least."""
    assert any(failures[broken.__name__])
