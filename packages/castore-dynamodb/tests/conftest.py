"""Clients and tables on the servers of scripts/services."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit
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
WRITES = (
    b"DynamoDB_20120810.PutItem",
    b"DynamoDB_20120810.TransactWriteItems",
    b"DynamoDB_20120810.UpdateItem",
)


# What the servers do that DynamoDB does not, and tests of writes, where an adapter only reads.
LEFT_OUT = {
    "OnDynalite": (
        "group",  # it has no transactions
        "clash",
        "assert",
        "test_force_writes_a_gap",
        "test_a_taken_version_after_a_gap_is_a_conflict",
        "test_a_push_whose_answer_is_lost",  # it does not return what was in the way
    ),
    "OnMoto": (
        "test_json[containers]",  # it empties a map that is in a list
        "test_json_of_a_group[containers]",
        "test_any_json",
        "test_a_group_among_single_pushes",  # undoing a transaction, it undoes others' writes
        "never_seen",  # what a transaction wrote is there until it is undone
        "test_concurrent_groups",
        "writers",  # two writers at a time may both pass the condition of a put
        "at_once",
        "cancelled",  # what was cancelled in a thread goes on, and is such a writer
    ),
    "[moto": ("writers",),
    "test_legacy_contract": ("group", "assert", "clash", "gap", "writers", "pushes_at_once"),
}
# What takes long, and is told as well by the same adapter on another server, or through boto3.
TOLD_ELSEWHERE = {
    "OnMoto": ("test_any", "test_many", "joined_ids"),
    "Aioboto3OnMinistack": ("test_any", "test_many"),
    "SnapshotsOfAioboto3": ("test_any",),
    "BookmarksOfAioboto3": ("test_any",),
    # A table for each event store, and half a second for each table.
    "LegacyTablesOfAioboto3OnDynalite": ("any_pages", "joined_ids", "event_store_ids"),
    "LegacyTablesOfAioboto3OnMinistack": ("joined_ids", "event_store_ids"),
}


class Proxy:
    """Passes requests on to a server, and drops the answers to some writes.

    The server has carried out what it answers.
    """

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self._upstream = (place.hostname, place.port)
        self.url = ""
        self.answers_to_drop = 0
        self.writes = 0

    def drop_next_answer(self) -> None:
        """Drop the answer to the next write."""
        self.answers_to_drop = 1

    @asynccontextmanager
    async def run(self) -> AsyncGenerator["Proxy", None]:
        """Listen while the context lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield self
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            answer = await self._forward(head, await reader.readexactly(length))
            if any(each in head for each in WRITES):
                self.writes += 1
                if self.answers_to_drop:
                    self.answers_to_drop -= 1
                    return
            writer.write(answer)
            await writer.drain()
        except asyncio.IncompleteReadError:
            return  # a client that connected, and closed again
        finally:
            writer.close()

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        answer = await reader.read()
        writer.close()
        return answer


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a server cannot tell about DynamoDB, and what others tell as well."""
    out = [
        item
        for item in items
        for server, names in (*LEFT_OUT.items(), *TOLD_ELSEWHERE.items())
        if server in item.nodeid and any(each in item.name for each in names)
    ]
    config.hook.pytest_deselected(items=out)
    items[:] = [each for each in items if each not in out]


@pytest.fixture(scope="session")
def aio_session() -> aioboto3.Session:
    """Give a session for all tests: each would load the description of DynamoDB anew."""
    return aioboto3.Session(**ACCOUNT)


@pytest.fixture
async def make_client(
    aio_session: aioboto3.Session,
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a kind (boto3 or aioboto3) of a server."""
    async with AsyncExitStack() as stack:

        async def make(kind: str, url: str, **options: Any) -> Any:
            config = AioConfig(max_pool_connections=32, **options)
            if kind == "boto3":
                client: Any = boto3.client("dynamodb", endpoint_url=url, config=config, **ACCOUNT)
                stack.callback(client.close)
                return client
            return await stack.enter_async_context(
                aio_session.client("dynamodb", endpoint_url=url, config=config)
            )

        yield make


@pytest.fixture
async def make_proxy() -> AsyncIterator[Callable[[str], Awaitable[Proxy]]]:
    """Give a function that runs a proxy of a server."""
    async with AsyncExitStack() as stack:

        async def make(url: str) -> Proxy:
            return await stack.enter_async_context(Proxy(url).run())

        yield make


@pytest.fixture
async def make_table() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Give a function that creates a table of events, and returns its name."""

    async def drop(client: Any, name: str) -> None:
        with suppress(client.exceptions.ResourceNotFoundException):  # a test has dropped it
            await AWSClient(client, "dynamodb").call("delete_table", {"TableName": name})

    async with AsyncExitStack() as stack:

        async def make(client: Any, definition: Any = table_definition, **options: Any) -> str:
            name = f"events-{uuid4()}"
            await create_table(client, definition(name, **options))
            stack.push_async_callback(drop, client, name)
            return name

        yield make


def _make_legacy_definition(table_name: str, **projection: str) -> dict[str, Any]:
    """Return the table that the documentation of Castore's legacy adapter asks for."""
    definition = table_definition(table_name)
    definition["AttributeDefinitions"][2] = {
        "AttributeName": "isInitialEvent",
        "AttributeType": "N",
    }
    (index,) = definition["GlobalSecondaryIndexes"]
    index["KeySchema"][0]["AttributeName"] = "isInitialEvent"
    index["Projection"] |= projection
    return definition


@pytest.fixture
def make_legacy_table(
    make_table: Callable[..., Awaitable[str]],
) -> Callable[..., Awaitable[str]]:
    """Give a function that creates a table of Castore's legacy adapter, and returns its name."""
    return partial(make_table, definition=_make_legacy_definition)
