"""Clients of Redis and Valkey, by both versions of their protocol."""

from collections.abc import AsyncGenerator, Callable
from uuid import uuid4

import pytest
from redis.asyncio import Redis

MakeRedis = Callable[..., Redis]


@pytest.fixture
def prefix() -> str:
    """Give a prefix of keys and channels that no other test has."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(params=["redis-2", "redis-3", "valkey-2", "valkey-3"])
def place(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> tuple[str, int]:
    """Give the URL of a server, and a version of its protocol."""
    name, _, protocol = request.param.partition("-")
    return find_server(name), int(protocol)


@pytest.fixture
async def redis(place: tuple[str, int]) -> AsyncGenerator[Redis]:
    """Give a client."""
    url, protocol = place
    client = Redis.from_url(url, protocol=protocol)
    yield client
    await client.aclose()
