"""Bookmarks, their leases and parked events in a table of DynamoDB."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import (
    LOG_START,
    Bookmark,
    Lease,
    LeaseLostError,
    LogPosition,
    ParkedEvent,
    StorageError,
    check_limit,
    check_parked,
)
from castore_dynamodb._items import AGGREGATE_ID, VERSION, WRITE_TOKEN, Item
from castore_dynamodb._own_keys import make_own_key
from castore_dynamodb._parked import POSITION, ParkedItems, TransactItems, to_moment
from castore_dynamodb._table import RefusedError, Table
from castore_dynamodb._transactions import MAX_OPERATIONS

_MOVED_AT = "movedAt"
_OWNER = "leaseOwner"
_RENEWED_AT = "leaseRenewedAt"
_UNTIL = "leaseUntil"
_TOKEN = "leaseToken"  # noqa: S105 no password
_NAMES = {
    "#position": POSITION,
    "#moved": _MOVED_AT,
    "#owner": _OWNER,
    "#renewed": _RENEWED_AT,
    "#until": _UNTIL,
    "#token": _TOKEN,
    "#write": WRITE_TOKEN,
}


class _Change(NamedTuple):
    update: str
    condition: str = ""


_CREATE = _Change(
    "SET #position = if_not_exists(#position, :position), #moved = if_not_exists(#moved, :now)"
)
_EXTEND = _Change("SET #until = :until, #renewed = :now", "#owner = :owner AND #until > :now")
_BEGIN = _Change(
    "SET #owner = :owner, #until = :until, #renewed = :now, "
    "#token = if_not_exists(#token, :zero) + :one",
    "attribute_not_exists(#until) OR #until <= :now",
)
_RELEASE = _Change("REMOVE #owner, #until", "#owner = :owner AND #token = :token")
# The last part is for an answer that was lost: the second attempt writes nothing again.
_MOVE = _Change(
    "SET #position = :position, #moved = :now, #write = :write",
    "#owner = :owner AND #token = :token AND #until > :now "
    "AND (attribute_not_exists(#write) OR #write <> :write)",
)


class DynamoDBBookmarkStorageAdapter:
    """Keeps bookmarks and their leases in a table of DynamoDB: that of the events, or one like it.

    A bookmark moves in a transaction with up to 99 writes of yours, to any tables of the same
    account and region. Each event that is parked, or parked no longer, takes the place of one.

    Leases run on the clocks of those who take them: let them last much longer than these clocks
    may differ. The moments of `get_bookmark` are by these clocks, too.

    Parked events are items of the same table, in one partition for each bookmark, of which
    `get_parked_events` reads all.

    **Give bookmarks a table of their own** where Castore for TypeScript reads the stream of the
    events' table. Its parser raises at every item that is no event, and a bookmark changes often.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed.
        table_name: a table as `table_definition` makes it, or its ARN.
        retries: as in `DynamoDBEventStorageAdapter`.
    """

    def __init__(
        self, client: Client, table_name: str, *, retries: RetryPolicy | None = None
    ) -> None:
        self._table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)
        self._parked = ParkedItems(self._table)

    def __repr__(self) -> str:
        return f"DynamoDBBookmarkStorageAdapter({self._table.name!r})"

    async def get_bookmark(self, bookmark_id: str) -> Bookmark:
        """Return a bookmark and its lease.

        ``position`` is ``None`` where the bookmark does not exist.
        """
        response = await self._table.call(
            "get_item",
            TableName=self._table.name,
            Key=_make_key(bookmark_id),
            ConsistentRead=True,
        )
        return _to_bookmark(bookmark_id, response.get("Item", {}))

    async def create_bookmark(self, bookmark_id: str, position: LogPosition) -> LogPosition:
        """Make a bookmark at a position, unless there is one, and return where it is."""
        values = {":position": {"S": position}, ":now": _to_milliseconds(time.time())}
        item = await self._update(bookmark_id, _CREATE, values)
        return _read_position(bookmark_id, item)

    @asynccontextmanager
    async def move_bookmark(
        self,
        lease: Lease,
        position: LogPosition,
        *,
        parked: Sequence[ParkedEvent] = (),
        unparked: Sequence[LogPosition] = (),
    ) -> AsyncGenerator[TransactItems]:
        """Move a bookmark, forwards or backwards, together with the writes of a block.

        The context gives a list. The block appends the writes, and DynamoDB carries them out when
        it ends: all of them and the move, or nothing. The move alone is one UpdateItem; with
        writes, or with events that are parked or unparked, it is one TransactWriteItems, which
        takes effect once, also where its answer was lost and it was sent again.

        A call that was cancelled, or that got no answer, may still be under way when this returns.
        Give the lease back and take it again, and the late move finds its lease lost.

        Raises:
            LeaseLostError: the lease is another owner's by now, ran out, or was given back.
                Nothing was written. It is raised at the end of the block.
            StorageError: there are more than 99 writes, with those that park and unpark events;
                DynamoDB refused them, or the condition of one does not hold: the error has its
                index. Nothing was written. Or DynamoDB failed.
            ValueError: more than 25 events are parked or unparked, or one twice.
        """
        check_parked(parked, unparked)
        parking = self._parked.make_writes(lease.bookmark_id, parked, unparked)
        writes: TransactItems = []
        yield writes
        _check_size(lease, writes, parking)
        token = str(uuid4())
        try:
            await self._move(lease, position, [*writes, *parking], token)
        except RefusedError as refusal:
            _raise_refusal(lease, refusal, token)

    async def acquire_lease(
        self, bookmark_id: str, owner: str, duration: timedelta
    ) -> Lease | None:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns ``None`` when another owner holds one that has not run out.
        """
        # It may have begun after it could not be extended: by a call whose answer was lost.
        for change in (_EXTEND, _BEGIN, _EXTEND):
            now = time.time()
            values = {
                ":owner": {"S": owner},
                ":now": _to_milliseconds(now),
                ":until": _to_milliseconds(now + duration.total_seconds()),
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
            }
            try:
                item = await self._update(bookmark_id, change, values)
            except RefusedError as refusal:
                if _is_held_by_another(refusal.found[0], owner, now):
                    return None
            else:
                return Lease(bookmark_id, owner, int(item[_TOKEN]["N"]))
        return None

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease back before it runs out. One that was lost is left alone."""
        try:
            await self._update(lease.bookmark_id, _RELEASE, _to_values(lease))
        except RefusedError:
            return

    async def get_parked_events(
        self, bookmark_id: str, after: LogPosition = LOG_START, limit: int = 100
    ) -> list[ParkedEvent]:
        """Read the parked events of a bookmark that follow a position, in the order of the log.

        It reads all that the bookmark has, also for a page of them.
        """
        check_limit(limit)
        events = await self._parked.read(bookmark_id)
        return [each for each in events if each.position > after][:limit]

    async def retry_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget the failures of parked events, which lets their reader try them again."""
        await self._parked.retry(bookmark_id, positions)

    async def drop_parked_events(self, bookmark_id: str, positions: Sequence[LogPosition]) -> None:
        """Forget parked events for good: their reader never handles them."""
        await self._parked.drop(bookmark_id, positions)

    async def _move(
        self, lease: Lease, position: LogPosition, writes: Sequence[Mapping[str, Any]], token: str
    ) -> None:
        values = {
            **_to_values(lease),
            ":position": {"S": position},
            ":write": {"S": token},
            ":now": _to_milliseconds(time.time()),
        }
        if not writes:
            await self._update(lease.bookmark_id, _MOVE, values)
            return
        move = {"Update": self._to_parameters(lease.bookmark_id, _MOVE, values)}
        await self._table.call(
            "transact_write_items", TransactItems=[move, *writes], ClientRequestToken=token
        )

    async def _update(self, bookmark_id: str, change: _Change, values: Mapping[str, Any]) -> Item:
        """Change the item of a bookmark, and return what it is then."""
        parameters = self._to_parameters(bookmark_id, change, values)
        response = await self._table.call("update_item", **parameters, ReturnValues="ALL_NEW")
        attributes: Item = response.get("Attributes", {})
        return attributes

    def _to_parameters(
        self, bookmark_id: str, change: _Change, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what UpdateItem takes, and the Update of a transaction takes too."""
        parameters = {
            "TableName": self._table.name,
            "Key": _make_key(bookmark_id),
            "UpdateExpression": change.update,
            "ExpressionAttributeNames": _select(_NAMES, change),
            "ExpressionAttributeValues": _select(values, change),
        }
        if change.condition:
            parameters["ConditionExpression"] = change.condition
            parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return parameters


def _check_size(lease: Lease, writes: TransactItems, parking: TransactItems) -> None:
    """Refuse more writes than a transaction takes, rather than have DynamoDB do so."""
    room = MAX_OPERATIONS - 1 - len(parking)
    if len(writes) > room:
        beside = f" and {len(parking)} events that are parked or unparked" if parking else ""
        raise StorageError(
            f"{len(writes)} writes were to go with bookmark {lease.bookmark_id!r}, and a "
            f"transaction of DynamoDB takes {room} beside its move{beside}"
        )


def _raise_refusal(lease: Lease, refusal: RefusedError, token: str) -> None:
    """Raise for the move, or else for its writes, unless an earlier attempt made them.

    The answer to that was lost; the bookmark has its token.
    """
    moved, *written = refusal.found
    if moved is None:
        refused = [index for index, item in enumerate(written) if item is not None]
        raise StorageError(
            f"bookmark {lease.bookmark_id!r} did not move: of the writes that go with it, the "
            f"conditions of {refused} do not hold"
        ) from refusal.__cause__
    if moved.get(WRITE_TOKEN) != {"S": token}:
        raise LeaseLostError(lease.bookmark_id, lease.owner) from refusal.__cause__


def _is_held_by_another(item: Item | None, owner: str, now: float) -> bool:
    """Tell whether another owner holds the lease, as far as the server shows the item."""
    if not item or _OWNER not in item:
        return False
    return bool(item[_OWNER]["S"] != owner and int(item[_UNTIL]["N"]) > now * 1000)


def _to_bookmark(bookmark_id: str, item: Item) -> Bookmark:
    is_held = _OWNER in item and int(item[_UNTIL]["N"]) > time.time() * 1000
    return Bookmark(
        _read_position(bookmark_id, item) if POSITION in item else None,
        to_moment(item[_MOVED_AT]) if _MOVED_AT in item else None,
        item[_OWNER]["S"] if is_held else None,
        to_moment(item[_RENEWED_AT]) if _RENEWED_AT in item else None,
    )


def _read_position(bookmark_id: str, item: Item) -> LogPosition:
    match item[POSITION]:
        case {"S": str(position)}:
            return position
        case other:
            raise StorageError(f"the position of bookmark {bookmark_id!r} is no text: {other}")


def _make_key(bookmark_id: str) -> dict[str, Any]:
    return {AGGREGATE_ID: {"S": make_own_key("bookmark", bookmark_id)}, VERSION: {"N": "0"}}


def _to_values(lease: Lease) -> dict[str, Any]:
    return {":owner": {"S": lease.owner}, ":token": {"N": str(lease.token)}}


def _to_milliseconds(moment: float) -> dict[str, str]:
    """Return the whole milliseconds since 1970, of the seconds."""
    return {"N": str(int(moment * 1000))}


def _select(used: Mapping[str, Any], change: _Change) -> dict[str, Any]:
    """Return the names or values that expressions use: DynamoDB refuses any other one."""
    return {name: each for name, each in used.items() if any(name in part for part in change)}
