"""A replica is promoted that lacks the last writes: what a worker and a projection make of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_core import NotificationMessage
from castore_projections import LeaseLost
from castore_redis import RedisMessageQueueAdapter, RedisWorker
from pokemon import PokemonLeveledUp
from private_redis import PrivateRedis, private_redis
from redis_counting import RedisCounting, RedisPlace
from redis_workers import make_client, make_queue
from tcp_proxy import TCPProxy, tcp_proxy

PATIENCE = 30  # seconds


class Failover:
    """A primary behind a proxy, with a replica that takes its place."""

    def __init__(self, primary: PrivateRedis, replica: PrivateRedis, proxy: TCPProxy) -> None:
        self._primary = primary
        self._replica = replica
        self._proxy = proxy
        self.url = f"redis://127.0.0.1:{proxy.port}"
        self.admins: list[Any] = [Redis(port=each.port) for each in (primary, replica)]

    async def detach(self) -> None:
        """Promote the replica with all that was written so far; the primary goes on for now."""
        primary, replica = self.admins
        async with asyncio.timeout(PATIENCE):
            while not await primary.execute_command("WAIT", 1, 1000):  # noqa: ASYNC110 it attaches
                await asyncio.sleep(0.05)
        await replica.execute_command("REPLICAOF", "NO", "ONE")

    async def finish(self) -> None:
        """Kill the primary, and lead all clients to the replica."""
        await asyncio.to_thread(self._primary.kill)
        await asyncio.to_thread(self._proxy.lead_to, "127.0.0.1", self._replica.port)


@pytest.fixture
async def failover() -> AsyncGenerator[Failover]:
    """Give servers of the test's own."""
    with ExitStack() as stack:
        primary = stack.enter_context(private_redis("--repl-diskless-sync-delay", "0"))
        place = f"127.0.0.1 {primary.port}"
        replica = stack.enter_context(private_redis("--replicaof", place))
        proxy = stack.enter_context(tcp_proxy("127.0.0.1", primary.port))
        failover = Failover(primary, replica, proxy)
        yield failover
        for each in failover.admins:
            await each.aclose()


async def test_acknowledgements_that_are_lost(failover: Failover) -> None:
    """Their messages come again to the worker that has the lease, before later ones."""
    client = make_client(failover.url)
    queue = make_queue(client, "messages")
    adapter = queue.message_channel_adapter
    assert isinstance(adapter, RedisMessageQueueAdapter)
    await adapter.create_group()
    handled: list[int] = []
    may_handle, has_handled = asyncio.Event(), asyncio.Event()

    async def handle(message: NotificationMessage[Any], _: object) -> None:
        await may_handle.wait()
        handled.append(message.event.version)
        has_handled.set()

    async def publish(versions: range) -> None:
        events = [PokemonLeveledUp(aggregate_id="pikachu", version=each) for each in versions]
        await queue.publish_messages([NotificationMessage("POKEMONS", each) for each in events])

    async def until_handled(version: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while version not in handled:
                has_handled.clear()
                await has_handled.wait()

    async with RedisWorker(queue, handle, visibility_timeout=3.0, wait_time=0.2):
        await publish(range(2, 12))
        await failover.detach()
        may_handle.set()
        await until_handled(11)
        await asyncio.sleep(0.2)  # for the acknowledgements
        await failover.finish()
        await publish(range(12, 22))
        await until_handled(21)
    await client.aclose()

    assert [*range(2, 12), *range(2, 12), *range(12, 22)] == handled


async def test_a_projection_handles_again_what_was_lost(failover: Failover, tmp_path: Path) -> None:
    """The read model on the promoted replica has each event once, in its order."""
    counting = RedisCounting(RedisPlace(f"{tmp_path}/events.db", failover.url, "test"))
    await counting.events.create_tables()
    reports: list[Any] = []

    async def until_counted(count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await counting.read_counts() != {"a": count}:  # noqa: ASYNC110 it tells nobody
                await asyncio.sleep(0.02)

    async with counting.project(lease=10.0, on_report=reports.append):
        await counting.push("a", 1, 20)
        await until_counted(20)
        await failover.detach()
        await counting.push("a", 21, 20)
        await until_counted(40)
        await failover.finish()
        await counting.push("a", 41, 20)
        await until_counted(60)

    assert list(range(1, 61)) == await counting.read_versions("a")
    assert any(isinstance(each, LeaseLost) for each in reports)
    await counting.aclose()
