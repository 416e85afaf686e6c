"""The servers behind a client: one, one found by Sentinel, or the nodes of a cluster."""

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from redis.asyncio import RedisCluster
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    SlotNotCoveredError,
    TryAgainError,
)

from castore_core import StorageError
from castore_core.workers import is_cancelled
from castore_redis._client import REDIS_ERRORS, RedisClient, describe_fault

T = TypeVar("T")

TOPOLOGY_ERRORS: Final = (
    MovedError,
    AskError,
    TryAgainError,
    ClusterDownError,
    SlotNotCoveredError,
)
"""Another node of the cluster has the slot by now, or none for a moment."""


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


def get_encoder(client: RedisClient) -> Any:
    """Return the encoding of a client."""
    anything: Any = client
    return anything.get_encoder()


def to_bytes(value: bytes | str, encoder: Any) -> bytes:
    """Return a value as it was sent, also where the client has decoded it."""
    if isinstance(value, bytes):
        return value
    return value.encode(encoder.encoding, encoder.encoding_errors)


async def find_node(client: RedisCluster, key: str) -> ClusterNode:
    """Return the node that has a key."""
    await client.initialize()
    node = client.get_node_from_key(key.encode())  # type: ignore[arg-type] # it takes both
    if node is None:
        raise SlotNotCoveredError(f"no node of the cluster has the slot of {key!r:.100}")
    return node


async def refresh_topology(client: RedisClient) -> None:
    """Learn anew which node of a cluster has which slot."""
    if isinstance(client, RedisCluster):
        await client.nodes_manager.initialize()


async def make_pipeline(client: RedisClient, key: str) -> Pipeline:
    """Return a pipeline of one transaction, on the server that has a key.

    That of a cluster client would run WATCH in another event loop.
    """
    if not isinstance(client, RedisCluster):
        return client.pipeline(transaction=True)
    pool: Any = NodePool(await find_node(client, key))
    anything: Any = client
    return Pipeline(pool, anything.response_callbacks, True, None)


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


def raise_cancellation() -> None:
    """End a task that was cancelled, where the client may have swallowed it: see above.

    Raises:
        CancelledError: the task was cancelled.
    """
    if is_cancelled():
        raise asyncio.CancelledError


@contextmanager
def translate_errors(action: str) -> Generator[None]:
    """Raise a `StorageError` from an error of Redis.

    Raises:
        StorageError: Redis failed, or its connection.
    """
    try:
        yield
    except REDIS_ERRORS as error:
        raise StorageError(f"{action}: {describe_fault(error)}") from error
