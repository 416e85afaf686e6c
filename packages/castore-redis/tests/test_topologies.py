"""Clients of Sentinel and of a cluster, on servers of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import MasterNotFoundError

from castore_core import NotificationMessage, NotificationMessageQueue
from castore_redis import RedisMessageQueueAdapter, RedisWorker
from pokemon import PokemonLeveledUp, pokemons
from private_redis import private_redis
from private_sentinel import private_sentinel


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Give a stack of what is to be ended."""
    async with AsyncExitStack() as stack:
        yield stack


async def until(condition: Any) -> None:
    """Wait for a condition, and not for ever."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 servers tell nobody
            await asyncio.sleep(0.05)


class Service:
    """A queue on several streams, and what its worker handled."""

    def __init__(self, client: Any, *, streams: int) -> None:
        self.client = client
        self.handled: list[tuple[str, int]] = []
        self.adapter = RedisMessageQueueAdapter(client, stream="messages", streams=streams)
        self.queue = NotificationMessageQueue(
            "QUEUE", source_event_stores=(pokemons,), message_channel_adapter=self.adapter
        )

    async def publish(self, names: range, versions: range) -> None:
        """Publish messages of some aggregates."""
        await self.queue.publish_messages(
            NotificationMessage(
                "POKEMONS", PokemonLeveledUp(aggregate_id=str(each), version=version)
            )
            for version in versions
            for each in names
        )

    async def handle(self, message: NotificationMessage[Any], _: object) -> None:
        """Handle a message; that of aggregate 3 with version 3 never."""
        event = message.event
        if (event.aggregate_id, event.version) == ("3", 3):
            raise ValueError("no")
        self.handled.append((event.aggregate_id, event.version))

    def make_worker(self, **options: Any) -> RedisWorker[Any]:
        """Make a worker."""
        options = {"retry_delay": 0.02, "max_attempts": 2, "wait_time": 0.5, **options}
        return RedisWorker(self.queue, self.handle, **options)

    async def is_done(self) -> bool:
        """Tell whether no message waits, or is pending."""
        lag = await self.adapter.get_lag()
        return lag.waiting == lag.pending == 0


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_cluster(stack: AsyncExitStack, protocol: int, *, ordered: bool) -> None:
    """Each stream, with the keys beside it, is in a slot of its own."""
    server = stack.enter_context(private_redis("--cluster-enabled", "yes"))
    node: Any
    async with Redis(port=server.port) as node:
        await node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        async def is_ready() -> bool:
            info = await node.execute_command("CLUSTER INFO")
            return bool(info["cluster_state"] == "ok")

        await until(is_ready)
    client: Any = RedisCluster(host="127.0.0.1", port=server.port, protocol=protocol)
    stack.push_async_callback(client.aclose)
    service = Service(client, streams=4)
    await service.adapter.create_group()
    await service.publish(range(20), range(2, 7))
    async with service.make_worker(ordered=ordered):
        await until(service.is_done)

    for each in range(20):
        versions = [version for name, version in service.handled if name == str(each)]
        assert ([2, 4, 5, 6] if each == 3 else [2, 3, 4, 5, 6]) == versions
    assert 1 == (await service.adapter.get_lag()).dead_letters
    slots = {await client.cluster_keyslot(each) for each in service.adapter.streams}
    assert 4 == len(slots)


async def test_a_replica_that_is_promoted(stack: AsyncExitStack) -> None:
    """Through Sentinel, publishers and workers find the new master; what it has is handled."""
    servers = await stack.enter_async_context(private_sentinel())
    client = servers.make_client()
    stack.push_async_callback(client.aclose)
    service = Service(client, streams=1)
    await service.adapter.create_group()
    await service.publish(range(5), range(2, 7))

    async def is_replicated() -> bool:
        return bool(await client.execute_command("WAIT", 1, 1000))

    await until(is_replicated)
    async with service.make_worker(visibility_timeout=1.0):
        await until(service.is_done)
        await until(is_replicated)
        await asyncio.to_thread(servers.primary.kill)

        async def publishes() -> bool:
            try:
                await service.publish(range(5, 10), range(2, 7))
            except Exception:  # noqa: BLE001 there is no master for a while
                return False
            return True

        async def is_done() -> bool:
            try:
                return await service.is_done()
            except MasterNotFoundError:  # again, for a moment
                return False

        await until(publishes)
        await until(is_done)

    expected = {(str(each), version) for each in range(10) for version in range(2, 7)}
    assert expected - {("3", 3)} == set(service.handled)
