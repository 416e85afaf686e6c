"""With leases, one worker reads a stream, and the order of an aggregate holds across workers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, cast

from redis.asyncio import Redis

from castore_redis import (
    MessageDeadLettered,
    MessageHandled,
    MessageLost,
    ReceiveFailed,
    RedisMessageContext,
    StreamLost,
    StreamTaken,
)
from castore_redis._keys import find_stream, name_keys
from private_redis import private_redis

Make = Callable[..., Awaitable[Any]]


async def test_one_worker_reads_a_stream(bench: Any) -> None:
    """A second one stands by, and takes the stream over as soon as the first one ends."""
    first, second = bench.make_worker(), bench.make_worker()
    async with first:
        await bench.until(lambda: bench.told(StreamTaken))
        async with second:
            await bench.publish("pikachu", range(2, 30))
            await bench.until_done()
            await asyncio.sleep(0.1)
            assert 1 == len(bench.told(StreamTaken))
            first.stop()
            await bench.until(lambda: len(bench.told(StreamTaken)) == 2)
            await bench.publish("pikachu", range(30, 40))
            await bench.until_done()

    assert list(range(2, 40)) == bench.versions("pikachu")
    assert {1} == set(bench.attempts)


async def test_what_a_dead_worker_had_comes_first(bench: Any) -> None:
    """Its messages are handled in their order, before all others, once its lease ran out."""
    await bench.publish("pikachu", range(2, 300))
    await bench.die_with(150)
    await bench.client.set(bench.keys.lease, "dead", px=400)
    began = monotonic()

    async with bench.make_worker(visibility_timeout=0.3):
        await bench.until_done()

    assert monotonic() - began > 0.35
    assert list(range(2, 300)) == bench.versions("pikachu")
    assert [2] * 150 + [1] * 148 == bench.attempts
    assert [] == await bench.client.xinfo_consumers(bench.stream, "castore")


async def test_a_worker_that_was_frozen_loses_its_stream(bench: Any) -> None:
    """It hears so from Redis, begins nothing, and takes the stream again when it can."""
    await bench.publish("pikachu", range(2, 5))
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(event: Any, _: object) -> None:
        if event.version == 2:
            has_begun.set()
            await may_end.wait()

    async with bench.make_worker(handle, visibility_timeout=0.3):
        await has_begun.wait()
        await bench.client.set(bench.keys.lease, "another", px=700)
        await bench.until(lambda: bench.told(StreamLost))
        may_end.set()
        await asyncio.sleep(0.2)
        assert [2] == bench.versions("pikachu")  # the handler that ran went on
        await bench.until_done()

    assert [2, 3, 4] == bench.versions("pikachu")


async def test_a_lost_answer_breaks_no_order(bench: Any) -> None:
    """Messages that were handed out in it are found, before later ones are read."""
    async with bench.make_worker() as worker:
        await bench.publish("pikachu", range(2, 5))
        await bench.until_done()
        # As if the answer had got lost within the client, which asked again.
        await (
            bench.client.pipeline()
            .xadd(bench.stream, await _copy(bench))
            .xreadgroup("castore", worker.consumer, {bench.stream: ">"})
            .execute()
        )
        await bench.publish("pikachu", range(6, 9))
        await bench.until_done()

    assert [2, 3, 4, 4, 6, 7, 8] == bench.versions("pikachu")
    assert [] == bench.told(ReceiveFailed)


async def test_lost_answers_are_no_attempts(bench_on: Callable[..., Any], stream: str) -> None:
    """A server that stands still, and hands messages out to nobody, makes no dead letters."""
    with private_redis("--enable-debug-command", "yes") as server:
        client: Any = cast("Any", Redis).from_url(server.url, socket_timeout=0.3)
        other: Any = Redis(port=server.port, socket_timeout=60)
        bench = bench_on(client, stream)
        await bench.adapter.create_group()
        options: Any = {"wait_time": 0.1, "visibility_timeout": 30, "max_attempts": 2}
        async with aclosing(client), aclosing(other), bench.make_worker(**options) as worker:
            await bench.publish("pikachu", [2])
            await bench.until_done()
            await asyncio.gather(*(client.ping() for _ in range(10)))  # which connects
            await (
                other.pipeline()
                .xadd(stream, await _copy(bench))
                .xreadgroup("castore", worker.consumer, {stream: ">"})
                .execute_command("DEBUG", "SLEEP", 6)
                .execute()
            )
            await bench.until_done()

    assert [2, 2] == bench.versions("pikachu")
    assert [1, 1] == bench.attempts
    assert [] == bench.told(MessageDeadLettered)


async def _copy(bench: Any) -> Any:
    [(_, fields)] = await bench.client.xrevrange(bench.stream, count=1)
    return fields


async def test_a_message_that_is_deleted_holds_back_nothing(bench: Any) -> None:
    """The messages behind it in its aggregate are handled, and before later ones."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(event: Any, _: object) -> None:
        if event.version == 2:
            has_begun.set()
            await may_end.wait()

    await bench.publish("pikachu", range(2, 5))
    async with bench.make_worker(handle, visibility_timeout=0.6, wait_time=0.2):
        await has_begun.wait()
        [(message_id, _), *_] = await bench.client.xrange(bench.stream)
        await bench.client.xdel(bench.stream, message_id)
        await bench.until(lambda: bench.told(MessageLost))
        may_end.set()
        await bench.publish("pikachu", [5])
        await bench.until_done()

    assert [2, 3, 4, 5] == bench.versions("pikachu")


