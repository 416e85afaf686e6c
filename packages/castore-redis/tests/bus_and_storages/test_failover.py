"""A replica is promoted: listeners find it, and bookmarks notice what it lacks."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_core import Lease, LeaseLostError
from castore_redis import MessagesMissed, RedisBookmarkStorageAdapter, listen
from listener_reports import PATIENCE, Reports, receive
from parcels import make_bus, ordered
from private_redis import PrivateRedis, private_redis
from private_sentinel import private_sentinel

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_listener_finds_the_new_primary(prefix: str, *, is_killed: bool) -> None:
    """It says what it may have missed, and hears what is published there."""
    reports = Reports()
    async with private_sentinel() as servers:
        client, publisher = servers.make_client(), servers.make_client()
        async with listen(make_bus(client, prefix), on_report=reports.tell) as messages:
            if is_killed:
                await asyncio.to_thread(servers.primary.kill)
            else:
                await servers.fail_over()
            async with asyncio.timeout(PATIENCE):
                while not await servers.has_promoted():  # noqa: ASYNC110 it tells nobody
                    await asyncio.sleep(0.05)
            missed = await reports.wait_for(MessagesMissed)
            assert missed.since < missed.until
            bus = make_bus(publisher, prefix)
            await bus.publish_message(ordered(1))
            assert "p1" == await receive(aiter(messages))
        await client.aclose()
        await publisher.aclose()


class Pair:
    """A primary and its replica, each with a client and bookmarks."""

    def __init__(self, primary: PrivateRedis, replica: PrivateRedis) -> None:
        self.primary: Any = Redis(port=primary.port)
        self.replica: Any = Redis(port=replica.port)
        self.first = RedisBookmarkStorageAdapter(self.primary)
        self.promoted = RedisBookmarkStorageAdapter(self.replica)

    async def promote(self) -> None:
        """Promote the replica, which has all that was written so far, and nothing later."""
        async with asyncio.timeout(PATIENCE):
            while not await self.primary.execute_command("WAIT", 1, 1000):  # noqa: ASYNC110 it attaches
                await asyncio.sleep(0.05)
        await self.replica.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture
def servers() -> Generator[tuple[PrivateRedis, PrivateRedis]]:
    """Give a primary, and its replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(private_redis("--repl-diskless-sync-delay", "0"))
        place = f"127.0.0.1 {primary.port}"
        yield primary, stack.enter_context(private_redis("--replicaof", place))


@pytest.fixture
async def pair(servers: tuple[PrivateRedis, PrivateRedis]) -> AsyncGenerator[Pair]:
    """Give clients and bookmarks of both."""
    pair = Pair(*servers)
    yield pair
    await pair.primary.aclose()
    await pair.replica.aclose()


async def move(bookmarks: RedisBookmarkStorageAdapter, lease: Lease, position: str) -> None:
    """Move a bookmark, and note the position in the read model."""
    async with bookmarks.move_bookmark(lease, position) as pipeline:
        pipeline.rpush("read-model", position)


async def take(bookmarks: RedisBookmarkStorageAdapter, owner: str = "ash") -> Lease:
    """Take the lease."""
    lease = await bookmarks.acquire_lease("pokedex", owner, MINUTE)
    assert lease is not None
    return lease


async def test_moves_that_a_promoted_replica_lacks_are_noticed(pair: Pair) -> None:
    """No move skips what was lost: the lease counts as lost, and its next owner begins there."""
    lease = await take(pair.first)
    await move(pair.first, lease, "1")
    await pair.promote()
    await move(pair.first, lease, "2")

    with pytest.raises(LeaseLostError):
        await move(pair.promoted, lease, "3")
    assert [b"1"] == await pair.replica.lrange("read-model", 0, -1)

    await pair.promoted.release_lease(lease)
    lease = await take(pair.promoted)
    assert "1" == (await pair.promoted.get_bookmark("pokedex")).position
    for position in ("2", "3"):
        await move(pair.promoted, lease, position)
    assert [b"1", b"2", b"3"] == await pair.replica.lrange("read-model", 0, -1)


async def test_a_lease_holds_where_nothing_was_lost(pair: Pair) -> None:
    """Its owner goes on at once, also after it was extended there."""
    lease = await take(pair.first)
    await move(pair.first, lease, "1")
    await pair.promote()

    await move(pair.promoted, lease, "2")
    assert lease == await take(pair.promoted)
    await move(pair.promoted, lease, "3")
    assert [b"1", b"2", b"3"] == await pair.replica.lrange("read-model", 0, -1)


async def test_a_lease_that_a_promoted_replica_lacks(pair: Pair) -> None:
    """Another owner gets it there, maybe with the same token; the first one is refused."""
    await pair.first.create_bookmark("pokedex", "0")
    await pair.promote()
    lost = await take(pair.first)
    found = await take(pair.promoted, "misty")

    assert lost.token == found.token
    with pytest.raises(LeaseLostError):
        await move(pair.promoted, lost, "1")
    await move(pair.promoted, found, "1")
    assert [b"1"] == await pair.replica.lrange("read-model", 0, -1)
