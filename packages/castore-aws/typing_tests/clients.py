"""What type checkers take for a client. Checked by pyright and mypy, and never run."""

from typing import assert_type

import aioboto3
import boto3
from mypy_boto3_dynamodb import DynamoDBClient
from types_aiobotocore_dynamodb import DynamoDBClient as AsyncDynamoDBClient

from castore_aws import AWSClient, Client


def check_typed_clients(sync_client: DynamoDBClient, async_client: AsyncDynamoDBClient) -> None:
    """Take clients with the types of boto3-stubs and types-aiobotocore."""
    AWSClient(sync_client, "dynamodb")
    aws = AWSClient(async_client, "dynamodb")
    assert_type(aws.client, Client)


def check_untyped_client() -> None:
    """Take what boto3 returns without those types."""
    AWSClient(boto3.client("dynamodb"), "dynamodb")


async def check_entered_client() -> None:
    """Take what the context manager of aioboto3 gives."""
    async with aioboto3.Session().client("dynamodb") as client:
        AWSClient(client, "dynamodb")


def check_others() -> None:
    """Refuse what has nothing of a client."""
    AWSClient("dynamodb", "dynamodb")  # type: ignore[arg-type]
    AWSClient(None, "dynamodb")  # type: ignore[arg-type]
