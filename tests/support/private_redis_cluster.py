"""A cluster of Redis servers of a test's own, in which slots can be moved."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
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
        self._nodes: list[Any] = [Redis(port=each.port, decode_responses=True) for each in servers]

    async def form(self) -> None:
        """Deal out the slots, and wait until all servers know it."""
        count = len(self._nodes)
        for number, node in enumerate(self._nodes):
            first, last = number * _SLOTS // count, (number + 1) * _SLOTS // count - 1
            await node.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            for other in self.servers[:number]:
                await node.execute_command("CLUSTER MEET", "127.0.0.1", other.port)
        for node in self._nodes:
            for _ in range(_PATIENCE):
                info = await node.execute_command("CLUSTER INFO")
                if self._is_formed(info, count):
                    break
                await asyncio.sleep(0.01)

    async def move_slot(self, slot: int) -> None:
        """Give an empty slot to the next server."""
        ids = [await each.execute_command("CLUSTER MYID") for each in self._nodes]
        owner = slot * len(self._nodes) // _SLOTS
        target = (owner + 1) % len(self._nodes)
        for node in self._nodes:
            await node.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])

    async def aclose(self) -> None:
        """Let the connections go."""
        for each in self._nodes:
            await each.aclose()

    @staticmethod
    def _is_formed(info: Any, count: int) -> bool:
        found = {key: str(value) for key, value in info.items()}
        wanted = {
            "cluster_state": "ok",
            "cluster_known_nodes": str(count),
            "cluster_slots_assigned": str(_SLOTS),
        }
        return wanted.items() <= found.items()


@asynccontextmanager
async def private_redis_cluster(count: int = 3) -> AsyncGenerator[PrivateRedisCluster]:
    """Start a cluster; without the program, skip the test."""
    async with AsyncExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
        servers = [stack.enter_context(private_redis(*options)) for _ in range(count)]
        cluster = PrivateRedisCluster(servers)
        stack.push_async_callback(cluster.aclose)
        await cluster.form()
        yield cluster
