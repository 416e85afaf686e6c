"""Bookmarks and their leases in a table of DynamoDB."""

import time
from datetime import timedelta
from typing import Any

from castore_aws import AWSClient, Client, RetryPolicy
from castore_core import LeaseLostError
from castore_dynamodb._items import AGGREGATE_ID, VERSION
from castore_dynamodb._own_keys import make_own_key
from castore_dynamodb._table import RefusedError, Table

_POSITION = "position"
_NAMES = {"#position": _POSITION, "#owner": "leaseOwner", "#until": "leaseUntil"}


class DynamoDBBookmarkStorageAdapter:
    """Keeps bookmarks and their leases in a table of DynamoDB: that of the events, or one like it.

    Every change is one conditional UpdateItem. Leases run on the clocks of those who take them:
    let them last much longer than these clocks may differ.

    Args:
        client: a ``dynamodb`` client of boto3 or aioboto3 (entered); it is never closed.
        table_name: a table as `table_definition` makes it, or its ARN.
        retries: as in `DynamoDBEventStorageAdapter`.
    """

    def __init__(
        self, client: Client, table_name: str, *, retries: RetryPolicy | None = None
    ) -> None:
        self._table = Table(AWSClient(client, "dynamodb", retries=retries), table_name)

    def __repr__(self) -> str:
        return f"DynamoDBBookmarkStorageAdapter({self._table.name!r})"

    async def get_position(self, bookmark_id: str) -> int:
        """Return the last position that was handled: 0 when there is none."""
        response = await self._table.call(
            "get_item",
            TableName=self._table.name,
            Key=_make_key(bookmark_id),
            ConsistentRead=True,
        )
        return int(response.get("Item", {}).get(_POSITION, {"N": "0"})["N"])

    async def set_position(self, bookmark_id: str, position: int, *, owner: str) -> None:
        """Move a bookmark, forwards or backwards.

        Raises:
            LeaseLostError: ``owner`` does not hold the lease. Nothing was written.
        """
        try:
            await self._update(
                bookmark_id,
                "SET #position = :position",
                "#owner = :owner AND #until > :now",
                {":position": {"N": str(position)}, ":owner": {"S": owner}, ":now": _now()},
            )
        except RefusedError as refusal:
            raise LeaseLostError(bookmark_id, owner) from refusal.__cause__

    async def acquire_lease(self, bookmark_id: str, owner: str, duration: timedelta) -> bool:
        """Take or extend the lease of a bookmark, from now on for ``duration``.

        Returns false when another owner holds one that has not run out.
        """
        try:
            await self._update(
                bookmark_id,
                "SET #owner = :owner, #until = :until",
                "attribute_not_exists(#until) OR #until <= :now OR #owner = :owner",
                {":owner": {"S": owner}, ":until": _now(duration), ":now": _now()},
            )
        except RefusedError:
            return False
        return True

    async def release_lease(self, bookmark_id: str, owner: str) -> None:
        """Give a lease back before it runs out. A lease of another owner is left alone."""
        values = {":owner": {"S": owner}}
        try:
            await self._update(bookmark_id, "REMOVE #owner, #until", "#owner = :owner", values)
        except RefusedError:
            return

    async def _update(
        self, bookmark_id: str, update: str, condition: str, values: dict[str, Any]
    ) -> None:
        await self._table.call(
            "update_item",
            TableName=self._table.name,
            Key=_make_key(bookmark_id),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={
                name: each for name, each in _NAMES.items() if name in update + condition
            },
            ExpressionAttributeValues=values,
        )


def _make_key(bookmark_id: str) -> dict[str, Any]:
    return {AGGREGATE_ID: {"S": make_own_key("bookmark", bookmark_id)}, VERSION: {"N": "0"}}


def _now(later: timedelta = timedelta(0)) -> dict[str, str]:
    """Return the milliseconds since 1970, now or a while later."""
    return {"N": str(int((time.time() + later.total_seconds()) * 1000))}
