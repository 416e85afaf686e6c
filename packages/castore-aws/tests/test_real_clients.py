"""Clients of boto3 and aioboto3, on a server and without one."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aioboto3
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import AWSClient, RetryPolicy, get_error_code

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


@pytest.fixture
def url(find_server: Callable[[str], str]) -> str:
    """Give the URL of moto's server."""
    return find_server("moto")


def make_boto3_client(url: str, **options: Any) -> Any:
    """Return a client of boto3."""
    return boto3.client("dynamodb", endpoint_url=url, **ACCOUNT, **options)


def make_aioboto3_client(url: str, **options: Any) -> Any:
    """Return the async context manager of a client of aioboto3."""
    return aioboto3.Session(**ACCOUNT).client("dynamodb", endpoint_url=url, **options)


async def test_a_client_of_boto3(url: str) -> None:
    """It answers, from several event loops too."""
    client = make_boto3_client(url)
    aws = AWSClient(client, "dynamodb")

    found = await aws.call("list_tables", {"Limit": 1})
    elsewhere = await asyncio.to_thread(lambda: asyncio.run(aws.call("list_tables", {"Limit": 1})))

    assert [200, 200] == [each["ResponseMetadata"]["HTTPStatusCode"] for each in (found, elsewhere)]
    client.close()


async def test_a_client_of_aioboto3(url: str) -> None:
    """It answers, and is still open."""
    async with make_aioboto3_client(url) as client:
        for _ in range(2):
            found = await AWSClient(client, "dynamodb").call("list_tables", {"Limit": 1})
            assert found["ResponseMetadata"]["HTTPStatusCode"] == 200


async def test_errors_come_as_they_are(url: str) -> None:
    """Both kinds of client raise the same error."""
    sync_client = make_boto3_client(url)
    async with make_aioboto3_client(url) as async_client:
        for each in (sync_client, async_client):
            with pytest.raises(ClientError) as caught:
                await AWSClient(each, "dynamodb").call("describe_table", {"TableName": "missing"})
            assert "ResourceNotFoundException" == get_error_code(caught.value)
    sync_client.close()


async def test_a_client_that_was_not_entered_is_refused(url: str) -> None:
    """The error says what aioboto3 needs."""
    context = make_aioboto3_client(url)

    with pytest.raises(TypeError, match="async with"):
        AWSClient(context, "dynamodb")

    async with context as client:
        assert AWSClient(client, "dynamodb").client is client


def test_a_resource_is_refused(url: str) -> None:
    """A resource of boto3 is no client."""
    resource: Any = boto3.resource("dynamodb", endpoint_url=url, **ACCOUNT)
    with pytest.raises(TypeError, match="not a client"):
        AWSClient(resource, "dynamodb")


async def test_nobody_answers() -> None:
    """After the last attempt the error of the connection is raised."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    policy = RetryPolicy(max_attempts=2, base_delay=0)
    once = Config(retries={"total_max_attempts": 1})
    sync_client = make_boto3_client(url, config=once)
    async with make_aioboto3_client(url, config=once) as async_client:
        for each in (sync_client, async_client):
            with pytest.raises(EndpointConnectionError):
                await AWSClient(each, "dynamodb", retries=policy).call("list_tables", {})
    sync_client.close()
