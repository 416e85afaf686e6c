"""Bookmarks and snapshots on a cluster of three servers keep the contracts; buses work, too."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from redis.asyncio import RedisCluster
from redis.crc import key_slot

from castore_core import LeaseLostError, StorageError
from castore_redis import (
    MessagesMissed,
    RedisBookmarkStorageAdapter,
    RedisSnapshotStorageAdapter,
    listen,
)
from castore_test_tools import (
    BookmarkStorageAdapterTests,
    SnapshotStorageAdapterTests,
)
from parcels import delivered, make_bus, ordered, written
from private_redis_cluster import PrivateRedisCluster, private_redis_cluster

PATIENCE = 20  # seconds
LONG = timedelta(minutes=10)


@pytest.fixture(scope="module")
def cluster() -> Generator[PrivateRedisCluster]:
    """Give a cluster of the tests' own."""
    with private_redis_cluster() as cluster:
        yield cluster


@pytest.fixture(params=[2, 3])
async def redis(
    request: pytest.FixtureRequest, cluster: PrivateRedisCluster
) -> AsyncGenerator[RedisCluster]:
    """Give a client of the cluster, by each version of the protocol."""
    client = RedisCluster(host="127.0.0.1", port=cluster.port, protocol=request.param)
    await client.initialize()  # redis-py 8 closes connections if many calls do it at once
    yield client
    await client.aclose()


class TestClusterBookmarks(BookmarkStorageAdapterTests):
    """The read model has keys in the slot of the bookmarks."""

    works_in_several_event_loops = False
    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self, redis: RedisCluster, prefix: str) -> RedisBookmarkStorageAdapter:
        """Return an adapter without bookmarks."""
        return RedisBookmarkStorageAdapter(redis, key_prefix=f"{{{prefix}}}:bookmarks")

    @pytest.fixture
    def join_transaction(self, redis: RedisCluster, prefix: str) -> Any:
        """Return functions that write and read texts of a list."""
        client: Any = redis

        def write(transaction: Any, text: str) -> None:
            transaction.rpush(f"{{{prefix}}}:texts", text)

        async def read() -> list[str]:
            return [each.decode() for each in await client.lrange(f"{{{prefix}}}:texts", 0, -1)]

        return write, read


class TestClusterSnapshots(SnapshotStorageAdapterTests):
    """Aggregates are dealt out to the servers."""

    works_in_several_event_loops = False
    works_in_several_event_loops_at_once = False

    @pytest.fixture
    def adapter(self, redis: RedisCluster, prefix: str) -> RedisSnapshotStorageAdapter:
        """Return an adapter without snapshots."""
        return RedisSnapshotStorageAdapter(redis, key_prefix=prefix, ttl=LONG)


async def test_messages_of_a_store_keep_their_order(redis: RedisCluster, prefix: str) -> None:
    """They go through one shard, whatever their types; those of several stores all arrive."""
    bus = make_bus(redis, prefix)
    expected = [each(number) for number in range(300) for each in (ordered, delivered, written)]

    async with listen(bus) as messages:
        await bus.publish_messages(expected[:450])
        await bus.publish_messages(expected[450:], replay=True)
        received: list[Any] = []
        with anyio.fail_after(PATIENCE):
            async for each in messages:
                received.append(each)
                if len(received) == len(expected):
                    break

    for store_id in ("PARCELS", "LETTERS"):
        of_store = [each for each in expected if each.event_store_id == store_id]
        assert of_store == [each for each in received if each.event_store_id == store_id]


async def test_key_prefixes(redis: RedisCluster, prefix: str) -> None:
    """Without a hash tag in the prefix, the slot of a bookmark is that of its id."""
    bookmarks = RedisBookmarkStorageAdapter(redis, key_prefix=prefix)
    client: Any = redis
    for name in ("pokedex", "berries", "gyms"):
        lease = await bookmarks.acquire_lease(name, "ash", LONG)
        assert lease is not None
        async with bookmarks.move_bookmark(lease, "7") as pipeline:
            pipeline.incr(f"{{{name}}}:{prefix}")
        assert b"1" == await client.get(f"{{{name}}}:{prefix}")


@pytest.mark.parametrize("command", ["incr", "set"])
async def test_keys_of_another_slot(redis: RedisCluster, prefix: str, command: str) -> None:
    """The move is refused, and says why; nothing is written."""
    bookmarks = RedisBookmarkStorageAdapter(redis, key_prefix=prefix)
    lease = await bookmarks.acquire_lease("pokedex", "ash", LONG)
    assert lease is not None
    client: Any = redis

    async def write(tag: str) -> None:
        async with bookmarks.move_bookmark(lease, "7") as pipeline:
            pipeline.set(f"{{pokedex}}:{prefix}", "1")
            if command == "set":
                pipeline.set(f"{{{tag}}}:{prefix}", "1")
            else:
                pipeline.incr(f"{{{tag}}}:{prefix}")

    for each in ("a", "b", "c"):
        with pytest.raises(StorageError, match=r"did not move; .*(slot|Moved)"):
            await write(each)
        assert None is await client.get(f"{{pokedex}}:{prefix}")
    assert None is (await bookmarks.get_bookmark("pokedex")).position


async def test_a_slot_that_moves(cluster: PrivateRedisCluster, redis: RedisCluster) -> None:
    """Bookmarks are found on the other server, and listeners subscribe there."""
    reports: list[Any] = []
    bus = make_bus(redis, "{moving}")
    bookmarks = RedisBookmarkStorageAdapter(redis, key_prefix="{moving}")

    async with listen(bus, on_report=reports.append) as messages:
        await bus.publish_messages([ordered(1), delivered(1), written(1)])
        assert ["p1", "p1", "l1"] == [await receive(messages) for _ in range(3)]
        await cluster.move_slot(key_slot(b"moving"))
        with anyio.fail_after(PATIENCE):
            while not any(isinstance(each, MessagesMissed) for each in reports):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await bus.publish_message(ordered(2))
        assert "p2" == await receive(messages)

    lease = await bookmarks.acquire_lease("pokedex", "ash", LONG)
    assert lease is not None
    async with bookmarks.move_bookmark(lease, "7"):
        pass
    await bookmarks.release_lease(lease)
    with pytest.raises(LeaseLostError):
        async with bookmarks.move_bookmark(lease, "8"):
            pass


async def receive(messages: Any) -> str:
    """Return the id of the aggregate of the next message."""
    with anyio.fail_after(PATIENCE):
        message = await anext(aiter(messages))
    return str(message.event.aggregate_id)
