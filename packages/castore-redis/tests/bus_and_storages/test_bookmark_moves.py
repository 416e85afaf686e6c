"""Moves of bookmarks together with commands: what is refused, what fails, and lost answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from castore_core import Lease, LeaseLostError, LogPosition, StorageError
from castore_redis import RedisBookmarkStorageAdapter
from private_redis import PrivateRedis, private_redis
from tcp_proxy import Fault, TCPProxy, tcp_proxy

LONG = timedelta(minutes=10)
Use = Callable[[Any], object]


async def acquire(bookmarks: RedisBookmarkStorageAdapter, owner: str = "ash") -> Lease:
    """Take the lease."""
    lease = await bookmarks.acquire_lease("pokedex", owner, LONG)
    assert lease is not None
    return lease


async def move(
    bookmarks: RedisBookmarkStorageAdapter, lease: Lease, position: str, *uses: Use
) -> None:
    """Move the bookmark with some commands."""
    async with bookmarks.move_bookmark(lease, position) as pipeline:
        for each in uses:
            each(pipeline)


async def get_position(bookmarks: RedisBookmarkStorageAdapter) -> LogPosition | None:
    """Return where the bookmark is."""
    return (await bookmarks.get_bookmark("pokedex")).position


@pytest.fixture
def bookmarks(redis: Redis, prefix: str) -> RedisBookmarkStorageAdapter:
    """Give bookmarks."""
    return RedisBookmarkStorageAdapter(redis, key_prefix=prefix)


async def test_any_commands_join(
    bookmarks: RedisBookmarkStorageAdapter, redis: Redis, prefix: str
) -> None:
    """Also scripts, and values that are no texts; keys may have any kind that fits."""
    anything: Any = redis
    script = anything.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")

    async def block(pipeline: Any) -> None:
        pipeline.hset(f"{prefix}:hash", mapping={"a": 1, "b": b"\xff"})
        pipeline.incr(f"{prefix}:count").incr(f"{prefix}:count")
        await script(keys=[f"{prefix}:count"], args=[40], client=pipeline)
        pipeline.delete(f"{prefix}:hash").sadd(f"{prefix}:hash", "now a set")

    lease = await acquire(bookmarks)
    for position in ("7", "8"):
        async with bookmarks.move_bookmark(lease, position) as pipeline:
            assert 0 == len(pipeline)
            await block(pipeline)
        await anything.delete(f"{prefix}:hash")

    assert 84 == int(await anything.get(f"{prefix}:count"))


@pytest.mark.parametrize("name", ["execute", "reset", "aclose"])
async def test_the_block_does_not_execute(
    bookmarks: RedisBookmarkStorageAdapter, prefix: str, name: str
) -> None:
    """A pipeline that is executed, or reset, within the block is an error that says so."""
    lease = await acquire(bookmarks)

    async def block() -> None:
        async with bookmarks.move_bookmark(lease, "7") as pipeline:
            pipeline.incr(f"{prefix}:count")
            await getattr(pipeline, name)()

    with pytest.raises(RuntimeError, match="queue commands only"):
        await block()
    assert await get_position(bookmarks) is None


async def test_the_block_does_not_read(bookmarks: RedisBookmarkStorageAdapter, prefix: str) -> None:
    """WATCH in the block is an error, too."""
    lease = await acquire(bookmarks)

    async def block() -> None:
        async with bookmarks.move_bookmark(lease, "7") as pipeline:
            await pipeline.watch(f"{prefix}:count")

    with pytest.raises(RuntimeError, match=r"watch\(\) in the block of a move"):
        await block()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("NO.SUCH.COMMAND", "unknown command"),
        ("SET {}:alone", "wrong number"),
        ("SADD {}:string x", "is a string"),
        ("hset {}:list x 1", "is a list"),
        ("RPUSH {}:string x", "is a string"),
        ("ZADD {}:string 1 x", "is a string"),
        ("XADD {}:string * x 1", "is a string"),
        ("INCR {}:list", "is a list"),
    ],
)
async def test_commands_that_are_refused(
    bookmarks: RedisBookmarkStorageAdapter, redis: Redis, prefix: str, command: str, reason: str
) -> None:
    """The bookmark stays, no command is executed, and the lease holds."""
    anything: Any = redis
    await anything.set(f"{prefix}:string", "text")
    await anything.rpush(f"{prefix}:list", "item")
    lease = await acquire(bookmarks)
    arguments = command.format(prefix).split()

    with pytest.raises(StorageError, match=f"'pokedex' did not move; .*{reason}"):
        await move(
            bookmarks,
            lease,
            "7",
            lambda pipeline: pipeline.incr(f"{prefix}:count"),
            lambda pipeline: pipeline.execute_command(*arguments),
        )

    assert await get_position(bookmarks) is None
    assert await anything.get(f"{prefix}:count") is None
    await move(bookmarks, lease, "8")


async def test_errors_do_not_quote_values(bookmarks: RedisBookmarkStorageAdapter) -> None:
    """Clients and servers name the arguments of a command: those are private."""
    lease = await acquire(bookmarks)

    with pytest.raises(StorageError, match="unknown command 'NO'") as caught:
        await move(
            *(bookmarks, lease, "7"), lambda pipeline: pipeline.execute_command("NO", "secret")
        )
    assert "secret" not in str(caught.value)


async def test_a_command_that_fails_does_not_stop_the_others(
    bookmarks: RedisBookmarkStorageAdapter, redis: Redis, prefix: str
) -> None:
    """Redis does not roll back: the error says that the bookmark has moved, and names the place."""
    anything: Any = redis
    await anything.set(f"{prefix}:name", "Pikachu")
    lease = await acquire(bookmarks)

    with pytest.raises(StorageError, match=r"'pokedex' moved, .*: \[1\] INCRBY: .*not an integer"):
        await move(
            bookmarks,
            lease,
            "7",
            lambda pipeline: pipeline.incr(f"{prefix}:before"),
            lambda pipeline: pipeline.incr(f"{prefix}:name"),
            lambda pipeline: pipeline.incr(f"{prefix}:after"),
        )

    assert "7" == await get_position(bookmarks)
    found = await anything.mget(f"{prefix}:before", f"{prefix}:after")
    assert [1, 1] == [int(each) for each in found]


async def test_memory_that_is_used_up(prefix: str) -> None:
    """The move is refused as a whole, and made when there is memory again."""
    with private_redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        client: Any = Redis(port=server.port)
        bookmarks = RedisBookmarkStorageAdapter(client, key_prefix=prefix)
        lease = await acquire(bookmarks)
        await client.config_set("maxmemory", "1")

        with pytest.raises(StorageError, match=r"did not move; .*OutOfMemory.*maxmemory") as caught:
            await move(bookmarks, lease, "7", lambda pipeline: pipeline.set("text", "secret"))
        assert "secret" not in str(caught.value)
        await client.config_set("maxmemory", "0")
        assert (None, None) == (await client.get("text"), await get_position(bookmarks))
        await move(bookmarks, lease, "7", lambda pipeline: pipeline.set("text", "x"))
        assert "7" == await get_position(bookmarks)
        await client.aclose()


async def test_a_lease_that_is_extended_meanwhile(
    bookmarks: RedisBookmarkStorageAdapter, redis: Redis, prefix: str
) -> None:
    """It still holds: the move is made, and each command once."""
    anything: Any = redis
    lease = await acquire(bookmarks)
    is_over = False

    async def extend() -> None:
        while not is_over:
            await acquire(bookmarks)
            await asyncio.sleep(0.005)

    extender = asyncio.ensure_future(extend())
    for number in range(100):
        await move(bookmarks, lease, str(number), lambda each: each.incr(f"{prefix}:count"))
    is_over = True
    await extender

    assert 100 == int(await anything.get(f"{prefix}:count"))


# Faults


@pytest.fixture
def proxy(place: tuple[str, int]) -> Generator[TCPProxy]:
    """Give a proxy before a server."""
    parts = urlsplit(place[0])
    with tcp_proxy(parts.hostname or "", parts.port or 0) as proxy:
        yield proxy


@pytest.fixture
async def proxied(
    proxy: TCPProxy, place: tuple[str, int], prefix: str
) -> AsyncGenerator[RedisBookmarkStorageAdapter]:
    """Give bookmarks behind the proxy."""
    retry = Retry(ConstantBackoff(0.01), 2)
    client = Redis(port=proxy.port, protocol=place[1], retry=retry, socket_timeout=0.5)
    yield RedisBookmarkStorageAdapter(client, key_prefix=prefix)
    await client.aclose()


@pytest.mark.parametrize("fault", Fault)
async def test_commands_run_once_whatever_is_lost(
    proxied: RedisBookmarkStorageAdapter,
    proxy: TCPProxy,
    reader: Redis,
    prefix: str,
    fault: Fault,
) -> None:
    """A connection is lost at each request of a move: its commands run exactly once."""
    anything: Any = reader
    lease = await acquire(proxied)

    for skip in range(6):
        proxy.arm(fault, skip=skip)
        await move(proxied, lease, str(skip), lambda pipeline: pipeline.incr(f"{prefix}:count"))
        proxy.disarm()
        assert str(skip) == await get_position(proxied)
        assert skip + 1 == int(await anything.get(f"{prefix}:count"))


async def test_a_server_that_stays_away(
    proxied: RedisBookmarkStorageAdapter, proxy: TCPProxy, reader: Redis, prefix: str
) -> None:
    """The error says whether the outcome is known; after another lease, the old one is refused."""
    anything: Any = reader
    direct = RedisBookmarkStorageAdapter(reader, key_prefix=prefix)
    lease = await acquire(direct)
    proxy.is_silent = True
    with pytest.raises(StorageError, match="did not move; TimeoutError"):
        await move(proxied, lease, "7", lambda pipeline: pipeline.incr(f"{prefix}:count"))
    proxy.is_silent = False
    await direct.release_lease(lease)
    renewed = await acquire(direct)
    with pytest.raises(LeaseLostError):
        await move(proxied, lease, "7", lambda pipeline: pipeline.incr(f"{prefix}:count"))
    await move(direct, renewed, "7", lambda pipeline: pipeline.incr(f"{prefix}:count"))

    assert 1 == int(await anything.get(f"{prefix}:count"))


async def test_a_server_that_is_killed_while_bookmarks_move(prefix: str) -> None:
    """Each move that returned is there with its commands, and no command ran without its move."""
    with private_redis() as server:
        retry = Retry(ConstantBackoff(0.05), 40)
        client: Any = Redis(port=server.port, retry=retry)
        bookmarks = RedisBookmarkStorageAdapter(client, key_prefix=prefix)
        lease = await acquire(bookmarks)
        killer = asyncio.ensure_future(kill_again_and_again(server))
        number = 0
        while not killer.done():
            number += 1
            await move(bookmarks, lease, str(number), lambda pipeline: pipeline.incr("count"))
            assert number == int(await client.get("count"))
        await killer
        assert str(number) == await get_position(bookmarks)
        await client.aclose()


async def kill_again_and_again(server: PrivateRedis) -> None:
    """Kill and restart a server, while it is at work."""
    for _ in range(10):
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def test_a_scope_that_cancels_repeatedly(
    bookmarks: RedisBookmarkStorageAdapter, redis: Redis, prefix: str
) -> None:
    """A move in an anyio scope that is cancelled is whole or absent, and leaks no connection."""
    anything: Any = redis
    lease = await acquire(bookmarks)

    for number in range(40):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel_soon, scope, number)
                await move(bookmarks, lease, str(number), lambda each: each.incr(f"{prefix}:count"))
        await asyncio.sleep(0.005)
        moved = await get_position(bookmarks)
        count = int(await anything.get(f"{prefix}:count") or 0)
        assert (moved is None) == (count == 0)

    assert 0 == len(anything.connection_pool._in_use_connections)
    await move(bookmarks, lease, "100")


async def cancel_soon(scope: anyio.CancelScope, turns: int) -> None:
    """Cancel a scope after so many turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    scope.cancel()
