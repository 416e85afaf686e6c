"""The streams behind a queue: groups, trimming, the lag, and what clients may be like."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, ResponseError

from castore_redis import (
    GroupRecreated,
    ReceiveFailed,
    RedisMessageContext,
    RedisMessageQueueAdapter,
    RedisWorker,
    StreamTaken,
)
from castore_redis._keys import name_keys

Make = Callable[..., Awaitable[Any]]


async def test_there_has_to_be_a_group(bench: Any) -> None:
    """A worker creates none: it ends at once, and says which function does."""
    await bench.client.xgroup_destroy(bench.stream, "castore")

    with pytest.raises(ResponseError, match="NOGROUP") as caught:
        await bench.make_worker().run()
    assert "create_group" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("streams", [1, 2])
async def test_a_user_without_permission(make_bench: Make, make_user: Make, streams: int) -> None:
    """The worker ends at once, and says so: nothing would ever be handled."""
    bench = await make_bench(streams=streams)
    adapter = RedisMessageQueueAdapter(
        await make_user("~*", "+eval", "+evalsha", "+@stream"),
        stream=bench.adapter.streams[0].partition(":")[0],
        streams=streams,
    )
    async with asyncio.timeout(5):
        with pytest.raises(ResponseError, match=r"(?i)this command|permission"):
            await RedisWorker(bench.queue, print, adapter=adapter).run()


async def test_a_wrong_password(bench: Any, make_client: Make, url: str) -> None:
    """The worker ends at once."""
    client = await make_client(url, username="nobody", password="wrong")  # noqa: S106 none is right
    adapter = RedisMessageQueueAdapter(client, stream=bench.stream)
    async with asyncio.timeout(5):
        with pytest.raises(AuthenticationError):
            await RedisWorker(bench.queue, print, adapter=adapter).run()


@pytest.mark.parametrize("streams", [1, 2])
async def test_the_permissions_that_are_needed(
    make_bench: Make, make_user: Make, streams: int
) -> None:
    """Those that the documentation names are enough to publish, and to handle, to the end."""
    bench = await make_bench(streams=streams)
    allowed = "+eval +evalsha +@stream +get +set +del +pexpire +time +zadd +zcard +zrem"
    client = await make_user("~*", *allowed.split(), "+zremrangebyscore")
    bench.adapter = RedisMessageQueueAdapter(
        client, stream=bench.adapter.streams[0].partition(":")[0], streams=streams
    )
    bench.queue.message_channel_adapter = bench.adapter

    async def fail_once(_: Any, context: RedisMessageContext) -> None:
        if context.attempt == 1:
            raise ValueError

    async with bench.make_worker(fail_once, visibility_timeout=0.3, max_attempts=2):
        for each in range(10):
            await bench.publish(str(each), [2, 3])
        await bench.until_done()
        await asyncio.sleep(1.2)  # until it has trimmed

    assert 20 == len(bench.handled)
    assert [] == bench.told(ReceiveFailed)


async def test_a_group_begins_with_what_is_there(bench: Any) -> None:
    """Messages from before it was created are handled too; creating it again changes nothing."""
    await bench.publish("a", range(2, 5))
    await bench.adapter.create_group("late")
    async with bench.make_worker(group="late"):
        await bench.until(lambda: len(bench.handled) == 3)
        await bench.adapter.create_group("late")
        await bench.publish("a", [5])
        await bench.until(lambda: len(bench.handled) == 4)

    assert [2, 3, 4, 5] == bench.versions("a")
    assert 4 == (await bench.adapter.get_lag()).waiting


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_group_that_is_gone_is_created_again(bench: Any, *, ordered: bool) -> None:
    """As after FLUSHALL, or a failover: the worker goes on, and so does one that stands by."""
    options: Any = {"ordered": ordered, "visibility_timeout": 0.3, "wait_time": 0.1}
    async with bench.make_worker(**options), bench.make_worker(**options):
        await bench.publish("a", range(2, 5))
        await bench.until_done()
        await bench.client.delete(*bench.keys)
        await bench.publish("a", range(5, 8))
        await bench.until(lambda: bench.told(GroupRecreated))
        await bench.until_done()

    assert [2, 3, 4, 5, 6, 7] == bench.versions("a")


async def test_what_all_groups_acknowledged_is_dropped(bench: Any) -> None:
    """And nothing that one of them has not: neither pending messages nor those behind them."""
    await bench.adapter.create_group("slow")
    for each in range(50):
        await bench.publish(str(each), range(2, 22))
    may_end = asyncio.Event()

    async def handle_slowly(event: Any, _: object) -> None:
        if event.aggregate_id == "20":
            await may_end.wait()

    async with bench.make_worker():
        await bench.until_done()
        await asyncio.sleep(1.5)
        assert 1000 == await bench.client.xlen(bench.stream)
        async with bench.make_worker(handle_slowly, group="slow", concurrency=100):
            await bench.until(lambda: len(bench.handled) == 1980)
            await bench.until(lambda: _is_shorter(bench, 700))
            assert 580 <= await bench.client.xlen(bench.stream)
            may_end.set()
            await bench.until(lambda: _is_shorter(bench, 101))

    assert 2000 == len(bench.handled)


async def test_a_long_stream_is_dropped_in_parts(bench: Any) -> None:
    """Redis drops 10,000 entries at a time: the worker asks until all are gone."""
    may_end = asyncio.Event()

    async def handle(event: Any, _: object) -> None:
        if event.aggregate_id == "slow":
            await may_end.wait()

    await bench.publish("slow")
    await bench.publish("fast", range(2, 12_002))
    async with bench.make_worker(handle, concurrency=2_000, batch_size=1_000):
        await bench.until(lambda: len(bench.handled) == 12_000, 60)
        may_end.set()
        await bench.until(lambda: _is_shorter(bench, 101))


async def _is_shorter(bench: Any, length: int) -> bool:
    return (await bench.client.xlen(bench.stream)) < length


async def test_the_lag_tells_how_far_workers_are_behind(bench: Any) -> None:
    """Messages that wait, those that are pending, and the age of the oldest."""
    await bench.publish("a", range(2, 12))
    await bench.die_with(4)
    await asyncio.sleep(0.1)

    worker = bench.make_worker()
    lag = await worker.get_lag()
    assert (6, 4, 0) == (lag.waiting, lag.pending, lag.dead_letters)
    assert 0.1 <= lag.oldest_age < 10
    async with worker:
        await bench.client.delete(bench.keys.lease)
        await bench.until_done()
    assert 0 == (await bench.adapter.get_lag()).oldest_age
    with pytest.raises(ResponseError, match="NOGROUP"):
        await bench.adapter.get_lag("none")


async def test_the_lag_is_known_after_deletions(bench: Any) -> None:
    """Messages are counted, some at a time, where Redis does not know the lag any more."""
    await bench.publish("a", range(2, 203))
    [(entry_id, _)] = await bench.client.xrange(bench.stream, count=1, min="(0-1")
    entries = await bench.client.xrange(bench.stream)
    await bench.client.xdel(bench.stream, entries[4][0])

    assert 200 == (await bench.adapter.get_lag()).waiting
    assert entry_id == entries[0][0]


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": 2},
        {"protocol": 3},
        {"protocol": 2, "decode_responses": True},
        {"protocol": 3, "decode_responses": True, "encoding": "latin-1"},
    ],
    ids=repr,
)
async def test_any_client_will_do(
    bench: Any, make_client: Make, url: str, options: dict[str, Any]
) -> None:
    """A client may decode answers or not, and speak either protocol."""
    client = await make_client(url, **options)
    bench.adapter = RedisMessageQueueAdapter(client, stream=bench.stream)
    bench.queue.message_channel_adapter = bench.adapter
    await bench.publish("é", range(2, 5))

    async with bench.make_worker():
        await bench.until_done()

    assert [2, 3, 4] == bench.versions("é")


async def test_keys_share_the_slot_of_their_stream() -> None:
    """A hash tag of the stream's own is kept."""
    assert "{doors}:castore:lease" == name_keys("doors", "castore").lease
    assert "{doors}:0:castore:dead" == name_keys("{doors}:0", "castore").dead_letters
    assert "{do{ors}:castore:lease" == name_keys("do{ors", "castore").lease


