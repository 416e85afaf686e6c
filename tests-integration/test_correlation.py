"""A request, and what followed from it: one correlation, whatever carries the events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
from redis.asyncio import Redis
from sqlalchemy import create_engine

from castore_core import (
    ConnectedEventStore,
    Event,
    EventStore,
    JSONValue,
    NotificationMessage,
    NotificationMessageBus,
    NotificationMessageQueue,
    event_metadata,
)
from castore_event_bridge import EventBridgeHandler
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryMessageBusAdapter,
    InMemoryMessageQueueAdapter,
)
from castore_projections import Projection, ProjectionContext, Relay
from castore_redis import (
    RedisBusListener,
    RedisMessageBusAdapter,
    RedisMessageQueueAdapter,
    RedisWorker,
)
from castore_sql import SQLBookmarkStorageAdapter, SQLEventStorageAdapter
from castore_sqs import SQSHandler, SQSMessageQueueAdapter, SQSWorker

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
PATIENCE = 20  # seconds
ANSWERED: dict[str, JSONValue] = {"correlation_id": "request-1", "causation_id": "QUESTIONS#q#1"}


class Asked(Event, type="ASKED"):
    """Somebody wants to know."""

    metadata: dict[str, JSONValue] | None = None


class Answered(Event, type="ANSWERED"):
    """Somebody knows."""

    metadata: dict[str, JSONValue] | None = None


@dataclass(frozen=True)
class Talk:
    """An aggregate."""

    aggregate_id: str
    version: int


def reduce_talk(_: Talk | None, event: Asked | Answered) -> Talk:
    """Count the events."""
    return Talk(event.aggregate_id, event.version)


class Chain:
    """Questions and answers on SQLite, and handlers that answer."""

    def __init__(self, adapter: SQLEventStorageAdapter) -> None:
        self.questions: EventStore[Asked, Talk] = EventStore(
            "QUESTIONS", event_types=[Asked], reduce=reduce_talk, storage_adapter=adapter
        )
        self.answers: EventStore[Answered, Talk] = EventStore(
            "ANSWERS", event_types=[Answered], reduce=reduce_talk, storage_adapter=adapter
        )
        self.queue = NotificationMessageQueue("QUEUE", source_event_stores=(self.questions,))
        self.bus = NotificationMessageBus("BUS", source_event_stores=(self.questions,))

    async def ask(self, channel: Any = None) -> Asked:
        """Push a question within a request, and publish it if there is a channel."""
        store = ConnectedEventStore(self.questions, channel) if channel else self.questions
        with event_metadata(correlation_id="request-1", actor="misty"):
            return (await store.push_event(Asked("q", 1))).event

    async def answer(self, message: NotificationMessage[Asked], _: object) -> None:
        """Answer a question."""
        await self.answers.push_event(Answered(message.event.aggregate_id, 1))

    def answer_in_thread(self, message: NotificationMessage[Asked], _: object) -> None:
        """Answer a question in a thread of its own."""
        asyncio.run(self.answer(message, None))

    async def wait_for_answer(self) -> JSONValue | object:
        """Return the metadata of the answer, as they are stored."""
        adapter = self.answers.get_storage_adapter()
        async with asyncio.timeout(PATIENCE):
            while not (records := await adapter.get_events("ANSWERS", "q")):  # noqa: ASYNC110 the storage tells nobody
                await asyncio.sleep(0.01)
        return records[0].metadata


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """Give a chain on a file."""
    engine = create_engine(f"sqlite:///{tmp_path}/events.db")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield Chain(adapter)
    engine.dispose()


@pytest.fixture(params=["coroutine", "thread"])
def handler(request: pytest.FixtureRequest, chain: Chain) -> Callable[..., Any]:
    """Give a handler of either kind."""
    return chain.answer if request.param == "coroutine" else chain.answer_in_thread


@pytest.fixture
def sqs(find_server: Callable[[str], str]) -> Iterator[tuple[Any, str]]:
    """Give a client, and the URL of a queue."""
    client: Any = boto3.client("sqs", endpoint_url=find_server("moto"), **ACCOUNT)
    url = client.create_queue(QueueName=f"queue-{uuid4()}")["QueueUrl"]
    yield client, url
    client.delete_queue(QueueUrl=url)
    client.close()


@pytest.fixture(params=["redis", "valkey"])
async def redis(
    request: pytest.FixtureRequest, find_server: Callable[[str], str]
) -> AsyncIterator[Any]:
    """Give a client."""
    client: Any = cast("Any", Redis).from_url(find_server(request.param))
    yield client
    await client.aclose()


async def test_a_queue_in_memory(chain: Chain) -> None:
    """The answer has the correlation, but none of the publisher's other values."""
    async with InMemoryMessageQueueAdapter.attach_to(chain.queue, worker=chain.answer) as adapter:
        await chain.ask(chain.queue)
        await adapter.join(timeout=PATIENCE)

    assert ANSWERED == await chain.wait_for_answer()


async def test_a_bus_in_memory(chain: Chain) -> None:
    """So it is with a listener."""
    async with InMemoryMessageBusAdapter.attach_to(chain.bus) as adapter:
        adapter.on()(chain.answer)
        await chain.ask(chain.bus)
        await adapter.join(timeout=PATIENCE)

    assert ANSWERED == await chain.wait_for_answer()


