"""What Redis does to a queue and its worker when it fails: nothing is lost.

``CASTORE_REDIS_KILLS=20 CASTORE_REDIS_MESSAGES=20000`` make the crash test as large as that.
"""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import redis_workers
from castore_core import MessagePublishError, NotificationMessage
from castore_redis import (
    AckFailed,
    GroupRecreated,
    MessageHandled,
    ReceiveFailed,
    RedisMessageQueueAdapter,
    RedisWorker,
)
from pokemon import PokemonLeveledUp
from private_redis import PrivateRedis, private_redis
from redis_workers import CONCURRENCY, make_client, make_queue
from tcp_proxy import Fault, tcp_proxy

KILLS = int(os.environ.get("CASTORE_REDIS_KILLS", "4"))
MESSAGES = int(os.environ.get("CASTORE_REDIS_MESSAGES", "3000"))
AGGREGATES = 50
BATCH = 25

WORKERS = Path(redis_workers.__file__)
STREAM = "messages"


def make_message(aggregate: int, version: int, *, size: int = 0) -> NotificationMessage[Any]:
    """Return a message about an aggregate, whose id makes it as large as it has to be."""
    event = PokemonLeveledUp(aggregate_id=f"pokemon-{aggregate}" + size * "-", version=version)
    return NotificationMessage("POKEMONS", event)


@pytest.fixture
def server() -> Iterator[PrivateRedis]:
    """Give a server of the test's own."""
    with private_redis() as redis:
        yield redis


class Victims:
    """A server, and a worker on it, which are killed."""

    def __init__(self, server: PrivateRedis, path: Path) -> None:
        self._server = server
        self._path = path
        self._worker = self._spawn()

    def kill_server(self) -> None:
        """Kill the server, and start it again."""
        self._server.kill()
        self._server.start()

    def kill_worker(self) -> None:
        """Kill the worker, and start another one."""
        self.end()
        self._worker = self._spawn()

    def end(self) -> None:
        """Kill the worker."""
        self._worker.send_signal(signal.SIGKILL)
        self._worker.wait()

    def count_handled(self) -> int:
        """Return how many messages were handled."""
        return self._path.read_bytes().count(b"\n")

    def get_handled(self) -> list[tuple[str, int]]:
        """Return the messages that were handled, in that order."""
        lines = [each.split() for each in self._path.read_text().splitlines()]
        return [(aggregate_id, int(version)) for aggregate_id, version in lines]

    def _spawn(self) -> "subprocess.Popen[bytes]":
        root = Path(__file__).parent.parent
        with self._path.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, WORKERS, self._server.url, STREAM, self._path],
                env={**os.environ, "PYTHONPATH": str(root / "examples")},
                stderr=log,
            )


class Publisher:
    """Publishes messages, and those again that were not taken."""

    def __init__(self, queue: Any) -> None:
        versions = range(2, 2 + MESSAGES // AGGREGATES)
        self._messages = iter(
            [
                queue.message_to_record(make_message(each, version))
                for version in versions
                for each in range(AGGREGATES)
            ]
        )
        self._adapter = queue.message_channel_adapter
        self.repeated = 0

    async def publish(self, count: int) -> None:
        """Publish so many messages."""
        for _ in range(0, count, BATCH):
            left = list(itertools.islice(self._messages, BATCH))
            while left:
                try:
                    await self._adapter.publish_messages(left)
                    left = []
                except MessagePublishError as error:
                    left = [each for each, _ in error.failures]
                    self.repeated += len(left)
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.01)


