"""The Redis server of the comparison, where tests look for it."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

SERVER = os.environ.get("CASTORE_TEST_REDIS_URL", "redis://127.0.0.1:4616")


@asynccontextmanager
async def opened_client() -> AsyncGenerator[Any]:
    """Give a client of the server."""
    place = urlsplit(SERVER)
    client: Any = Redis(host=place.hostname or "", port=place.port or 6379)
    try:
        yield client
    finally:
        await client.aclose()


async def describe_redis() -> str | None:
    """Return the version of the server and its durability, or ``None`` if it does not answer."""
    async with opened_client() as client:
        try:
            version = (await client.info("server"))["redis_version"]
            settings = await client.config_get("append*")
        except (RedisError, OSError):
            return None
    return f"{version}, appendonly {settings['appendonly']}, {settings['appendfsync']}"
