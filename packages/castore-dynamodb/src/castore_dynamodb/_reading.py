"""Reads of events, by the keys of whatever layout a table has."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from castore_core import (
    AggregateIdsSlice,
    EventRecord,
    JSONValue,
    ListedAggregate,
    format_timestamp,
)
from castore_dynamodb._items import (
    AGGREGATE_ID,
    INITIAL_EVENTS,
    TIMESTAMP,
    VERSION,
    StoreKeys,
    item_to_listed,
    item_to_record,
)
from castore_dynamodb._layout_check import LayoutCheck
from castore_dynamodb._table import KeyRange, Table

_FIRST, _LAST = " ", "~"  # before and after all timestamps


class EventReader:
    """Reads events and lists aggregates: the part that the event storage adapters share.

    Args:
        table: the table.
        get_keys: returns the keys of an event store, or refuses it.
    """

    def __init__(self, table: Table, get_keys: Callable[[str], StoreKeys]) -> None:
        self._table = table
        self._get_keys = get_keys
        self._layout = LayoutCheck(table, get_keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._table.name!r})"

    @property
    def table_name(self) -> str:
        """The table of the events."""
        return self._table.name

    async def get_events(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        min_version: int | None = None,
        max_version: int | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[EventRecord]:
        """Read the events of an aggregate in the order of their versions.

        Raises:
            StorageError: none was found, and the table has the layout of the other adapter. It is a
                `LegacyTableError` where the table is one of Castore's legacy adapter.
        """
        keys = self._get_keys(event_store_id)
        versions = KeyRange(
            AGGREGATE_ID,
            {"S": keys.prefix + aggregate_id},
            VERSION,
            None if min_version is None else {"N": str(min_version)},
            None if max_version is None else {"N": str(max_version)},
        )
        items = await self._table.query(versions, limit=limit, reverse=reverse, ConsistentRead=True)
        if not items and not versions.is_empty:
            await self._layout.run(event_store_id)
        return [item_to_record(keys.prefix, each) for each in items]

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
        """List the aggregates that have an event of version 1, ordered by its timestamp.

        Equal timestamps are in an order of DynamoDB's own, always the same one.

        Raises:
            StorageError: the table has the layout of the other adapter, as in `get_events`.
        """
        keys = self._get_keys(event_store_id)
        lower = _FIRST if initial_event_after is None else format_timestamp(initial_event_after)
        upper = _LAST if initial_event_before is None else format_timestamp(initial_event_before)
        start_key = None
        if cursor is not None:
            timestamp, aggregate_id = _parse_cursor(event_store_id, cursor)
            if lower <= timestamp <= upper:  # else DynamoDB would refuse it
                start_key = keys.make_index_key(timestamp, aggregate_id)
            if reverse:
                upper = min(upper, timestamp)
            else:
                lower = max(lower, timestamp)
        items = await self._table.query(
            KeyRange(keys.index_name, keys.index_value, TIMESTAMP, {"S": lower}, {"S": upper}),
            limit=None if limit is None else limit + 1,
            reverse=reverse,
            start_key=start_key,
            IndexName=INITIAL_EVENTS,
        )
        listed = [item_to_listed(keys.prefix, each) for each in items]
        if limit is None or len(listed) <= limit:
            return AggregateIdsSlice(listed)
        last = items[limit - 1][TIMESTAMP]["S"]  # as it is: another writer's may look otherwise
        return AggregateIdsSlice(listed[:limit], [last, listed[limit - 1].aggregate_id])


def _parse_cursor(event_store_id: str, cursor: JSONValue) -> tuple[str, str]:
    """Return the timestamp, as it is stored, and the id of the aggregate after which to go on."""
    ListedAggregate.from_cursor(event_store_id, cursor)  # refuses one of another making
    return cast("tuple[str, str]", tuple(cast("list[str]", cursor)))
