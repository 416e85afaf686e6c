"""Publishers and consumers of messages on Redis: castore, and redis-py with the same commands.

Each has keys and a client of its own, and notes the messages that its consumer was given.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeAlias
from uuid import uuid4

from castore_core import NotificationMessage, NotificationMessageBus, NotificationMessageQueue
from castore_in_memory import InMemoryEventStorageAdapter
from castore_redis import (
    RedisBusListener,
    RedisMessageBusAdapter,
    RedisMessageQueueAdapter,
    RedisWorker,
    listen,
)
from redis_server import opened_client
from with_castore import OrderEvent, make_store
from workload import STORE

BATCH = 100
"""How many messages a consumer of a queue takes at once, and has in flight."""

WAIT = 2  # seconds that a consumer waits for messages
GROUP = "castore"

Message: TypeAlias = NotificationMessage[OrderEvent]
Publish: TypeAlias = Callable[[Sequence[Message]], Awaitable[object]]
Read: TypeAlias = Callable[[bytes], object]


class Arrivals:
    """Counts the messages that a consumer was given."""

    def __init__(self) -> None:
        self._count = self._wanted = 0
        self._is_there = asyncio.Event()

    def note(self) -> None:
        """Count one more."""
        self._count += 1
        if self._count == self._wanted:
            self._is_there.set()

    def expect(self, count: int) -> None:
        """Begin to wait for so many more; that is to be called before they are published."""
        self._wanted = self._count + count
        self._is_there.clear()

    async def wait(self) -> None:
        """Wait until they were all counted."""
        await self._is_there.wait()


Contestant: TypeAlias = Callable[[Arrivals], AbstractAsyncContextManager[Publish]]

ORDERS = make_store(InMemoryEventStorageAdapter())
_PARSER = NotificationMessageQueue[OrderEvent]("PARSER", source_event_stores=(ORDERS,))


def parse(body: bytes) -> Message:
    """Read a message as the channels do."""
    return _PARSER.parse_message(body.decode())


# Bus


def bare_bus(read: Read) -> Contestant:
    """Return ``PUBLISH`` in pipelines, and ``PSUBSCRIBE``."""

    @asynccontextmanager
    async def open_bus(arrivals: Arrivals) -> AsyncGenerator[Publish]:
        prefix = f"bench-{uuid4()}"
        async with opened_client() as client, client.pubsub() as subscription:
            await subscription.psubscribe(f"{prefix}:*")
            await subscription.get_message(timeout=WAIT)

            async def hear() -> None:
                async for message in subscription.listen():
                    read(message["data"])
                    arrivals.note()

            async def publish(messages: Sequence[Message]) -> None:
                async with client.pipeline(transaction=False) as pipeline:
                    for each in messages:
                        pipeline.publish(f"{prefix}:{each.event.type}", to_text(each))
                    await pipeline.execute()

            async with in_background(hear()):
                yield publish

    return open_bus


@asynccontextmanager
async def castore_iterator(arrivals: Arrivals) -> AsyncGenerator[Publish]:
    """Listen by ``async for``."""
    async with opened_client() as client:
        bus = _make_bus(client)

        async def hear() -> None:
            async for _ in subscription:
                arrivals.note()

        async with listen(bus) as subscription, in_background(hear()):
            yield bus.publish_messages


@asynccontextmanager
async def castore_listener(arrivals: Arrivals) -> AsyncGenerator[Publish]:
    """Listen by a handler."""
    async with opened_client() as client:
        bus = _make_bus(client)
        listener = RedisBusListener(bus)

        @listener.on
        async def hear(*_: object) -> None:
            arrivals.note()

        async with listener:
            yield bus.publish_messages


def _make_bus(client: Any) -> NotificationMessageBus[OrderEvent]:
    adapter = RedisMessageBusAdapter(client, channel_prefix=f"bench-{uuid4()}")
    return NotificationMessageBus(
        "ORDERS", source_event_stores=(ORDERS,), message_channel_adapter=adapter
    )


# Queue


def bare_queue(read: Read) -> Contestant:
    """Return ``XADD`` in pipelines, ``XREADGROUP`` that waits, and ``XACK``."""

    @asynccontextmanager
    async def open_queue(arrivals: Arrivals) -> AsyncGenerator[Publish]:
        stream = f"bench-{uuid4()}"
        async with opened_client() as client:
            await client.xgroup_create(stream, GROUP, "0", mkstream=True)

            async def consume() -> None:
                while True:
                    answer = await client.xreadgroup(
                        GROUP, "consumer", {stream: ">"}, count=BATCH, block=1000 * WAIT
                    )
                    entries = _get_entries(answer)
                    for _, fields in entries:
                        read(fields[b"body"])
                        arrivals.note()
                    if entries:
                        await client.xack(stream, GROUP, *(each for each, _ in entries))

            async def publish(messages: Sequence[Message]) -> None:
                async with client.pipeline(transaction=False) as pipeline:
                    for each in messages:
                        pipeline.xadd(stream, _to_fields(each))
                    await pipeline.execute()

            async with in_background(consume()):
                yield publish
            await client.delete(stream)

    return open_queue


@asynccontextmanager
async def castore_queue(arrivals: Arrivals) -> AsyncGenerator[Publish]:
    """Have messages handled by a worker."""
    async with opened_client() as client:
        adapter = RedisMessageQueueAdapter(client, stream=f"bench-{uuid4()}")
        queue = NotificationMessageQueue[OrderEvent](
            "ORDERS", source_event_stores=(ORDERS,), message_channel_adapter=adapter
        )
        await adapter.create_group()

        async def handle(*_: object) -> None:
            arrivals.note()

        async with RedisWorker(queue, handle, concurrency=BATCH, wait_time=WAIT):
            yield queue.publish_messages
        await client.delete(*adapter.streams)


def _get_entries(answer: Any) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of an answer, which has one stream or none, in either shape."""
    if isinstance(answer, dict):
        answer = [*answer.items()]
    return answer[0][1] if answer else ()


def _to_fields(message: Message) -> dict[str, str]:
    return {
        "eventStoreId": message.event_store_id,
        "aggregateId": message.event.aggregate_id,
        "body": to_text(message),
    }


# Both


def to_text(message: Message) -> str:
    """Write a message as JSON, as it is written by hand."""
    event = message.event
    values = {
        "aggregateId": event.aggregate_id,
        "version": event.version,
        "type": event.type,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "payload": event.payload,
    }
    return json.dumps({"eventStoreId": STORE, "event": values}, separators=(",", ":"))


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Do some work for the time of a block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


BUSES: dict[str, Contestant] = {
    "redis-py": bare_bus(json.loads),
    "redis-py, parsing": bare_bus(parse),
    "castore, listen": castore_iterator,
    "castore, RedisBusListener": castore_listener,
}
QUEUES: dict[str, Contestant] = {
    "redis-py": bare_queue(json.loads),
    "redis-py, parsing": bare_queue(parse),
    "castore, RedisWorker": castore_queue,
}
