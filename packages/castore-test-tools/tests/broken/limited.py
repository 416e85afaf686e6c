"""A storage with every limit that can be declared keeps the contract."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pytest_asyncio

from castore_core import (
    Absent,
    AggregateIdsSlice,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    ListedAggregate,
    StorageError,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools import EventStorageAdapterTests

LAG = 0.02
MOST_EVENTS_OF_A_GROUP = 10
GREATEST = 10**38
LONGEST_ID = 255


def to_stored(value: JSONValue | Absent) -> JSONValue | Absent:
    """Return a value with one kind of number."""
    if isinstance(value, dict):
        return {key: cast("JSONValue", to_stored(item)) for key, item in value.items()}
    if isinstance(value, list):
        return [cast("JSONValue", to_stored(item)) for item in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) >= GREATEST:
        raise StorageError("the number is too great")
    return value


def get_place(listed: ListedAggregate) -> tuple[datetime, str]:
    """Order ties by the reverse of their ids."""
    return listed.initial_event_timestamp, listed.aggregate_id[::-1]


class LimitedStorageAdapter(InMemoryEventStorageAdapter):
    """Has one kind of numbers, small groups, gaps, a list that lags, and another use for ``#``."""

    def __init__(self) -> None:
        super().__init__(allow_gaps=True)
        self._loop = asyncio.get_running_loop()
        self._last_push = 0.0

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event."""
        stored = self._to_stored(event_store_id, record)
        await super().push_event(event_store_id, stored, force=force)
        self._last_push = self._loop.time()

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write a few events."""
        if len(group) > MOST_EVENTS_OF_A_GROUP:
            raise InvalidEventGroupError(f"it has more than {MOST_EVENTS_OF_A_GROUP} events")
        stored = [
            each._replace(record=self._to_stored(each.event_store_id, each.record))
            for each in group
        ]
        await super().push_event_group(stored, **options)
        self._last_push = self._loop.time()

    async def list_aggregate_ids(
        self,
        event_store_id: str,
        *,
        limit: int | None = None,
        initial_event_after: datetime | None = None,
        initial_event_before: datetime | None = None,
        reverse: bool = False,
        cursor: JSONValue = None,
    ) -> AggregateIdsSlice:
        """List nothing for a while after a push."""
        if self._loop.time() < self._last_push + LAG:
            return AggregateIdsSlice([])
        whole = await super().list_aggregate_ids(
            event_store_id,
            initial_event_after=initial_event_after,
            initial_event_before=initial_event_before,
        )
        found = sorted(whole.aggregates, key=get_place, reverse=reverse)
        if cursor is not None:
            last = get_place(ListedAggregate.from_cursor(event_store_id, cursor))
            found = [
                each
                for each in found
                if (get_place(each) < last if reverse else get_place(each) > last)
            ]
        return AggregateIdsSlice.from_lookahead(found, limit)

    def _to_stored(self, event_store_id: str, record: EventRecord) -> EventRecord:
        if self._loop is not asyncio.get_running_loop():
            raise StorageError("this adapter belongs to another event loop")
        if "#" in event_store_id:
            raise StorageError("the id of an event store holds a number sign")
        if max(len(event_store_id), len(record.aggregate_id)) > LONGEST_ID:
            raise StorageError("an id is too long")
        return record._replace(
            payload=to_stored(record.payload), metadata=to_stored(record.metadata)
        )


class LimitedStorageTests(EventStorageAdapterTests):
    """The limits are declared."""

    refuses_gaps = False
    orders_ties_by_aggregate_id = False
    lists_are_consistent = False
    most_events_of_a_group = MOST_EVENTS_OF_A_GROUP
    integral_floats_stay_floats = False
    works_in_several_event_loops = False
    characters_refused_in_event_store_ids = "#"
    longest_id = LONGEST_ID

    adapter_class = LimitedStorageAdapter

    @pytest_asyncio.fixture
    async def adapter(self) -> LimitedStorageAdapter:
        """Return an empty adapter, made in the event loop of the test."""
        return self.adapter_class()

    def holds_number(self, number: float) -> bool:
        """Tell whether it has 38 digits at most."""
        return abs(number) < GREATEST


class LargeGroupInParts(LimitedStorageAdapter):
    """Writes a large group in several calls of the backend."""

    async def push_event_group(self, group: Sequence[GroupedRecord], **options: Any) -> None:
        """Write as many as it takes at a time."""
        for start in range(0, len(group), MOST_EVENTS_OF_A_GROUP):
            part = group[start : start + MOST_EVENTS_OF_A_GROUP]
            await super().push_event_group(part, **options)


class RefusesGaps(LimitedStorageAdapter):
    """Refuses a version whose version before is missing, and does not declare it."""

    def __init__(self) -> None:
        super().__init__()
        self._allow_gaps = False


class TakesEveryStore(LimitedStorageAdapter):
    """Drops the character that it has another use for."""

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Drop it."""
        await super().push_event(event_store_id.replace("#", ""), record, force=force)
