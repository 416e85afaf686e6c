"""Parked events as items of DynamoDB, in one partition for each bookmark.

The sort key of the table is a number, and positions are texts: it has 37 digits of the hash of the
position. The items of a bookmark are sorted when they are read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeAlias

from castore_core import MAX_PARKED_AT_ONCE, Failure, LogPosition, ParkedEvent, StorageError
from castore_dynamodb._items import AGGREGATE_ID, VERSION, Item
from castore_dynamodb._own_keys import make_own_key
from castore_dynamodb._table import KeyRange, RefusedError, Table

POSITION: Final = "position"
_FAILURE_KIND: Final = "failureKind"
_FAILURE_TEXT: Final = "failureText"

_EVENT_STORE_ID: Final = "parkedEventStoreId"
_AGGREGATE_ID: Final = "parkedAggregateId"
_VERSION: Final = "parkedVersion"
_TYPE: Final = "parkedType"
_PARKED_AT: Final = "parkedAt"
_ATTEMPTS: Final = "attempts"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


TransactItems: TypeAlias = list[Mapping[str, Any]]
"""The writes that go with the move of a bookmark, as ``TransactItems`` of TransactWriteItems.

Append ``{"Put": {...}}``, ``{"Update": {...}}``, ``{"Delete": {...}}`` or
``{"ConditionCheck": {...}}``, with values in the client's low-level format: ``{"S": "Pikachu"}``.
"""


class ParkedItems:
    """The parked events of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def make_writes(
        self, bookmark_id: str, parked: Sequence[ParkedEvent], unparked: Sequence[LogPosition]
    ) -> TransactItems:
        """Return the writes of a transaction that unpark events, and park others."""
        name = self._table.name
        keys = [_make_key(bookmark_id, each) for each in unparked]
        items = [_to_item(bookmark_id, each) for each in parked]
        return [
            *({"Delete": {"TableName": name, "Key": each}} for each in keys),
            *({"Put": {"TableName": name, "Item": each}} for each in items),
        ]

    async def read(self, bookmark_id: str) -> list[ParkedEvent]:
        """Read all the parked events of a bookmark, in the order of the log."""
        keys = KeyRange(AGGREGATE_ID, {"S": _make_partition(bookmark_id)}, VERSION)
        items = await self._table.query(keys, ConsistentRead=True)
        return sorted(_to_parked(bookmark_id, each) for each in items)

    async def retry(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events."""
        await _for_each(positions, lambda each: self._retry(bookmark_id, each))

    async def drop(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Delete parked events."""
        await _for_each(positions, lambda each: self._drop(bookmark_id, each))

    async def _retry(self, bookmark_id: str, position: LogPosition) -> None:
        with suppress(RefusedError):  # it is not parked
            await self._table.call(
                "update_item",
                TableName=self._table.name,
                Key=_make_key(bookmark_id, position),
                UpdateExpression="REMOVE #kind, #text",
                ConditionExpression="attribute_exists(#position)",
                ExpressionAttributeNames={
                    "#position": POSITION,
                    "#kind": _FAILURE_KIND,
                    "#text": _FAILURE_TEXT,
                },
            )

    async def _drop(self, bookmark_id: str, position: LogPosition) -> None:
        key = _make_key(bookmark_id, position)
        await self._table.call("delete_item", TableName=self._table.name, Key=key)


def _from_moment(moment: datetime) -> dict[str, str]:
    return {"N": str((moment - _EPOCH) // _MILLISECOND)}


def to_moment(attribute: Mapping[str, str]) -> datetime:
    """Return the moment of such an attribute, in UTC."""
    return _EPOCH + int(attribute["N"]) * _MILLISECOND


async def _for_each(
    positions: Sequence[LogPosition], write: Callable[[LogPosition], Awaitable[None]]
) -> None:
    """Write for all positions, some of them at a time."""
    rest = sorted(set(positions))
    while rest:
        await asyncio.gather(*map(write, rest[:MAX_PARKED_AT_ONCE]))
        rest = rest[MAX_PARKED_AT_ONCE:]


def _make_key(bookmark_id: str, position: LogPosition) -> dict[str, Any]:
    number = int.from_bytes(sha256(position.encode()).digest(), "big") % 10**37
    return {AGGREGATE_ID: {"S": _make_partition(bookmark_id)}, VERSION: {"N": str(number)}}


def _to_item(bookmark_id: str, event: ParkedEvent) -> Item:
    item: Item = {
        **_make_key(bookmark_id, event.position),
        POSITION: {"S": event.position},
        _EVENT_STORE_ID: {"S": event.event_store_id},
        _AGGREGATE_ID: {"S": event.aggregate_id},
        _VERSION: {"N": str(event.version)},
        _TYPE: {"S": event.type},
        _PARKED_AT: _from_moment(event.parked_at),
        _ATTEMPTS: {"N": str(event.attempts)},
    }
    if event.failure is not None:
        item |= {_FAILURE_KIND: {"S": event.failure.kind}, _FAILURE_TEXT: {"S": event.failure.text}}
    return item


def _to_parked(bookmark_id: str, item: Item) -> ParkedEvent:
    try:
        failure = None
        if _FAILURE_KIND in item:
            failure = Failure(item[_FAILURE_KIND]["S"], item[_FAILURE_TEXT]["S"])
        return ParkedEvent(
            item[POSITION]["S"],
            item[_EVENT_STORE_ID]["S"],
            item[_AGGREGATE_ID]["S"],
            int(item[_VERSION]["N"]),
            item[_TYPE]["S"],
            to_moment(item[_PARKED_AT]),
            int(item[_ATTEMPTS]["N"]),
            failure,
        )
    except (KeyError, ValueError, OverflowError) as error:
        reason = f"a parked event of bookmark {bookmark_id!r} cannot be read: {error!r}"
        raise StorageError(reason) from error


def _make_partition(bookmark_id: str) -> str:
    return make_own_key("parked", bookmark_id)