async def test_a_stream_that_cannot_be_left_keeps_no_other(make_bench: Make) -> None:
    """At the end of a worker, the leases of the other streams are given up."""
    bench = await make_bench(streams=4)
    leases = [name_keys(each, "castore").lease for each in bench.adapter.streams]
    async with bench.make_worker():
        await bench.until(lambda: len(bench.told(StreamTaken)) == 4)
        await bench.client.set(bench.stream, "no stream any more")

    assert 0 == await bench.client.exists(*leases)


async def test_streams_are_shared(make_bench: Make) -> None:
    """No worker has more than its share, and those of one that ends are taken over."""
    bench = await make_bench(streams=4)
    names = [f"pokemon-{number}" for number in range(40)]
    options = {"visibility_timeout": 0.6, "concurrency": 20}

    async def publish(versions: range) -> None:
        for each in names:
            await bench.publish(each, versions)

    async def get_holders() -> dict[bytes, int]:
        leases = [f"{{{each}}}:castore:lease" for each in bench.adapter.streams]
        holders = [each for each in await bench.client.mget(leases) if each]
        return {each: holders.count(each) for each in holders}

    async def is_shared(*counts: int) -> bool:
        return list(counts) == sorted((await get_holders()).values())

    async with bench.make_worker(**options):
        await publish(range(2, 12))
        await bench.until(lambda: is_shared(4))
        async with bench.make_worker(**options):
            await publish(range(12, 22))
            await bench.until(lambda: is_shared(2, 2))
            await publish(range(22, 32))
        await bench.until(lambda: is_shared(4))
        await publish(range(32, 42))
        await bench.until_done()

    assert {each: list(range(2, 42)) for each in names} == {
        each: bench.versions(each) for each in names
    }
    assert set(bench.adapter.streams) == {
        each.context.stream for each in bench.told(MessageHandled)
    }


async def test_messages_that_wait_move_with_their_stream(make_bench: Make) -> None:
    """A stream is left at once, and what failed there keeps its attempts."""
    bench = await make_bench(streams=2)
    name = next(
        each
        for each in map(str, range(10))
        if find_stream(bench.adapter.streams, "POKEMONS", each) == bench.adapter.streams[1]
    )
    await bench.publish(name, range(2, 5))

    async def handle(event: Any, context: RedisMessageContext) -> None:
        if event.version == 2 and context.attempt == 1:
            raise ValueError("no")

    options = {"visibility_timeout": 0.6, "retry_delay": 600}
    async with bench.make_worker(handle, **options):
        await bench.until(lambda: len(bench.told(StreamTaken)) == 2)
        await asyncio.sleep(0.1)
        async with bench.make_worker(handle, **options):
            await bench.until_done()

    assert [2, 3, 4] == bench.versions(name)
    assert [2, 1, 1] == bench.attempts
