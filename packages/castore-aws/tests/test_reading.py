"""Bodies that are streamed, as those of S3 are."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aioboto3
import boto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from castore_aws import AWSClient, RetryPolicy, get_error_code

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
PLACE = {"Bucket": "bucket", "Key": "key"}
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwh"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)


class Server:
    """Answers each request with the next line of a script, and then with its last."""

    def __init__(self) -> None:
        self.script: list[bytes] = []
        self.requests = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.script[min(self.requests, len(self.script) - 1)])
        self.requests += 1
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server."""
    server = Server()
    listener = await asyncio.start_server(server.answer, "127.0.0.1")
    server.url = "http://{}:{}".format(*listener.sockets[0].getsockname())
    yield server
    listener.close()


@pytest.fixture(params=["boto3", "aioboto3"])
async def connect(
    request: pytest.FixtureRequest, server: Server
) -> AsyncIterator[Callable[[], Awaitable[AWSClient]]]:
    """Give a function that makes a client of the server, of either kind."""
    config = AioConfig(retries={"total_max_attempts": 1})
    async with AsyncExitStack() as stack:

        async def make() -> AWSClient:
            if request.param == "boto3":
                client: Any = boto3.client("s3", endpoint_url=server.url, config=config, **ACCOUNT)
                stack.callback(client.close)
            else:
                context = aioboto3.Session(**ACCOUNT).client(
                    "s3", endpoint_url=server.url, config=config
                )
                client = await stack.enter_async_context(context)
            return AWSClient(client, "s3", retries=AT_ONCE)

        yield make


async def test_a_body_is_read_as_a_whole(
    server: Server, connect: Callable[[], Awaitable[AWSClient]]
) -> None:
    """It is what was stored."""
    server.script = [WHOLE]

    assert b"whole" == await (await connect()).read("get_object", PLACE)


async def test_a_body_that_was_cut_is_read_again(
    server: Server, connect: Callable[[], Awaitable[AWSClient]]
) -> None:
    """What is shorter than it says is no body."""
    server.script = [CUT, WHOLE]

    assert b"whole" == await (await connect()).read("get_object", PLACE)
    assert 2 == server.requests


async def test_a_body_that_is_cut_each_time(
    server: Server, connect: Callable[[], Awaitable[AWSClient]]
) -> None:
    """The attempts are bounded, and the error is one of botocore."""
    server.script = [CUT]

    with pytest.raises(BotoCoreError):
        await (await connect()).read("get_object", PLACE)

    assert 3 == server.requests


async def test_no_body(server: Server, connect: Callable[[], Awaitable[AWSClient]]) -> None:
    """What AWS refuses is raised as it is, at once."""
    server.script = [MISSING]

    with pytest.raises(ClientError) as caught:
        await (await connect()).read("get_object", PLACE)

    assert ("404", 1) == (get_error_code(caught.value), server.requests)
