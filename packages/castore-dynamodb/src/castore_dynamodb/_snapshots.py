"""Snapshot storage in a table of DynamoDB."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import Snapshot, StorageError, format_timestamp
from castore_dynamodb._items import (
    AGGREGATE_ID,
    EVENT_STORE_ID,
    INITIAL_EVENTS,
    TIMESTAMP,
    VERSION,
    Item,
)
from castore_dynamodb._marshal import NotHeldError, marshal, unmarshal
from castore_dynamodb._own_keys import make_own_key
from castore_dynamodb._sizes import MAX_ITEM_SIZE, get_item_size
from castore_dynamodb._table import KeyRange, Table

_REDUCER_VERSION = "reducerVersion"
_AGGREGATE_VERSION = "aggregateVersion"
_AGGREGATE = "aggregate"
_KIND = "snapshot"
_NOTES = "castore:"  # begins the reducer versions of the notes of event stores

_MAX_VERSION = 2**53 - 1  # of the core
_VERSIONS = 10**17
"""The number of versions that fit into a sort key."""


class DynamoDBSnapshotStorageAdapter:
    """Keeps snapshots in a table of DynamoDB: that of the events, or another one like it.

    An aggregate is read with one strongly consistent Query, of one item. A snapshot has up to
    400 KB, and its numbers what those of events have.

    **Give snapshots a table of their own** where Castore for TypeScript reads the stream of the
    events' table: its parser raises at every item that is no event.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed.
        table_name: a table as `table_definition` makes it, or its ARN.
        keep_for: how long a snapshot is worth keeping. DynamoDB then deletes it in the days after,
            where the table's time to live is switched on for the attribute ``expiresAt``. The
            notes of event stores, whose reducer version begins with ``castore:``, stay.
        retries: as in `DynamoDBEventStorageAdapter`.
    """

    def __init__(
        self,
        client: Client,
        table_name: str,
        *,
        keep_for: timedelta | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)
        self._keep_for = keep_for

    def __repr__(self) -> str:
        return f"DynamoDBSnapshotStorageAdapter({self._table.name!r})"

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced.

        Raises:
            StorageError: DynamoDB does not hold a number, the depth or the size, or failed.
        """
        item = self._to_item(snapshot)
        await self._table.call("put_item", TableName=self._table.name, Item=item)

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any.

        Raises:
            StorageError: it is not as this adapter writes it, or DynamoDB failed.
        """
        lower = _make_sort_key(reducer_version, 0)
        upper = _make_sort_key(
            reducer_version, _MAX_VERSION if max_version is None else max_version
        )
        keys = KeyRange(
            AGGREGATE_ID,
            {"S": make_own_key(_KIND, event_store_id, aggregate_id)},
            VERSION,
            {"N": str(lower)},
            {"N": str(upper)},
        )
        found = await self._table.query(keys, limit=1, reverse=True, ConsistentRead=True)
        snapshots = [_to_snapshot(event_store_id, aggregate_id, each) for each in found]
        return next((each for each in snapshots if each.reducer_version == reducer_version), None)

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Return the reducer versions of which there are snapshots of an aggregate, each once.

        All snapshots of the aggregate are read for it.

        Raises:
            StorageError: DynamoDB failed.
        """
        found = await self._find(event_store_id, aggregate_id, f"#sort, {_REDUCER_VERSION}")
        versions = [each[_REDUCER_VERSION]["S"] for each in found if _REDUCER_VERSION in each]
        return [*dict.fromkeys(versions)]

    async def delete_snapshots(
        self,
        event_store_id: str,
        aggregate_id: str | None = None,
        *,
        reducer_version: str | None = None,
        max_version: int | None = None,
    ) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store.

        With ``reducer_version``, those of that reducer alone; with ``max_version``, those at or
        below it. Those of a whole store are found through the index, which does not know the latest
        ones for a moment.
        """
        if aggregate_id is None:
            partition = {"S": make_own_key(_KIND, event_store_id)}
            keys = KeyRange(EVENT_STORE_ID, partition, TIMESTAMP)
            found = await self._table.query(keys, IndexName=INITIAL_EVENTS)
        else:
            found = await self._find(event_store_id, aggregate_id, "#partition, #sort")
        reducer = None if reducer_version is None else _make_sort_key(reducer_version, 0)
        chosen = [each for each in found if _is_meant(each, reducer, max_version)]
        await asyncio.gather(*map(self._delete, chosen))

    async def _find(self, event_store_id: str, aggregate_id: str, attributes: str) -> list[Item]:
        """Return attributes of all the snapshots of an aggregate."""
        key = make_own_key(_KIND, event_store_id, aggregate_id)
        keys = KeyRange(AGGREGATE_ID, {"S": key}, VERSION, {"N": "0"}, {"N": "9" * 38})
        return await self._table.query(keys, ConsistentRead=True, ProjectionExpression=attributes)

    async def _delete(self, item: Mapping[str, Any]) -> None:
        key = {name: item[name] for name in (AGGREGATE_ID, VERSION)}
        await self._table.call("delete_item", TableName=self._table.name, Key=key)

    def _to_item(self, snapshot: Snapshot) -> Item:
        event_store_id, aggregate_id, version, reducer_version, aggregate = snapshot
        now = datetime.now(UTC)
        try:
            item: Item = {
                AGGREGATE_ID: {"S": make_own_key(_KIND, event_store_id, aggregate_id)},
                VERSION: {"N": str(_make_sort_key(reducer_version, version))},
                EVENT_STORE_ID: {"S": make_own_key(_KIND, event_store_id)},
                TIMESTAMP: {"S": format_timestamp(now)},
                _REDUCER_VERSION: {"S": reducer_version},
                _AGGREGATE_VERSION: {"N": str(version)},
                _AGGREGATE: marshal(aggregate),
            }
        except NotHeldError as error:
            raise StorageError(f"the snapshot of aggregate {aggregate_id!r}: {error}") from error
        if self._keep_for is not None and not reducer_version.startswith(_NOTES):
            item["expiresAt"] = {"N": str(int((now + self._keep_for).timestamp()))}
        if (size := get_item_size(item)) > MAX_ITEM_SIZE:
            raise StorageError(
                f"the snapshot of aggregate {aggregate_id!r} is {size} bytes, and an item of "
                f"DynamoDB at most {MAX_ITEM_SIZE}"
            )
        return item


def _to_snapshot(event_store_id: str, aggregate_id: str, item: Item) -> Snapshot:
    try:
        return Snapshot(
            event_store_id,
            aggregate_id,
            int(item[_AGGREGATE_VERSION]["N"]),
            item[_REDUCER_VERSION]["S"],
            unmarshal(item[_AGGREGATE]),
        )
    except (KeyError, ValueError) as error:
        reason = f"the snapshot of aggregate {aggregate_id!r} cannot be read: {error!r}"
        raise StorageError(reason) from error


def _make_sort_key(reducer_version: str, version: int) -> int:
    """Return a number that keeps reducers apart, and orders the versions of each.

    The sort key of the table is a number of up to 38 digits: 21 for the hash of the reducer's
    version, and 17 for the version.
    """
    digest = sha256(reducer_version.encode()).digest()
    return int.from_bytes(digest[:16], "big") % 10**21 * _VERSIONS + version


def _is_meant(item: Item, reducer: int | None, max_version: int | None) -> bool:
    """Tell from its key whether an item is of a reducer, and of a version at most.

    ``reducer`` is the sort key of its version 0.
    """
    number = int(item[VERSION]["N"])
    return (reducer is None or reducer == number - number % _VERSIONS) and (
        max_version is None or number % _VERSIONS <= max_version
    )