async def test_a_worker_of_sqs(
    chain: Chain, sqs: tuple[Any, str], handler: Callable[..., Any]
) -> None:
    """So it is with a queue of SQS, also in a thread."""
    chain.queue.message_channel_adapter = SQSMessageQueueAdapter(*sqs)

    async with SQSWorker(chain.queue, handler, wait_time=1):
        await chain.ask(chain.queue)
        metadata = await chain.wait_for_answer()

    assert ANSWERED == metadata


async def test_lambda_with_sqs(
    chain: Chain, sqs: tuple[Any, str], handler: Callable[..., Any]
) -> None:
    """So it is with what Lambda gets from the queue."""
    client, url = sqs
    chain.queue.message_channel_adapter = SQSMessageQueueAdapter(client, url)
    await chain.ask(chain.queue)
    (message,) = client.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    record: dict[str, Any] = {"messageId": message["MessageId"], "body": message["Body"]}

    answer = await SQSHandler(chain.queue, handler).handle_records([record])

    assert {"batchItemFailures": []} == answer
    assert ANSWERED == await chain.wait_for_answer()


async def test_lambda_with_event_bridge(chain: Chain) -> None:
    """So it is with an event of EventBridge."""
    message = NotificationMessage("QUESTIONS", await chain.ask())
    event = {
        "id": "1",
        "time": "2022-01-01T00:00:00Z",
        "source": "QUESTIONS",
        "detail-type": "ASKED",
        "detail": chain.bus.message_to_record(message).body,
    }

    await EventBridgeHandler(chain.bus, chain.answer).handle_event(event)

    assert ANSWERED == await chain.wait_for_answer()


async def test_a_worker_of_redis(chain: Chain, redis: Any, handler: Callable[..., Any]) -> None:
    """So it is with a stream of Redis, also in a thread."""
    adapter = RedisMessageQueueAdapter(redis, stream=f"s-{uuid4()}")
    await adapter.create_group()
    chain.queue.message_channel_adapter = adapter

    async with RedisWorker(chain.queue, handler, wait_time=0.5):
        await chain.ask(chain.queue)
        metadata = await chain.wait_for_answer()
    await redis.delete(*adapter.streams)

    assert ANSWERED == metadata


async def test_a_listener_of_redis(chain: Chain, redis: Any, handler: Callable[..., Any]) -> None:
    """So it is with a bus on Redis, also in a thread."""
    chain.bus.message_channel_adapter = RedisMessageBusAdapter(redis, channel_prefix=f"p-{uuid4()}")
    listener = RedisBusListener(chain.bus)
    listener.on(handler)

    async with listener:
        await chain.ask(chain.bus)
        metadata = await chain.wait_for_answer()

    assert ANSWERED == metadata


async def test_a_relay_and_a_worker(chain: Chain, sqs: tuple[Any, str]) -> None:
    """So it is where a relay publishes later what was stored in the request."""
    chain.queue.message_channel_adapter = SQSMessageQueueAdapter(*sqs)
    relay = Relay(
        "relay",
        event_stores=[chain.questions],
        channels=[chain.queue],
        bookmarks=InMemoryBookmarkStorageAdapter(),
    )
    await chain.ask()

    async with SQSWorker(chain.queue, chain.answer, wait_time=1):
        await relay.run_once()
        metadata = await chain.wait_for_answer()

    assert ANSWERED == metadata


async def test_the_adapter_of_a_relay(chain: Chain) -> None:
    """A relay tells what it publishes to adapters, too, in which a program may push."""
    seen: list[object] = []

    class Adapter:
        async def publish_message(self, message: Any, *, replay: bool = False) -> None:
            await self.publish_messages([message], replay=replay)

        async def publish_messages(self, messages: Any, *, replay: bool = False) -> None:  # noqa: ARG002 as channels call it
            seen.append((await chain.answers.push_event(Answered("q", 1))).event.metadata)

    chain.queue.message_channel_adapter = Adapter()
    relay = Relay(
        "relay",
        event_stores=[chain.questions],
        channels=[chain.queue],
        bookmarks=InMemoryBookmarkStorageAdapter(),
    )
    await chain.ask()
    await relay.run_once()

    assert [ANSWERED] == seen


async def test_projections(chain: Chain) -> None:
    """A projection answers, and thanks for the answer: the chain has three links."""
    engine = cast("Any", chain.answers.get_storage_adapter())._engine
    bookmarks = SQLBookmarkStorageAdapter(engine)
    await bookmarks.create_tables()
    projection = Projection(
        "answers", event_stores=[chain.questions, chain.answers], bookmarks=bookmarks
    )

    @projection.on(Asked)
    async def answer(event: Asked, context: ProjectionContext[Any]) -> None:
        answers = chain.answers.using(adapter.within(context.transaction))
        await answers.push_event(Answered(event.aggregate_id, 1))

    @projection.on(Answered)
    async def thank(event: Answered, context: ProjectionContext[Any]) -> None:
        if event.version == 1:
            answers = chain.answers.using(adapter.within(context.transaction))
            await answers.push_event(Answered(event.aggregate_id, 2))

    adapter = cast("SQLEventStorageAdapter", chain.answers.get_storage_adapter())
    await chain.ask()
    await projection.run_once()
    await projection.run_once()

    events = await chain.answers.get_events("q")
    thanked = ANSWERED | {"causation_id": "ANSWERS#q#1"}
    assert [ANSWERED, thanked] == [each.metadata for each in events]
