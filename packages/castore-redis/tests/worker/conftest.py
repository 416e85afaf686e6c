"""Workers on the streams of a server, with all that they handled and told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from uuid import uuid4

import pytest

from castore_core import NotificationMessage, NotificationMessageQueue
from castore_redis import (
    RedisMessageContext,
    RedisMessageQueueAdapter,
    RedisWorker,
    WorkerReport,
)
from castore_redis._keys import name_keys
from pokemon import PokemonLeveledUp, pokemons


class Bench:
    """A queue, and what its workers handled and told."""

    def __init__(self, client: Any, stream: str, *, streams: int = 1) -> None:
        self.client = client
        self.adapter = RedisMessageQueueAdapter(client, stream=stream, streams=streams)
        self.stream = self.adapter.streams[0]
        self.keys = name_keys(self.stream, "castore")
        self.handled: list[tuple[str, int]] = []
        self.attempts: list[int] = []
        self.reports: list[WorkerReport] = []
        self.queue = NotificationMessageQueue(
            "QUEUE", source_event_stores=(pokemons,), message_channel_adapter=self.adapter
        )

    async def publish(
        self, aggregate_id: str, versions: Iterable[int] = (2,), *, replay: bool = False
    ) -> None:
        """Publish messages of an aggregate."""
        events = [PokemonLeveledUp(aggregate_id=aggregate_id, version=each) for each in versions]
        messages = [NotificationMessage("POKEMONS", each) for each in events]
        await self.queue.publish_messages(messages, replay=replay)

    def make_worker(self, handler: Any = None, /, **options: Any) -> RedisWorker[Any]:
        """Make a worker, which notes what it handled."""

        async def handle(message: NotificationMessage[Any], context: RedisMessageContext) -> None:
            if handler is not None:
                await handler(message.event, context)
            self.handled.append((message.event.aggregate_id, message.event.version))
            self.attempts.append(context.attempt)

        channel = options.pop("channel", self.queue)
        options = {"on_report": self.reports.append, "retry_delay": 0.02, **options}
        return RedisWorker(channel, handle, adapter=self.adapter, **options)

    def told(self, kind: type[Any]) -> list[Any]:
        """Return the reports of a kind."""
        return [each for each in self.reports if isinstance(each, kind)]

    def versions(self, aggregate_id: str) -> list[int]:
        """Return the versions of an aggregate that were handled, in that order."""
        return [version for each, version in self.handled if each == aggregate_id]

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> None:
        """Wait for a condition, and not for ever."""
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.005)

    async def until_done(self) -> None:
        """Wait until no message waits, or is pending."""
        await self.until(self.is_done)

    async def is_done(self) -> bool:
        """Tell whether no message waits, or is pending."""
        lag = await self.adapter.get_lag()
        return lag.waiting == lag.pending == 0

    async def dead(self) -> list[dict[bytes, bytes]]:
        """Return the dead letters."""
        entries: Any = await self.client.xrange(self.keys.dead_letters)
        return [fields for _, fields in entries]

    async def die_with(self, count: int, *, consumer: str = "dead", attempts: int = 1) -> None:
        """Take messages as a worker does that dies then."""
        entries = await self.client.xreadgroup("castore", consumer, {self.stream: ">"}, count=count)
        [_, *_] = entries
        pending = await self.client.xpending_range(self.stream, "castore", "-", "+", count)
        ids = [each["message_id"] for each in pending]
        await self.client.execute_command(
            *("XCLAIM", self.stream, "castore", consumer, 0, *ids, "RETRYCOUNT", attempts)
        )


@pytest.fixture
async def client(make_client: Callable[..., Awaitable[Any]], url: str) -> Any:
    """Give the client of adapters and workers."""
    return await make_client(url)


@pytest.fixture
async def make_bench(client: Any, stream: str) -> AsyncIterator[Callable[..., Awaitable[Bench]]]:
    """Give a function that makes a queue with a consumer group."""
    benches: list[Bench] = []

    async def make(*, streams: int = 1) -> Bench:
        bench = Bench(client, stream, streams=streams)
        benches.append(bench)
        await bench.adapter.create_group()
        return bench

    yield make
    for bench in benches:
        keys = [key for each in bench.adapter.streams for key in name_keys(each, "castore")]
        await client.delete(*keys)


@pytest.fixture
async def bench(make_bench: Callable[..., Awaitable[Bench]]) -> Bench:
    """Give a queue with a consumer group."""
    return await make_bench()


@pytest.fixture
async def make_user(
    client: Any, make_client: Callable[..., Awaitable[Any]], url: str
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a user with certain permissions only."""
    name = f"user-{uuid4()}"

    async def make(*rules: str) -> Any:
        await client.execute_command("ACL", "SETUSER", name, "on", f">{name}", *rules)
        return await make_client(url, username=name, password=name)

    yield make
    await client.execute_command("ACL", "DELUSER", name)


@pytest.fixture
def bench_on() -> Callable[[Any, str], Bench]:
    """Give a function that makes a queue on the server of a client, without a consumer group."""
    return Bench
