"""Event storage in a table of DynamoDB."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import (
    AggregateIdsSlice,
    EventAlreadyExistsError,
    EventRecord,
    GroupedRecord,
    InvalidEventGroupError,
    JSONValue,
    ListedAggregate,
    format_timestamp,
)
from castore_dynamodb._items import (
    AGGREGATE_ID,
    EVENT_STORE_ID,
    INITIAL_EVENTS,
    TIMESTAMP,
    VERSION,
    WRITE_TOKEN,
    item_to_listed,
    item_to_record,
    make_index_key,
    make_key,
    record_to_item,
)
from castore_dynamodb._sizes import get_item_size
from castore_dynamodb._table import KeyRange, RefusedError, Table

_MAX_GROUP_LENGTH = 100
_MAX_GROUP_SIZE = 4 * 1024 * 1024  # bytes
_FIRST, _LAST = " ", "~"  # before and after all timestamps


class DynamoDBEventStorageAdapter:
    """Keeps events in a table of DynamoDB, as Castore does: both can use one table.

    One adapter serves any number of event stores, whose ids have no ``#``. A push is retry-safe:
    where its answer is lost, and the client or the adapter tries again, it finds its own event and
    succeeds. Reads of an aggregate are strongly consistent. The list of aggregates is read from an
    index, which lags behind by a moment.

    DynamoDB has one kind of number, with up to 38 digits: a float with an integral value is read
    as the equal `int`. An event with a number that it does not hold, that is more than 32
    deep, or that is larger than 400 KB, is refused with `InvalidEventError` before anything is
    sent.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed. One of
            boto3 can be used from any event loop, one of aioboto3 in the loop where it was made.
        table_name: the table, or its ARN. `table_definition` says what it has to be like.
        retries: how often, and how fast, calls are made again that AWS throttled or failed at,
            or that met a transaction. Then they raise `StorageError`.

    Raises:
        TypeError: it is no client, or one of another service.
    """

    def __init__(
        self, client: Client, table_name: str, *, retries: RetryPolicy | None = None
    ) -> None:
        self._table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)

    def __repr__(self) -> str:
        return f"DynamoDBEventStorageAdapter({self._table.name!r})"

    @property
    def table_name(self) -> str:
        """The table of the events."""
        return self._table.name

    async def push_event(
        self, event_store_id: str, record: EventRecord, *, force: bool = False
    ) -> None:
        """Write one event, with one PutItem.

        Raises:
            InvalidEventError: DynamoDB does not hold a number, the depth or the size. Nothing
                was sent.
        """
        token = str(uuid4())
        put = self._to_put(event_store_id, record, token, force=force)
        try:
            await self._table.call("put_item", **put)
        except RefusedError as refusal:
            _raise_conflict([GroupedRecord(event_store_id, record, self)], refusal, token)

    async def push_event_group(
        self, group: Sequence[GroupedRecord], *, force: bool = False
    ) -> None:
        """Write all the events of a group, or none, with one TransactWriteItems.

        Raises:
            InvalidEventGroupError: an adapter of the group has another client, or the group has
                more than 100 events or 4 MB. Nothing was sent.
            InvalidEventError: as in `push_event`.
        """
        if len(group) == 1:  # half the price
            event_store_id, record, storage_adapter = group[0]
            await _own(storage_adapter).push_event(event_store_id, record, force=force)
            return
        token = str(uuid4())
        puts = [self._to_grouped_put(each, token, force=force) for each in group]
        _check_group(group, puts)
        writes = [{"Put": each} for each in puts]
        try:
            await self._table.call(
                "transact_write_items", TransactItems=writes, ClientRequestToken=token
            )
        except RefusedError as refusal:
            _raise_conflict(group, refusal, token)

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
        """Read the events of an aggregate in the order of their versions."""
        keys = KeyRange(
            AGGREGATE_ID,
            make_key(event_store_id, aggregate_id),
            VERSION,
            None if min_version is None else {"N": str(min_version)},
            None if max_version is None else {"N": str(max_version)},
        )
        items = await self._table.query(keys, limit=limit, reverse=reverse, ConsistentRead=True)
        return [item_to_record(event_store_id, each) for each in items]

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
        """
        make_key(event_store_id, "")
        lower = _FIRST if initial_event_after is None else format_timestamp(initial_event_after)
        upper = _LAST if initial_event_before is None else format_timestamp(initial_event_before)
        start_key = None
        if cursor is not None:
            timestamp, aggregate_id = _parse_cursor(event_store_id, cursor)
            if lower <= timestamp <= upper:  # else DynamoDB would refuse it
                start_key = make_index_key(event_store_id, timestamp, aggregate_id)
            if reverse:
                upper = min(upper, timestamp)
            else:
                lower = max(lower, timestamp)
        items = await self._table.query(
            KeyRange(EVENT_STORE_ID, event_store_id, TIMESTAMP, {"S": lower}, {"S": upper}),
            limit=None if limit is None else limit + 1,
            reverse=reverse,
            start_key=start_key,
            IndexName=INITIAL_EVENTS,
        )
        listed = [item_to_listed(event_store_id, each) for each in items]
        if limit is None or len(listed) <= limit:
            return AggregateIdsSlice(listed)
        last = items[limit - 1][TIMESTAMP]["S"]  # as it is: another writer's may look otherwise
        return AggregateIdsSlice(listed[:limit], [last, listed[limit - 1].aggregate_id])

    def _to_put(
        self, event_store_id: str, record: EventRecord, token: str, *, force: bool
    ) -> dict[str, Any]:
        """Return what PutItem takes, and the Put of a transaction takes too."""
        if force:
            item = record_to_item(event_store_id, record, None)
            return {"TableName": self._table.name, "Item": item}
        return {
            "TableName": self._table.name,
            "Item": record_to_item(event_store_id, record, token),
            "ConditionExpression": "attribute_not_exists(#version)",
            "ExpressionAttributeNames": {"#version": VERSION},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _to_grouped_put(self, grouped: GroupedRecord, token: str, *, force: bool) -> dict[str, Any]:
        adapter = _own(grouped.storage_adapter)
        if adapter._table.client.client is not self._table.client.client:
            raise InvalidEventGroupError("its storage adapters have different clients")
        return adapter._to_put(grouped.event_store_id, grouped.record, token, force=force)


def _own(storage_adapter: object) -> DynamoDBEventStorageAdapter:
    # The core gives a group to adapters of one class only.
    return cast("DynamoDBEventStorageAdapter", storage_adapter)


def _check_group(group: Sequence[GroupedRecord], puts: Sequence[dict[str, Any]]) -> None:
    if len(puts) > _MAX_GROUP_LENGTH:
        raise InvalidEventGroupError(
            f"it has {len(puts)} events, and a transaction of DynamoDB at most {_MAX_GROUP_LENGTH}"
        )
    if (size := sum(get_item_size(each["Item"]) for each in puts)) > _MAX_GROUP_SIZE:
        raise InvalidEventGroupError(
            f"it is {size} bytes, and a transaction of DynamoDB at most {_MAX_GROUP_SIZE}"
        )
    taken: set[tuple[str, str, int]] = set()
    for (_, record, _), put in zip(group, puts, strict=True):
        place = (put["TableName"], put["Item"][AGGREGATE_ID]["S"], record.version)
        if place in taken:
            raise InvalidEventGroupError(
                f"it has two events of version {record.version} of {record.aggregate_id!r}"
            )
        taken.add(place)


def _raise_conflict(group: Sequence[GroupedRecord], refusal: RefusedError, token: str) -> None:
    """Raise for the first event whose version is taken, unless by this very push.

    An earlier attempt, whose answer was lost, may have written the events: then they, and so all
    of the group, have its token.
    """
    if any(item and item.get(WRITE_TOKEN) == {"S": token} for item in refusal.found):
        return
    for (event_store_id, record, _), item in zip(group, refusal.found, strict=True):
        if item is not None:
            raise EventAlreadyExistsError(
                event_store_id, record.aggregate_id, record.version
            ) from refusal.__cause__


def _parse_cursor(event_store_id: str, cursor: JSONValue) -> tuple[str, str]:
    """Return the timestamp, as it is stored, and the id of the aggregate after which to go on."""
    ListedAggregate.from_cursor(event_store_id, cursor)  # refuses one of another making
    return cast("tuple[str, str]", tuple(cast("list[str]", cursor)))
