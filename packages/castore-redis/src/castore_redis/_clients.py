"""The user's client: one server, one found by Sentinel, or a cluster."""

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    SlotNotCoveredError,
    TryAgainError,
)

from castore_core import StorageError

T = TypeVar("T")

Client: TypeAlias = "Redis | RedisCluster"

REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""All that a client raises for a server or a connection."""

TOPOLOGY_ERRORS: Final = (
    MovedError,
    AskError,
    TryAgainError,
    ClusterDownError,
    SlotNotCoveredError,
)
"""Another node of the cluster has the slot by now, or none for a moment."""


def check_client(client: object) -> None:
    """Refuse what is no client of redis-py's asyncio.

    Raises:
        TypeError: it is something else, such as a blocking client.
    """
    if not isinstance(client, (Redis, RedisCluster)) or isinstance(client, Pipeline):
        raise TypeError(
            "give a client of redis.asyncio, a Redis or a RedisCluster, and not "
            f"{client if isinstance(client, type) else type(client)!r}"
        )


class NodePool:
    """The connections to one node of a cluster, as pipelines and Pub/Sub use a pool."""

    def __init__(self, node: ClusterNode) -> None:
        self._node: Any = node

    async def get_connection(self, *_: object) -> Any:
        """Return a connection that is connected."""
        connection = self._node.acquire_connection()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect()
            self._node.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        self._node.release(connection)


def get_encoder(client: Client) -> Any:
    """Return what encodes the commands of a client."""
    anything: Any = client
    return anything.get_encoder()


async def find_node(client: RedisCluster, key: str) -> ClusterNode:
    """Return the node that has a key."""
    await client.initialize()
    node = client.get_node_from_key(key)
    if node is None:
        raise SlotNotCoveredError(f"no node of the cluster has the slot of {key!r:.100}")
    return node


async def refresh_topology(client: Client) -> None:
    """Learn anew which node of a cluster has which slot."""
    if isinstance(client, RedisCluster):
        await client.nodes_manager.initialize()


async def make_pipeline(client: Client, key: str) -> Pipeline:
    """Return a pipeline of one transaction, on the server that has a key.

    That of a cluster client would run WATCH in another event loop.
    """
    if not isinstance(client, RedisCluster):
        return client.pipeline(transaction=True)
    pool: Any = NodePool(await find_node(client, key))
    anything: Any = client
    return Pipeline(pool, anything.response_callbacks, True, None)


async def run_script(client: Client, script: str, keys: list[str], *arguments: object) -> Any:
    """Run a Lua script, which is one step to all others, on the server of its keys."""
    anything: Any = client
    return await keep_cancellation(anything.eval(script, len(keys), *keys, *arguments))


async def keep_cancellation(call: Awaitable[T]) -> T:
    """Await a call of the client, which on Python 3.11 may swallow a cancellation.

    Raises:
        CancelledError: the task was cancelled meanwhile.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await call
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


def to_text(value: bytes | str) -> str:
    """Return a text, also where the client does not decode."""
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def translate_errors(action: str) -> Generator[None]:
    """Raise a `StorageError` from an error of Redis.

    Raises:
        StorageError: Redis failed, or its connection.
    """
    try:
        yield
    except REDIS_ERRORS as error:
        raise StorageError(f"{action}: {type(error).__name__}: {error}") from error
