"""Publishers and consumers of messages on Redis: castore, and redis-py with the same commands.

Each has keys and a client of its own, and notes the messages that its consumer was given.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from castore_core import (
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    format_json,
)
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
Write: TypeAlias = Callable[[Message], str]
Read: TypeAlias = Callable[[bytes], object]
Take: TypeAlias = Callable[[Any, str], Awaitable[Any]]
"""Takes messages of a stream, for which it waits."""

READ_LEASED = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
return redis.call('XREADGROUP', 'GROUP', ARGV[2], 'consumer', 'COUNT', ARGV[3],
  'STREAMS', KEYS[1], '>')
"""


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
_CHANNEL = NotificationMessageQueue[OrderEvent]("ORDERS", source_event_stores=(ORDERS,))


def write_typed(message: Message) -> str:
    """Write a message as channels do, which check that it is JSON."""
    return format_json(_CHANNEL.message_to_record(message).body)


def read_typed(body: bytes) -> Message:
    """Read a message as channels do."""
    return _CHANNEL.parse_message(body.decode())


def write_by_hand(message: Message) -> str:
    """Write the same JSON without castore."""
    event = message.event
    values = {
        "aggregateId": event.aggregate_id,
        "version": event.version,
        "type": event.type,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "payload": event.payload,
    }
    body = {"eventStoreId": STORE, "event": values}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


# Bus


def bare_bus(write: Write, read: Read) -> Contestant:
    """Return ``PUBLISH``, and ``PSUBSCRIBE``."""

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

            def send(client: Any, message: Message) -> Any:
                return client.publish(f"{prefix}:{message.event.type}", write(message))

            async with in_background(hear()):
                yield partial(_send_all, client, send)

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


def bare_queue(write: Write, read: Read, take: Take) -> Contestant:
    """Return ``XADD``, a way to take messages, and ``XACK``."""

    @asynccontextmanager
    async def open_queue(arrivals: Arrivals) -> AsyncGenerator[Publish]:
        stream = f"bench-{uuid4()}"
        async with opened_client() as client:
            await client.xgroup_create(stream, GROUP, "0", mkstream=True)
            await client.set(f"{stream}:lease", "token")

            async def consume() -> None:
                while True:
                    entries = await take(client, stream)
                    for _, body in entries:
                        read(body)
                        arrivals.note()
                    if entries:
                        await client.xack(stream, GROUP, *(each for each, _ in entries))

            def send(client: Any, message: Message) -> Any:
                return client.xadd(stream, _to_fields(message, write))

            async with in_background(consume()):
                yield partial(_send_all, client, send)
            await client.delete(stream, f"{stream}:lease")

    return open_queue


async def take_waiting(client: Any, stream: str) -> Any:
    """Take messages by ``XREADGROUP``, which waits for them."""
    answer = await client.xreadgroup(
        GROUP, "consumer", {stream: ">"}, count=BATCH, block=1000 * WAIT
    )
    entries: Any = answer[0][1] if answer else ()
    return [(each, fields[b"body"]) for each, fields in entries]


class TakeLeased:
    """Takes messages under a lease, as castore does: a script, and ``XREAD`` that waits."""

    def __init__(self) -> None:
        self._last_id: bytes | str = "0"

    async def __call__(self, client: Any, stream: str) -> Any:
        """Take messages, or wait for some."""
        keys = stream, f"{stream}:lease"
        answer = await client.register_script(READ_LEASED)(keys, ("token", GROUP, BATCH))
        if not answer:
            await client.xread({stream: self._last_id}, count=1, block=1000 * WAIT)
            return ()
        entries: Any = answer[0][1]
        self._last_id = entries[-1][0]
        return [(each, fields[5]) for each, fields in entries]


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


def _to_fields(message: Message, write: Write) -> dict[str, str]:
    return {
        "eventStoreId": message.event_store_id,
        "aggregateId": message.event.aggregate_id,
        "body": write(message),
    }


# Both


async def _send_all(
    client: Any, send: Callable[[Any, Message], Any], messages: Sequence[Message]
) -> None:
    """Send a message at once, and several in a pipeline."""
    if len(messages) == 1:
        await send(client, messages[0])
        return
    async with client.pipeline(transaction=False) as pipeline:
        for each in messages:
            send(pipeline, each)
        await pipeline.execute()


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Do some work for the time of a block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        while not task.done():  # on Python 3.11, redis-py may swallow a cancellation
            task.cancel()
            await asyncio.wait([task], timeout=0.1)


BUSES: dict[str, Contestant] = {
    "redis-py": bare_bus(write_by_hand, json.loads),
    "redis-py, typed": bare_bus(write_typed, read_typed),
    "castore, listen": castore_iterator,
    "castore, RedisBusListener": castore_listener,
}
QUEUES: dict[str, Contestant] = {
    "redis-py": bare_queue(write_by_hand, json.loads, take_waiting),
    "redis-py, typed": bare_queue(write_typed, read_typed, take_waiting),
    "redis-py, typed, leased": bare_queue(write_typed, read_typed, TakeLeased()),
    "castore, RedisWorker": castore_queue,
}
