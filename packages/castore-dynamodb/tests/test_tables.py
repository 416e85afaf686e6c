"""The table is what Castore uses, and nobody creates it unasked."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_core import StorageError
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition


@pytest.fixture(params=["boto3", "aioboto3"])
async def client(
    request: pytest.FixtureRequest,
    make_client: Callable[..., Awaitable[Any]],
    find_server: Callable[[str], str],
) -> Any:
    """Give a client of each kind, of ministack."""
    return await make_client(request.param, find_server("ministack"))


def test_the_table_of_castore() -> None:
    """Keys, index and billing are as Castore's documentation has them."""
    definition = table_definition("events")

    assert {"aggregateId": "HASH", "version": "RANGE"} == {
        each["AttributeName"]: each["KeyType"] for each in definition["KeySchema"]
    }
    assert [
        {
            "IndexName": "initialEvents",
            "KeySchema": [
                {"AttributeName": "eventStoreId", "KeyType": "HASH"},
                {"AttributeName": "timestamp", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ] == definition["GlobalSecondaryIndexes"]
    assert ("PAY_PER_REQUEST", None) == (
        definition["BillingMode"],
        definition.get("StreamSpecification"),
    )


def test_options_of_a_table() -> None:
    """A stream and provisioned capacity, which the index has too."""
    definition = table_definition(
        "events", stream_view_type="NEW_IMAGE", read_capacity=5, write_capacity=2
    )

    capacity = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 2}
    assert "PROVISIONED" == definition["BillingMode"]
    assert [capacity, capacity] == [
        each["ProvisionedThroughput"]
        for each in (definition, *definition["GlobalSecondaryIndexes"])
    ]
    assert {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"} == definition[
        "StreamSpecification"
    ]


def test_half_a_capacity_is_refused() -> None:
    """DynamoDB needs both."""
    with pytest.raises(ValueError, match="both"):
        table_definition("events", read_capacity=5)


async def test_a_table_is_created(client: Any, make_table: Callable[..., Awaitable[str]]) -> None:
    """It can be used at once, and has what the definition says."""
    name = await make_table(client, stream_view_type="NEW_IMAGE")

    assert [] == await DynamoDBEventStorageAdapter(client, name).get_events("NOTES", "a1")


class YoungTable:
    """A client of aioboto3 whose new table is not known at once."""

    def __init__(self, *answers: Any) -> None:
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))
        self.answers = list(answers)

    async def _make_api_call(self, operation: str, _: Any) -> Any:
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "..."}}, operation)
        return answer

    async def create_table(self, **parameters: Any) -> Any:
        """Play a CreateTable."""
        return await self._make_api_call("CreateTable", parameters)

    async def describe_table(self, **parameters: Any) -> Any:
        """Play a DescribeTable."""
        return await self._make_api_call("DescribeTable", parameters)


CREATING = {"TableDescription": {"TableStatus": "CREATING"}}


async def test_a_table_that_is_not_known_yet_is_waited_for() -> None:
    """DescribeTable is eventually consistent."""
    client = YoungTable(CREATING, "ResourceNotFoundException", {"Table": {"TableStatus": "ACTIVE"}})

    await create_table(client, table_definition("events"))

    assert [] == client.answers


async def test_a_table_that_cannot_be_watched_is_a_storage_error() -> None:
    """The program may create tables, and not describe them."""
    client = YoungTable(CREATING, "AccessDeniedException")

    with pytest.raises(StorageError, match="AccessDeniedException"):
        await create_table(client, table_definition("events"))


async def test_a_table_that_is_there_is_refused(
    client: Any, make_table: Callable[..., Awaitable[str]]
) -> None:
    """Nothing is changed, and the error is that of AWS."""
    name = await make_table(client)

    with pytest.raises(StorageError, match="ResourceInUseException"):
        await create_table(client, table_definition(name))


async def test_a_missing_table_is_a_storage_error(client: Any) -> None:
    """The adapter creates nothing by itself."""
    with pytest.raises(StorageError, match="ResourceNotFoundException"):
        await DynamoDBEventStorageAdapter(client, "missing").get_events("NOTES", "a1")
