"""The parts of the event storage contract share this: fixtures, capabilities, and lists."""

import asyncio
from collections.abc import Sequence
from typing import Any

from castore_core import (
    AggregateIdsSlice,
    EventRecord,
    EventStorageAdapter,
    ListedAggregate,
)
from castore_test_tools._contract import adapter_fixture
from castore_test_tools._json_contract import JSONContract

_LIST_LAG = 10.0
_LIST_PAUSE = 0.05
_MOST_SLICES = 100


class EventStorageContract(JSONContract):
    """The fixtures and capabilities of `EventStorageAdapterTests`."""

    orders_ties_by_aggregate_id: bool = True
    """Aggregates of equal initial timestamps are listed in the order of their ids."""

    refuses_gaps: bool = True
    """A version is refused where the one before it is missing, rather than written."""

    lists_are_consistent: bool = True
    """An aggregate is listed as soon as it was pushed, rather than a while later."""

    groups_appear_at_once: bool = True
    """A read sees all the events of a group, or none; it is not only written so."""

    most_events_of_a_group: int | None = None
    """How many events the backend writes at once. A larger group is refused."""

    works_in_several_event_loops: bool = True
    """One adapter can be used in one event loop after the other, also of another thread."""

    works_in_several_event_loops_at_once: bool = True
    """One adapter can be used in several event loops at the same time, each of a thread."""

    characters_refused_in_event_store_ids: str = ""
    """Characters that the layout of the backend has another use for."""

    largest_payload: int | None = None
    """How many bytes of text surely fit into a payload. A payload of twice as many is refused."""

    lose_next_answer: Any = None
    """A fixture, for adapters whose client repeats by itself a call that was not answered.

    It returns a function that has the backend do the next write, and its answer get lost: the
    client repeats the write, and the adapter is given the answer to the second one.
    """

    foreign_adapter: Any = None
    """A fixture, for adapters that cannot all write at once.

    It returns an adapter without events, of the same class and on another backend, such as another
    database: no group can span it and ``adapter``.
    """

    @adapter_fixture
    def adapter(self) -> EventStorageAdapter:
        """Return an adapter without events."""
        raise NotImplementedError("override the fixture `adapter`: return an empty storage adapter")

    @adapter_fixture
    def sibling_adapter(self, adapter: EventStorageAdapter) -> EventStorageAdapter:
        """Return an adapter whose events go into one group with those of ``adapter``.

        Override it where that can be another one than ``adapter`` itself.
        """
        return adapter

    def takes_event_store_id(self, event_store_id: str) -> bool:
        """Tell whether the backend takes events of a store of this name."""
        return not set(event_store_id) & set(self.characters_refused_in_event_store_ids)

    def in_order(self, listed: Sequence[ListedAggregate]) -> list[ListedAggregate]:
        """Sort what was listed, if the order of equal timestamps is not the contract's."""
        return list(listed) if self.orders_ties_by_aggregate_id else sort_aggregates(listed)

    async def wait_until_listed(
        self, adapter: EventStorageAdapter, event_store_id: str, records: Sequence[EventRecord]
    ) -> None:
        """Wait until a list that lags holds just the aggregates of these initial events."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LIST_LAG
        while not self.lists_are_consistent:
            found = await adapter.list_aggregate_ids(event_store_id)
            if sort_aggregates(found.aggregates) == to_listed(records) or loop.time() > deadline:
                return
            await asyncio.sleep(_LIST_PAUSE)


def to_listed(records: Sequence[EventRecord]) -> list[ListedAggregate]:
    """Return the list, in order, in which initial events should result."""
    return sort_aggregates([ListedAggregate(each.aggregate_id, each.timestamp) for each in records])


def sort_aggregates(aggregates: Sequence[ListedAggregate]) -> list[ListedAggregate]:
    """Sort by the initial event's timestamp, and ties by id."""
    return sorted(aggregates, key=lambda each: (each.initial_event_timestamp, each.aggregate_id))


async def walk_slices(
    adapter: EventStorageAdapter, event_store_id: str, limit: int, *, reverse: bool = False
) -> list[Sequence[ListedAggregate]]:
    """Read a whole list, slice after slice."""
    slices: list[Sequence[ListedAggregate]] = []
    found = AggregateIdsSlice([], None)
    while not slices or found.cursor is not None:
        assert len(slices) < _MOST_SLICES, "the list does not end"
        found = await adapter.list_aggregate_ids(
            event_store_id, limit=limit, reverse=reverse, cursor=found.cursor
        )
        slices.append(found.aggregates)
    return slices
