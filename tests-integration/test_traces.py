"""One trace from a request to the last push: store, relay, queue and worker, apart from each other.

Relays and workers run outside the request, as in another process: nothing leads them to its trace
but what events and messages carry.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from redis.asyncio import Redis
from sqlalchemy import create_engine

from castore_core import NotificationMessage, NotificationMessageBus, NotificationMessageQueue
from castore_dynamodb import DynamoDBStreamHandler, DynamoDBStreamParser
from castore_event_bridge import EventBridgeHandler
from castore_in_memory import (
    InMemoryBookmarkStorageAdapter,
    InMemoryEventStorageAdapter,
    InMemoryMessageQueueAdapter,
)
from castore_opentelemetry import record_projection_status, uninstrument_castore
from castore_projections import Projection, ProjectionContext, Relay
from castore_redis import (
    RedisBusListener,
    RedisMessageBusAdapter,
    RedisMessageQueueAdapter,
    RedisWorker,
)
from castore_sql import SQLEventStorageAdapter
from castore_sqs import SQSHandler, SQSMessageQueueAdapter, SQSWorker
from notes import SECRET, Noted, NoteStore, make_notes, make_queue
from recorded import Recorded, get_attributes, get_context, get_links, get_trace_id, is_child

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Record all operations of a test."""
    recorded = Recorded()
    recorded.instrument()
    yield recorded
    uninstrument_castore()


@pytest.fixture
async def notes(tmp_path: Path) -> AsyncIterator[NoteStore]:
    """Give a store on SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path / 'notes.db'}")
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    yield make_notes(adapter)
    engine.dispose()


@pytest.fixture
async def redis(find_server: Callable[[str], str]) -> AsyncIterator[Any]:
    """Give a client of Redis."""
    client: Any = cast("Any", Redis).from_url(find_server("redis"))
    async with client:
        yield client


@pytest.fixture
async def stream(redis: Any) -> AsyncIterator[str]:
    """Give the name of a stream, and remove what is left of it."""
    name = f"notes-{uuid4().hex}"
    yield name
    if keys := await redis.keys(f"*{name}*"):
        await redis.delete(*keys)


@pytest.fixture
def sqs_queue(find_server: Callable[[str], str]) -> Iterator[tuple[Any, str]]:
    """Give a client of SQS, and the URL of a queue."""
    client: Any = boto3.client("sqs", endpoint_url=find_server("moto"), **ACCOUNT)
    queue_url = client.create_queue(QueueName=f"notes-{uuid4().hex}")["QueueUrl"]
    yield client, queue_url
    client.delete_queue(QueueUrl=queue_url)
    client.close()


class Worker:
    """Pushes the next event after each first one, in the event loop or in a thread."""

    def __init__(self, notes: NoteStore) -> None:
        self._notes = notes
        self.handled = asyncio.Event()
        self.headers: dict[str, str] = {}

    async def handle(self, message: NotificationMessage[Noted], context: object) -> None:
        """Push, and let the test go on."""
        event = message.event
        self.headers = dict(getattr(context, "headers", {}))
        if event.version == 1:
            await self._notes.push_event(Noted(event.aggregate_id, 2, payload="done"))
        self.handled.set()


def make_relay(notes: NoteStore, *channels: Any) -> Relay:
    """Return a relay."""
    bookmarks = InMemoryBookmarkStorageAdapter()
    return Relay("to-queue", event_stores=[notes], channels=channels, bookmarks=bookmarks)


async def make_redis_queue(
    notes: NoteStore, redis: Any, stream: str
) -> NotificationMessageQueue[Any]:
    """Return a queue on a stream of Redis, which has a consumer group."""
    queue = make_queue(notes)
    queue.message_channel_adapter = adapter = RedisMessageQueueAdapter(redis, stream=stream)
    await adapter.create_group()
    return queue


async def request(recorded: Recorded, notes: NoteStore) -> None:
    """Push within a request."""
    with recorded.tracer.start_as_current_span("request"):
        await notes.push_event(Noted("n1", 1, payload="milk"))


def find_pushes(recorded: Recorded) -> list[ReadableSpan]:
    """Return the spans of the push of the request, and of that of the worker."""
    pushes = recorded.find_all("push NOTES")
    return sorted(pushes, key=lambda each: int(get_attributes(each)["castore.event.version"]))


def check_one_trace(recorded: Recorded) -> None:
    """Check that the worker's push is in the trace of the request, by way of both pushes."""
    first, second = find_pushes(recorded)
    process = recorded.find("process NOTE_QUEUE")
    publish = recorded.find("publish NOTE_QUEUE")
    assert is_child(first, recorded.find("request"))
    assert is_child(process, first)
    assert is_child(second, process)
    assert 1 == len({get_trace_id(each) for each in (recorded.find("request"), second)})
    assert get_trace_id(publish) != get_trace_id(first)
    assert {get_context(first).span_id} == get_links(publish)


