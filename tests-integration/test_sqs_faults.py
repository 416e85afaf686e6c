"""Ten thousand messages by way of a server that fails all the time, in all the ways of SQS."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aioboto3
import pytest
from aiobotocore.config import AioConfig
from aiohttp import ClientSession, web

from castore_aws import RetryPolicy
from castore_core import NotificationMessage, NotificationMessageQueue
from castore_sqs import (
    MessageFailed,
    MessageUnreadable,
    ReceiveFailed,
    SQSMessageContext,
    SQSMessageQueueAdapter,
    SQSWorker,
    VisibilityLost,
    WorkerReport,
)
from pokemon import PokemonEvent, PokemonLeveledUp, pokemons

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
VERSIONS = range(2, 22)
AT_ONCE = 25  # so many aggregates are published together
LONGEST_BACKLOG = 500  # the servers take long to find a message among thousands

RETRIES = RetryPolicy(max_attempts=12, base_delay=0.01, max_delay=0.2)


class FaultyServer:
    """Passes requests on to a server of SQS, or not, or not as a whole, or without an answer.

    ``faults`` counts what it did; ``unanswered`` are the messages that the server took, and whose
    answer the client never got. Requests are passed on one after the other, and do not wait for
    messages: the threads of moto overwrite each other's changes.
    """

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.faults: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self._upstream = upstream
        self._random = random.Random(7)
        self._deck: list[str] = []
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def run(self) -> AsyncGenerator["FaultyServer", None]:
        """Listen while the context lasts."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*runner.addresses[0])
        async with ClientSession() as self._session:
            yield self
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
        body = await request.json()
        fault = self._choose_fault(action)
        self.faults[fault] += 1
        if fault == "throttled":
            return _answer(400, {"__type": "com.amazonaws.sqs#RequestThrottled"})
        if fault == "failed":
            return _answer(500, {"__type": "com.amazonaws.sqs#InternalFailure"})
        if action == "ReceiveMessage":
            body["WaitTimeSeconds"] = 0
        failed = self._take_out(body) if fault == "partial" else []
        status, answer = await self._forward(request, body)
        if action == "ReceiveMessage" and not answer.get("Messages"):
            await asyncio.sleep(0.02)
        if failed:
            answer["Failed"] = [*answer.get("Failed", ()), *failed]
        if fault == "dropped":
            self._drop(request, action, body)
        return _answer(status, answer)

    def _choose_fault(self, action: str) -> str:
        if not self._deck:
            self._deck = ["throttled", "failed", "dropped", *["partial"] * 4, *["none"] * 43]
            self._random.shuffle(self._deck)
        fault = self._deck.pop()
        return "none" if fault == "partial" and not action.endswith("Batch") else fault

    def _take_out(self, body: Any) -> list[dict[str, Any]]:
        """Take some entries out of a request, and return how they fail."""
        entries = body["Entries"]
        out = self._random.sample(entries, self._random.randint(1, len(entries)))
        body["Entries"] = [each for each in entries if each not in out]
        return [{"Id": each["Id"], "SenderFault": False, "Code": "InternalError"} for each in out]

    async def _forward(self, request: web.Request, body: Any) -> tuple[int, Any]:
        if body.get("Entries") == []:
            return 200, {"Successful": []}
        names = ("X-Amz-Target", "Content-Type", "Authorization")
        headers = {name: request.headers[name] for name in names}
        async with (
            self._turn,
            self._session.post(
                f"{self._upstream}/", data=json.dumps(body), headers=headers
            ) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if text else {}

    def _drop(self, request: web.Request, action: str, body: Any) -> None:
        if action == "SendMessageBatch":
            self.unanswered.update(each["MessageBody"] for each in body["Entries"])
        if request.transport is not None:
            request.transport.abort()


def _answer(status: int, answer: Any) -> web.Response:
    return web.json_response(answer, status=status, content_type="application/x-amz-json-1.0")


class Consumer:
    """Notes what it handles, in its order."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.handled: list[tuple[str, int]] = []
        self.times: Counter[tuple[str, int]] = Counter()
        self.copies: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        self.is_complete = asyncio.Event()

    async def handle(
        self, message: NotificationMessage[PokemonEvent], context: SQSMessageContext
    ) -> None:
        """Note a message."""
        key = message.event.aggregate_id, message.event.version
        self.handled.append(key)
        self.times[key] += 1
        self.copies[key].add(context.message_id)
        if len(self.times) == self.expected:
            self.is_complete.set()


@asynccontextmanager
async def create_queue(client: Any, *, fifo: bool) -> AsyncGenerator[str, None]:
    """Create a queue, and delete it."""
    name = f"faults-{uuid4()}" + (".fifo" if fifo else "")
    attributes = {"FifoQueue": "true"} if fifo else {}
    answer = await client.create_queue(QueueName=name, Attributes=attributes)
    try:
        yield answer["QueueUrl"]
    finally:
        await client.delete_queue(QueueUrl=answer["QueueUrl"])


async def publish(queue: NotificationMessageQueue[PokemonEvent], consumer: Consumer) -> None:
    """Publish all events of some pokemons, then of the next ones, not far ahead of the consumer."""
    for first in range(0, consumer.expected // len(VERSIONS), AT_ONCE):
        published = first * len(VERSIONS)
        while published - len(consumer.times) > LONGEST_BACKLOG:  # noqa: ASYNC110 it tells nobody
            await asyncio.sleep(0.005)
        await queue.publish_messages(
            NotificationMessage(
                "POKEMONS", PokemonLeveledUp(aggregate_id=f"p{each}", version=version)
            )
            for version in VERSIONS
            for each in range(first, first + AT_ONCE)
        )


async def publish_and_work_off(
    upstream: str, messages: int, *, fifo: bool
) -> tuple[FaultyServer, Consumer]:
    """Let publishers and a worker do all, and return what happened."""
    session = aioboto3.Session(**ACCOUNT)
    config = AioConfig(
        retries={"total_max_attempts": 1}, max_pool_connections=32, parameter_validation=False
    )
    consumer, reports = Consumer(messages), list[WorkerReport]()
    async with (
        session.client("sqs", endpoint_url=upstream) as admin,
        create_queue(admin, fifo=fifo) as queue_url,
        FaultyServer(upstream).run() as server,
        session.client("sqs", endpoint_url=server.url, config=config) as client,
    ):
        adapter = SQSMessageQueueAdapter(client, queue_url, fifo, retries=RETRIES)
        queue = NotificationMessageQueue(
            "QUEUE", source_event_stores=(pokemons,), message_channel_adapter=adapter
        )
        worker = SQSWorker(
            queue,
            consumer.handle,
            concurrency=40,
            wait_time=1,
            visibility_timeout=4,
            retries=RETRIES,
            on_report=reports.append,
        )
        async with worker:
            await publish(queue, consumer)
            await consumer.is_complete.wait()
    kinds = Counter(type(each) for each in reports)
    assert kinds[ReceiveFailed]
    assert 0 == kinds[MessageFailed] + kinds[MessageUnreadable] + kinds[VisibilityLost]
    assert {"none", "throttled", "failed", "dropped", "partial"} == set(server.faults)
    return server, consumer


@pytest.mark.parametrize(
    ("server", "messages"),
    [
        ("ministack", 10_000),
        ("moto", 500),  # it takes 25 ms for each request
    ],
)
async def test_a_standard_queue(
    find_server: Callable[[str], str], server: str, messages: int
) -> None:
    """None is lost; some come twice, of those whose answer to the publisher was lost."""
    faulty, consumer = await publish_and_work_off(find_server(server), messages, fifo=False)

    assert messages == len(consumer.times)
    published_twice = {key for key, copies in consumer.copies.items() if len(copies) > 1}
    unanswered = {
        (event["aggregateId"], event["version"])
        for event in (json.loads(body)["event"] for body in faulty.unanswered)
    }
    assert unanswered or messages < 10_000
    assert published_twice <= unanswered
    assert all(consumer.times[key] == len(copies) for key, copies in consumer.copies.items())


async def test_a_fifo_queue(find_server: Callable[[str], str]) -> None:
    """None is lost, none comes twice, and each aggregate keeps its order.

    On ministack: moto forgets what it has to take only once as soon as that is deleted.
    """
    messages = 3_000
    server, consumer = await publish_and_work_off(find_server("ministack"), messages, fifo=True)

    assert server.unanswered
    assert messages == len(consumer.handled) == len(consumer.times)
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for aggregate_id, version in consumer.handled:
        versions[aggregate_id].append(version)
    assert messages == len(VERSIONS) * len(versions)
    assert all(list(VERSIONS) == each for each in versions.values())
