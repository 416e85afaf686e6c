"""Clients of Redis and Valkey, by both versions of their protocol."""

from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff


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
    """Give a client, with an encoding that is not ours, which decodes by one of the protocols."""
    client = make_redis(*place, encoding="latin-1", decode_responses=place[1] == 3)
    yield client
    await client.aclose()


@pytest.fixture
async def reader(place: tuple[str, int]) -> AsyncGenerator[Redis]:
    """Give a plain client of the same server."""
    client = make_redis(*place)
    yield client
    await client.aclose()


@pytest.fixture
def break_connections(redis: Redis) -> Callable[[], Any]:
    """Give a function that breaks the connections of the client, and all later ones."""

    async def break_them() -> None:
        pool: Any = redis.connection_pool
        await pool.disconnect()
        pool.connection_kwargs |= {"port": 1}
        for each in pool._available_connections:
            each.port = 1

    return break_them


def make_redis(url: str, protocol: int = 2, **options: Any) -> Redis:
    """Return a client of a server, which tries again twice."""
    place = urlsplit(url)
    retry = Retry(ConstantBackoff(0.05), 2)
    return Redis(
        host=place.hostname or "",
        port=place.port or 0,
        protocol=protocol,
        retry=retry,
        **options,
    )