async def test_redis(recorded: Recorded, notes: NoteStore, redis: Any, stream: str) -> None:
    """A request leads through SQLite, a relay and a stream of Redis to the worker's push."""
    queue = await make_redis_queue(notes, redis, stream)
    await request(recorded, notes)
    await make_relay(notes, queue).run_once()
    worker = Worker(notes)
    async with RedisWorker(queue, worker.handle), asyncio.timeout(20):
        await worker.handled.wait()
    check_one_trace(recorded)
    assert ["traceparent"] == list(worker.headers)
    assert "redis" == get_attributes(recorded.find("process NOTE_QUEUE"))["messaging.system"]


async def test_sqs(recorded: Recorded, notes: NoteStore, sqs_queue: tuple[Any, str]) -> None:
    """A request leads through SQLite, a relay and a queue of SQS to the worker's push."""
    queue = make_queue(notes)
    queue.message_channel_adapter = SQSMessageQueueAdapter(*sqs_queue)
    await request(recorded, notes)
    await make_relay(notes, queue).run_once()
    worker = Worker(notes)
    async with SQSWorker(queue, worker.handle, wait_time=1), asyncio.timeout(20):
        await worker.handled.wait()
    check_one_trace(recorded)
    assert ["traceparent"] == list(worker.headers)
    assert "aws_sqs" == get_attributes(recorded.find("process NOTE_QUEUE"))["messaging.system"]


async def test_lambda(recorded: Recorded, notes: NoteStore) -> None:
    """A Lambda function goes on with the trace that the attributes of its record name."""
    first = Noted("n1", 1, payload="milk")
    queue = make_queue(notes)
    record: dict[str, Any] = {
        "messageId": "m1",
        "body": '{"eventStoreId":"NOTES","event":{"aggregateId":"n1","version":1,"type":"NOTED",'
        '"timestamp":"2026-01-01T00:00:00.000Z","payload":"milk"}}',
        "messageAttributes": {
            "messageId": {"dataType": "String", "stringValue": "NOTES#n1#1"},
            "traceparent": {
                "dataType": "String",
                "stringValue": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            },
        },
    }
    await notes.push_event(first)
    handler = SQSHandler(queue, Worker(notes).handle)
    answer = await handler.handle_records([record])
    assert {"batchItemFailures": []} == answer
    process = recorded.find("process NOTE_QUEUE")
    assert 0x0AF7651916CD43DD8448EB211C80319C == get_trace_id(process)
    assert is_child(find_pushes(recorded)[1], process)


async def test_event_bridge(recorded: Recorded, notes: NoteStore) -> None:
    """A Lambda function behind a rule of EventBridge goes on with the trace of the metadata."""
    await request(recorded, notes)
    (event,) = await notes.get_events("n1")
    bus = NotificationMessageBus("NOTE_BUS", source_event_stores=(notes,))
    envelope: dict[str, Any] = {
        "id": "e1",
        "time": "2026-01-01T00:00:00Z",
        "detail-type": "NOTED",
        "detail": bus.message_to_record(NotificationMessage("NOTES", event)).body,
    }
    await EventBridgeHandler(bus, Worker(notes).handle).handle_event(envelope)
    first, second = find_pushes(recorded)
    process = recorded.find("process NOTE_BUS")
    assert is_child(process, first)
    assert is_child(second, process)