@pytest.mark.parametrize("stream", ["", "a}b", "{}", None])
def test_a_stream_has_a_name(stream: Any, client: Any) -> None:
    """One that other keys can share a slot with."""
    with pytest.raises(ValueError, match="stream"):
        RedisMessageQueueAdapter(client, stream=stream)


@pytest.mark.parametrize("streams", [0, True, 1.5])
def test_the_number_of_streams_is_checked(streams: Any, client: Any) -> None:
    """It is 1 or more."""
    with pytest.raises(ValueError, match="streams"):
        RedisMessageQueueAdapter(client, stream="stream", streams=streams)


@pytest.mark.parametrize(
    "options",
    [
        {"group": ""},
        {"consumer": ""},
        {"concurrency": 0},
        {"batch_size": 0},
        {"max_waiting": 0},
        {"wait_time": 0},
        {"wait_time": 5},  # as long as the socket_timeout of the client
        {"visibility_timeout": 0.001},
        {"max_attempts": 0},
        {"retry_delay": -1},
        {"handler_timeout": 0},
        {"grace_period": -1},
    ],
    ids=repr,
)
async def test_options_are_checked(bench: Any, options: dict[str, Any]) -> None:
    """The error names the option, and the worker is not made."""
    with pytest.raises(ValueError, match=next(iter(options))):
        bench.make_worker(**options)


async def test_a_client_has_connections_enough(bench: Any, make_client: Make, url: str) -> None:
    """One for each stream, which may wait, and another one."""
    for options in ({"max_connections": 1}, {"single_connection_client": True}):
        client = await make_client(url, **options)
        adapter = RedisMessageQueueAdapter(client, stream=bench.stream)
        with pytest.raises(ValueError, match="max_connections=1"):
            RedisWorker(bench.queue, print, adapter=adapter)


async def test_a_client_is_one_of_asyncio(client: Any) -> None:
    """Another one is refused, by its type; a pipeline would only queue what is published."""
    others: list[Any] = [object(), client.pipeline()]
    for other in others:
        with pytest.raises(TypeError, match=r"none of redis\.asyncio"):
            RedisMessageQueueAdapter(other, stream="stream")


async def test_the_worker_knows_its_streams(bench: Any) -> None:
    """It is shown with them, and has a name of its own."""
    first, second = bench.make_worker(), bench.make_worker(consumer="second")
    assert f"stream={bench.stream!r}" in repr(first)
    assert first.consumer != bench.make_worker().consumer
    async with second:
        await bench.until(lambda: bench.told(StreamTaken))
    assert "second" == second.consumer
