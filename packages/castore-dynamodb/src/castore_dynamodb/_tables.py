"""The tables: their keys and indexes, and how to create one."""

import asyncio
from functools import partial
from typing import Any, Literal, TypeAlias

from castore_aws import AWSClient, Client, RetryPolicy, get_error_code
from castore_dynamodb._items import AGGREGATE_ID, EVENT_STORE_ID, INITIAL_EVENTS, TIMESTAMP, VERSION
from castore_dynamodb._table import Table

StreamViewType: TypeAlias = Literal["KEYS_ONLY", "NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE"]

_POLL_PAUSE = 0.5  # seconds
_UNTIL_KNOWN = RetryPolicy(max_attempts=20, base_delay=_POLL_PAUSE)


def table_definition(
    table_name: str,
    *,
    stream_view_type: StreamViewType | None = None,
    read_capacity: int | None = None,
    write_capacity: int | None = None,
) -> dict[str, Any]:
    """Return what ``CreateTable`` takes to make the table of events that Castore uses.

    It is billed on demand, unless both capacities are given, which hold for the index too. With
    ``stream_view_type`` its changes go to a stream; ``NEW_IMAGE`` is what carries events.

    Raises:
        ValueError: one of the capacities is given without the other.
    """
    capacity = _to_capacity(read_capacity, write_capacity)
    index: dict[str, Any] = {
        "IndexName": INITIAL_EVENTS,
        "KeySchema": _to_key_schema(EVENT_STORE_ID, TIMESTAMP),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    definition: dict[str, Any] = {
        "TableName": table_name,
        "AttributeDefinitions": [
            {"AttributeName": AGGREGATE_ID, "AttributeType": "S"},
            {"AttributeName": VERSION, "AttributeType": "N"},
            {"AttributeName": EVENT_STORE_ID, "AttributeType": "S"},
            {"AttributeName": TIMESTAMP, "AttributeType": "S"},
        ],
        "KeySchema": _to_key_schema(AGGREGATE_ID, VERSION),
        "GlobalSecondaryIndexes": [index | capacity],
        "BillingMode": "PROVISIONED" if capacity else "PAY_PER_REQUEST",
        **capacity,
    }
    if stream_view_type is not None:
        definition["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": stream_view_type,
        }
    return definition


async def create_table(client: Client, definition: dict[str, Any]) -> None:
    """Create a table, and wait until it can be used.

    ``definition`` is what `table_definition` returns, with whatever you add to it: tags,
    encryption, protection against deletion.

    Raises:
        StorageError: DynamoDB refused, for instance because the table is there already.
    """
    table = Table(AWSClient(client, "dynamodb"), definition["TableName"])
    response = await table.call("create_table", **definition)
    while not _is_active(response.get("TableDescription") or response["Table"]):
        await asyncio.sleep(_POLL_PAUSE)
        describe = partial(table.call, "describe_table", TableName=table.name)
        response = await _UNTIL_KNOWN.run(describe, _is_not_known_yet)


def _is_not_known_yet(error: Exception) -> bool:
    """Tell whether a table is missing, as a new one may be for some seconds."""
    return get_error_code(error.__cause__ or error) == "ResourceNotFoundException"


def _is_active(description: dict[str, Any]) -> bool:
    return bool(description["TableStatus"] == "ACTIVE")  # with its indexes


def _to_key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _to_capacity(read_capacity: int | None, write_capacity: int | None) -> dict[str, Any]:
    if (read_capacity is None) != (write_capacity is None):
        raise ValueError("read_capacity and write_capacity are given both, or neither")
    if read_capacity is None:
        return {}
    return {
        "ProvisionedThroughput": {
            "ReadCapacityUnits": read_capacity,
            "WriteCapacityUnits": write_capacity,
        }
    }