def make_stream_record(event: Noted, number: int) -> dict[str, Any]:
    """Return the record of an event in the stream of a table, as Lambda gets it."""
    metadata = {name: {"S": value} for name, value in (event.metadata or {}).items()}
    image: dict[str, Any] = {
        "aggregateId": {"S": f"NOTES#{event.aggregate_id}"},
        "version": {"N": str(event.version)},
        "type": {"S": event.type},
        "timestamp": {"S": "2026-01-01T00:00:00.000Z"},
        "payload": {"S": event.payload},
        "metadata": {"M": metadata},
    }
    change = {"NewImage": image, "SequenceNumber": str(number)}
    return {"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change}


@pytest.mark.parametrize("park", [None, print], ids=["stop", "park"])
async def test_a_stream_of_dynamodb(recorded: Recorded, notes: NoteStore, park: Any) -> None:
    """A stream handler links its publishes to the pushes, whose traces the messages carry on."""
    handled = [asyncio.Event(), asyncio.Event()]
    await request(recorded, notes)
    with recorded.tracer.start_as_current_span("another request"):
        await notes.push_event(Noted("n2", 1, payload="bread"))
    queue = make_queue(notes)

    async def handle(message: NotificationMessage[Noted], _: object) -> None:
        handled[message.event.aggregate_id == "n2"].set()

    events = [(await notes.get_events(each))[0] for each in ("n1", "n2")]
    records = [make_stream_record(each, number) for number, each in enumerate(events)]
    handler = DynamoDBStreamHandler(DynamoDBStreamParser((notes,)), queue, park=park)
    async with InMemoryMessageQueueAdapter.attach_to(queue, worker=handle), asyncio.timeout(20):
        assert {"batchItemFailures": []} == await handler.publish_records(records)
        await asyncio.gather(*(each.wait() for each in handled))
    pushes = recorded.find_all("push NOTES")
    publishes = recorded.find_all("publish NOTE_QUEUE")
    processes = recorded.find_all("process NOTE_QUEUE")
    assert [{get_context(each).span_id} for each in pushes] == [
        get_links(each) for each in publishes
    ]
    for push, process in zip(pushes, processes, strict=True):
        assert is_child(process, push)


async def test_a_thread(recorded: Recorded, notes: NoteStore, redis: Any, stream: str) -> None:
    """A handler that is a plain function, and runs in a thread, pushes in its trace too."""
    queue = await make_redis_queue(notes, redis, stream)
    handled = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle(_: NotificationMessage[Noted], __: object) -> None:
        with recorded.tracer.start_as_current_span("in a thread"):
            loop.call_soon_threadsafe(handled.set)

    await request(recorded, notes)
    await make_relay(notes, queue).run_once()
    async with RedisWorker(queue, handle), asyncio.timeout(20):
        await handled.wait()
    assert is_child(recorded.find("in a thread"), recorded.find("process NOTE_QUEUE"))


async def test_a_bus_without_headers(
    recorded: Recorded, notes: NoteStore, redis: Any, stream: str
) -> None:
    """Redis Pub/Sub has no headers: the metadata of the event name the trace."""
    bus = NotificationMessageBus("NOTE_BUS", source_event_stores=(notes,))
    bus.message_channel_adapter = RedisMessageBusAdapter(redis, channel_prefix=stream)
    worker = Worker(notes)
    listener = RedisBusListener(bus)
    listener.on(worker.handle)
    async with listener, asyncio.timeout(20):
        await request(recorded, notes)
        await make_relay(notes, bus).run_once()
        await worker.handled.wait()
    assert is_child(recorded.find("process NOTE_BUS"), find_pushes(recorded)[0])


async def test_a_projection(recorded: Recorded, notes: NoteStore) -> None:
    """A batch is linked to the traces of its events, and has a span for each of them."""
    for each in range(4):
        await notes.push_event(Noted(f"n{each}", 1, payload="milk"))
    projection = Projection(
        "pokedex", event_stores=[notes], bookmarks=InMemoryBookmarkStorageAdapter()
    )

    @projection.on(Noted)
    async def noted(event: Noted, _: ProjectionContext[Any]) -> None:
        if event.aggregate_id == "n2":
            raise ValueError(SECRET)

    await projection.run_once()
    record_projection_status(await projection.status())
    whole, *_ = recorded.find_all("batch pokedex")
    pushes = {get_context(each).span_id for each in recorded.find_all("push NOTES")}
    assert pushes == get_links(whole)
    assert 4 == get_attributes(whole)["castore.batch.events"]
    assert "ValueError" == get_attributes(whole)["error.type"]
    applied = [each for each in recorded.find_all("apply pokedex") if is_child(each, whole)]
    assert [True, True, False] == [each.status.is_unset for each in applied]
    place = frozenset({("castore.projection.name", "pokedex")})
    assert {place: 1} == recorded.measure("castore.projection.parked")
    assert 1 == recorded.measure("castore.projection.batch.lag")[place][0]
    assert {1, 0} == set(recorded.measure("castore.projection.parked_events").values())
    assert SECRET not in "".join(each.to_json() for each in recorded.spans)


async def test_pushes_that_share_a_commit(recorded: Recorded, notes: NoteStore) -> None:
    """The sizes of shared commits are measured, and add up to the pushes."""
    pushes = [notes.push_event(Noted(f"n{each}", 1, payload="milk")) for each in range(20)]
    await asyncio.gather(*pushes)
    ((commits, size),) = recorded.measure("castore.group_commit.size").values()
    assert 20 == size
    assert commits < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
async def test_a_forked_process(recorded: Recorded, notes: NoteStore, tmp_path: Path) -> None:
    """A forked process records its own spans."""
    await request(recorded, notes)
    path = tmp_path / "names"
    process = os.fork()
    if process == 0:
        try:
            asyncio.events._set_running_loop(None)
            asyncio.run(make_notes(InMemoryEventStorageAdapter()).get_events("n1"))
            path.write_text(recorded.names[-1])
        finally:
            os._exit(0)
    await asyncio.to_thread(os.waitpid, process, 0)
    assert "read NOTES" == path.read_text()
    assert "read NOTES" not in recorded.names
