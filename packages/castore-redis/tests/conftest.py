"""Clients of the servers of scripts/services, and keys of a test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import uuid4

import pytest
from redis.asyncio import Redis

SERVERS = ["redis", "valkey"]


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give the URL of each server."""
    return find_server(request.param)


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a server."""
    async with AsyncExitStack() as stack:

        async def make(url: str, **options: Any) -> Any:
            client: Any = cast("Any", Redis).from_url(url, **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def stream() -> str:
    """Give the name of a new stream."""
    return f"messages-{uuid4()}"