async def kill_under_load(publisher: Publisher, victims: Victims, kill: Callable[[], None]) -> None:
    """Kill while messages are published, and handled."""
    count = MESSAGES // (2 * KILLS)
    before = victims.count_handled()
    task = asyncio.create_task(publisher.publish(count))
    least = before + random.randint(1, count // 4)
    async with asyncio.timeout(60):
        while victims.count_handled() < least:  # noqa: ASYNC110 the file tells nobody
            await asyncio.sleep(0.005)
    await asyncio.to_thread(kill)
    await task


@pytest.mark.timeout(900)
async def test_kills_lose_nothing(server: PrivateRedis, tmp_path: Path) -> None:
    """Neither of the server nor of workers: all messages that were taken are handled.

    Few are handled twice, and each aggregate's come in their order.
    """
    client = make_client(server.url)
    queue = make_queue(client, STREAM)
    adapter = queue.message_channel_adapter
    assert isinstance(adapter, RedisMessageQueueAdapter)
    await adapter.create_group()
    path = tmp_path / "handled"
    path.touch()
    victims = Victims(server, path)
    publisher = Publisher(queue)
    try:
        for _ in range(KILLS):
            for kill in (victims.kill_server, victims.kill_worker):
                await kill_under_load(publisher, victims, kill)
        await publisher.publish(MESSAGES)  # the rest
        await _until_done(adapter)
    finally:
        victims.end()
        await client.aclose()

    handled = victims.get_handled()
    counts = Counter(handled)
    duplicates = len(handled) - len(counts)
    repeated = publisher.repeated
    print(f"{MESSAGES} messages, {repeated} published again, {duplicates} handled again")  # noqa: T201 the figures are of interest
    assert MESSAGES == len(counts)
    assert duplicates <= repeated + 2 * KILLS * CONCURRENCY
    firsts: dict[str, list[int]] = {}
    for aggregate_id, version in counts:  # in the order of their first time
        firsts.setdefault(aggregate_id, []).append(version)
    assert all(sorted(each) == each for each in firsts.values())


async def _until_done(adapter: RedisMessageQueueAdapter, seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while True:
            with suppress(Exception):
                lag = await adapter.get_lag()
                if lag.waiting == lag.pending == 0:
                    return
            await asyncio.sleep(0.1)


class Bench:
    """A worker in the process of the test."""

    def __init__(self, url: str) -> None:
        self.client = make_client(url)
        self.queue = make_queue(self.client, STREAM)
        adapter = self.queue.message_channel_adapter
        assert isinstance(adapter, RedisMessageQueueAdapter)
        self.adapter = adapter
        self.handled: list[int] = []
        self.reports: list[Any] = []

    def make_worker(self, handler: Callable[[], Any] | None = None, **options: Any) -> Any:
        """Make a worker."""

        async def handle(message: NotificationMessage[Any], _: object) -> None:
            if handler is not None:
                await handler()
            self.handled.append(message.event.version)

        options = {"on_report": self.reports.append, "visibility_timeout": 1.0, **options}
        return RedisWorker(self.queue, handle, wait_time=0.2, **options)

    async def publish(self, versions: range, *, size: int = 0) -> None:
        """Publish messages of one aggregate."""
        await self.queue.publish_messages([make_message(1, each, size=size) for each in versions])

    async def until_done(self) -> None:
        """Wait until all is handled."""
        await _until_done(self.adapter, 30)

    def told(self, kind: type[Any]) -> list[Any]:
        """Return the reports of a kind."""
        return [each for each in self.reports if isinstance(each, kind)]


async def test_a_flushed_server(server: PrivateRedis) -> None:
    """After FLUSHALL, with its scripts gone too, messages are taken and handled as before."""
    bench = Bench(server.url)
    await bench.adapter.create_group()
    async with bench.make_worker():
        await bench.publish(range(2, 10))
        await bench.until_done()
        await bench.client.flushall()
        await bench.client.script_flush()
        await bench.publish(range(10, 20))
        while not bench.told(GroupRecreated):  # noqa: ASYNC110 the hook is no coroutine function
            await asyncio.sleep(0.01)
        await bench.until_done()
    await bench.client.aclose()

    assert list(range(2, 20)) == bench.handled


@pytest.mark.parametrize(
    ("fault", "is_taken"),
    [
        (Fault.BEFORE_REQUEST, False),
        (Fault.AFTER_REQUEST, True),
        (Fault.IN_ANSWER, True),
    ],
)
async def test_a_publish_whose_connection_is_cut(
    server: PrivateRedis, fault: Fault, *, is_taken: bool
) -> None:
    """All its messages are named, and all were taken, or none."""
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        bench = Bench(f"redis://127.0.0.1:{proxy.port}")
        await bench.publish(range(2, 12))
        proxy.arm(fault)
        with pytest.raises(MessagePublishError) as caught:
            await bench.publish(range(12, 32))
        assert list(range(12, 32)) == [each.version for each, _ in caught.value.failures]
        assert 10 + 20 * is_taken == await bench.client.xlen(STREAM)
        await bench.client.aclose()


async def test_a_large_publish_that_is_cut_in_the_middle(server: PrivateRedis) -> None:
    """Messages of steps before it were taken, and no others: each aggregate has no gap."""
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        bench = Bench(f"redis://127.0.0.1:{proxy.port}")
        await bench.publish(range(2, 12))
        proxy.arm(Fault.BEFORE_REQUEST, skip=1)
        with pytest.raises(MessagePublishError) as caught:
            await bench.publish(range(12, 2012))
        failed = [each.version for each, _ in caught.value.failures]
        assert list(range(failed[0] or 0, 2012)) == failed
        assert 2010 - len(failed) == await bench.client.xlen(STREAM)
        await bench.client.aclose()


async def test_a_worker_whose_connections_are_cut(server: PrivateRedis) -> None:
    """Again and again: nothing is lost, and the order holds."""
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        bench = Bench(f"redis://127.0.0.1:{proxy.port}")
        direct = Bench(server.url)
        await direct.adapter.create_group()
        await direct.publish(range(2, 1002))

        async def pause() -> None:
            await asyncio.sleep(0.001)

        async with bench.make_worker(pause, batch_size=10):
            for number in range(15):
                proxy.arm(random.choice([Fault.AFTER_REQUEST, Fault.IN_ANSWER]), skip=number)
                await asyncio.sleep(0.1)
                proxy.cut()
            await direct.until_done()
        await bench.client.aclose()
        await direct.client.aclose()

    assert bench.told(ReceiveFailed)
    assert list(range(2, 1002)) == list(dict.fromkeys(bench.handled))
    assert len(bench.handled) - 1000 <= 10 * 30


async def test_a_worker_whose_connections_hang(server: PrivateRedis) -> None:
    """Half-open connections, of a client that would wait for ever, are given up in time."""
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        bench = Bench(f"redis://127.0.0.1:{proxy.port}?socket_timeout=600")
        direct = Bench(server.url)
        await direct.adapter.create_group()
        async with bench.make_worker():
            for number in range(3):
                proxy.arm(Fault.NO_ANSWER, skip=number)
                await direct.publish(range(2 + 20 * number, 22 + 20 * number))
                await direct.until_done()
        await bench.client.aclose()
        await direct.client.aclose()

    assert list(range(2, 62)) == list(dict.fromkeys(bench.handled))


async def fill(bench: Bench) -> int:
    """Publish until the memory is full, and return the first version that was not taken."""
    version = 2
    with suppress(MessagePublishError):
        for version in itertools.count(2, 10):
            await bench.publish(range(version, version + 10), size=5_000)
    with pytest.raises(MessagePublishError, match="memory"):
        await bench.publish(range(version, version + 10), size=5_000)
    return version


async def test_memory_that_is_full() -> None:
    """With ``noeviction``: publishing says so, the worker goes on, and its trimming makes room."""
    with private_redis("--maxmemory", "12mb", "--maxmemory-policy", "noeviction") as server:
        bench = Bench(server.url)
        await bench.adapter.create_group()
        version = await fill(bench)
        assert version - 2 == await bench.client.xlen(STREAM)  # all messages of a step, or none

        async with bench.make_worker():  # it takes the lease, although nothing can be written
            await bench.until_done()
            began = monotonic()
            while monotonic() - began < 10:
                with suppress(MessagePublishError):
                    await bench.publish(range(version, version + 10), size=5_000)
                    break
                await asyncio.sleep(0.1)
            await bench.until_done()
        await bench.client.aclose()

    assert list(range(2, version + 10)) == bench.handled
    assert [] == bench.told(AckFailed)


async def test_a_slow_worker(server: PrivateRedis) -> None:
    """It takes what it can handle, and the rest waits in the stream."""
    bench = Bench(server.url)
    await bench.adapter.create_group()
    for each in range(500):
        await bench.queue.publish_messages([make_message(each, version) for version in (2, 3)])

    async def be_slow() -> None:
        await asyncio.sleep(0.2)

    async with bench.make_worker(be_slow, concurrency=5):
        for _ in range(10):
            await asyncio.sleep(0.1)
            lag = await bench.adapter.get_lag()
            assert lag.pending <= 5
            assert 1000 - len(bench.told(MessageHandled)) <= lag.pending + lag.waiting <= 1000
    await bench.client.aclose()
