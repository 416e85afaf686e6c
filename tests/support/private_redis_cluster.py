"""A cluster of Redis servers of a test's own, in which slots can be moved."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import Redis

from private_redis import PrivateRedis, private_redis

_SLOTS = 16_384
_PATIENCE = 1_000  # hundredths of a second


class PrivateRedisCluster:
    """Primaries, each of which has a part of the slots."""

    def __init__(self, servers: list[PrivateRedis]) -> None:
        self.servers = servers
        self.port = servers[0].port

    async def form(self) -> None:
        """Deal out the slots, and wait until all servers know it."""
        count = len(self.servers)
        async with self._connect() as nodes:
            for number, node in enumerate(nodes):
                first, last = number * _SLOTS // count, (number + 1) * _SLOTS // count - 1
                await node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                for other in self.servers[:number]:
                    await node.execute_command("CLUSTER MEET", "127.0.0.1", other.port)
            for node in nodes:
                for _ in range(_PATIENCE):
                    if self._is_formed(await node.execute_command("CLUSTER INFO")):
                        break
                    await asyncio.sleep(0.01)

    async def move_slot(self, slot: int) -> None:
        """Give an empty slot to the next server."""
        async with self._connect() as nodes:
            ids = [await each.execute_command("CLUSTER MYID") for each in nodes]
            owner = slot * len(nodes) // _SLOTS
            target = (owner + 1) % len(nodes)
            for node in nodes:
                await node.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[list[Any]]:
        async with AsyncExitStack() as stack:
            clients = [Redis(port=each.port, decode_responses=True) for each in self.servers]
            for each in clients:
                stack.push_async_callback(each.aclose)
            yield [*clients]

    def _is_formed(self, info: Any) -> bool:
        found = {key: str(value) for key, value in info.items()}
        wanted = {
            "cluster_state": "ok",
            "cluster_known_nodes": str(len(self.servers)),
            "cluster_slots_assigned": str(_SLOTS),
        }
        return wanted.items() <= found.items()


@contextmanager
def private_redis_cluster(count: int = 3) -> Generator[PrivateRedisCluster]:
    """Start a cluster; without the program, skip the test."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
    with ExitStack() as stack:
        servers = [stack.enter_context(private_redis(*options)) for _ in range(count)]
        cluster = PrivateRedisCluster(servers)
        asyncio.run(cluster.form())
        yield cluster
