"""Clients and tables on the servers of scripts/services."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import aioboto3
import boto3
import pytest
from aiobotocore.config import AioConfig

from castore_aws import AWSClient
from castore_dynamodb import create_table, table_definition

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


# What the servers do that DynamoDB does not.
LEFT_OUT = {
    "OnDynalite": ("group", "clash"),  # it has no transactions
    "OnMoto": (
        "test_json[containers]",  # it empties a map that is in a list
        "test_any_json",
        "test_a_group_among_single_pushes",  # undoing a transaction, it undoes others' writes
        "test_concurrent_groups",
        "writers",  # two writers at a time may both pass the condition of a put
        "at_once",
    ),
    "[moto": ("writers",),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a server cannot tell about DynamoDB."""
    out = [
        item
        for item in items
        for server, names in LEFT_OUT.items()
        if server in item.nodeid and any(each in item.name for each in names)
    ]
    config.hook.pytest_deselected(items=out)
    items[:] = [each for each in items if each not in out]


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a kind (boto3 or aioboto3) of a server."""
    async with AsyncExitStack() as stack:

        async def make(kind: str, url: str, **options: Any) -> Any:
            config = AioConfig(max_pool_connections=32, **options)
            if kind == "boto3":
                client: Any = boto3.client("dynamodb", endpoint_url=url, config=config, **ACCOUNT)
                stack.callback(client.close)
                return client
            session = aioboto3.Session(**ACCOUNT)
            return await stack.enter_async_context(
                session.client("dynamodb", endpoint_url=url, config=config)
            )

        yield make


@pytest.fixture
async def make_table() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Give a function that creates a table of events, and returns its name."""
    async with AsyncExitStack() as stack:

        async def make(client: Any, **options: Any) -> str:
            name = f"events-{uuid4()}"
            await create_table(client, table_definition(name, **options))
            stack.push_async_callback(
                AWSClient(client, "dynamodb").call, "delete_table", {"TableName": name}
            )
            return name

        yield make
