"""Queues of SQS keep the contract, on each server, through each kind of client."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any

import pytest

from castore_core import MessageChannel
from castore_sqs import SQSMessageQueueAdapter
from castore_sqs._headers import read_headers
from castore_test_tools import MessageChannelAdapterTests, ReceivedMessage

PATIENCE = 20  # seconds


class QueueHarness:
    """An adapter, and a consumer that deletes what it receives."""

    def __init__(self, adapter: SQSMessageQueueAdapter, consumer: Any) -> None:
        self.adapter = adapter
        self._consumer = consumer
        self._received: list[ReceivedMessage] = []

    async def receive(self, count: int) -> Sequence[ReceivedMessage]:
        """Return all messages, once there are so many and the queue is empty."""
        deadline = monotonic() + PATIENCE
        found = True
        while found or (len(self._received) < count and monotonic() < deadline):
            found = await asyncio.to_thread(self._receive)
        return self._received

    def _receive(self) -> bool:
        queue_url = self.adapter.queue_url
        answer = self._consumer.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        for each in messages:
            attributes = each["MessageAttributes"]
            replay = attributes.get("replay", {}).get("StringValue") == "1"
            headers = read_headers(attributes, "StringValue")
            self._received.append(ReceivedMessage(json.loads(each["Body"]), replay, headers))
            self._consumer.delete_message(QueueUrl=queue_url, ReceiptHandle=each["ReceiptHandle"])
        return bool(messages)


class SQSContract(MessageChannelAdapterTests):
    """A standard queue, and its fixtures."""

    keeps_order = False
    delivers_once = False
    carries_headers = True
    largest_payload = 1_000_000  # a message has 1,048,576 bytes, with its attributes
    integral_floats_stay_floats = False  # bodies are JSON as JavaScript writes it

    kind: str
    server: str
    fifo = False

    @pytest.fixture
    def proxy(
        self,
        request: pytest.FixtureRequest,
        make_proxy: Callable[[str], Any],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return what is between the client and the server, where messages are to be refused."""
        if "refuse_messages" not in request.fixturenames:
            return None
        return make_proxy(find_server(self.server))

    @pytest.fixture
    async def consumer(
        self, make_client: Callable[..., Awaitable[Any]], find_server: Callable[[str], str]
    ) -> Any:
        """Return a client of boto3, whatever the adapter has."""
        return await make_client("boto3", find_server(self.server))

    @pytest.fixture
    async def client(
        self,
        proxy: Any,
        make_client: Callable[..., Awaitable[Any]],
        find_server: Callable[[str], str],
    ) -> Any:
        """Return the client of all adapters of a test."""
        url = find_server(self.server) if proxy is None else proxy.url
        return await make_client(self.kind, url)

    @pytest.fixture
    def queue_url(self, consumer: Any, make_queue: Callable[..., str]) -> str:
        """Return the URL of a queue without messages."""
        return make_queue(consumer, fifo=self.fifo)

    @pytest.fixture
    def connect(
        self, client: Any, consumer: Any, queue_url: str
    ) -> Callable[[MessageChannel[Any]], QueueHarness]:
        """Connect an adapter and a consumer with the queue."""
        adapter = SQSMessageQueueAdapter(client, queue_url, self.fifo)
        return lambda _: QueueHarness(adapter, consumer)

    @pytest.fixture
    def connect_again(
        self, client: Any, queue_url: str
    ) -> Callable[[MessageChannel[Any]], SQSMessageQueueAdapter]:
        """Make adapters of the same queue, with the same client."""
        return lambda _: SQSMessageQueueAdapter(client, queue_url, self.fifo)

    @pytest.fixture
    def refuse_messages(self, proxy: Any) -> Callable[[Sequence[str]], None]:
        """Have the proxy refuse messages."""
        return proxy.refuse

    @pytest.fixture
    def break_backend(self, consumer: Any, queue_url: str) -> Callable[[], Any]:
        """Delete the queue behind the adapter's back."""
        return lambda: consumer.delete_queue(QueueUrl=queue_url)


class FIFOContract(SQSContract):
    """A FIFO queue."""

    keeps_order = True
    delivers_once = True
    keeps_repeats = False  # it takes a message once in five minutes
    fifo = True


class TestBoto3OnMinistack(SQSContract):
    """Through threads."""

    kind, server = "boto3", "ministack"


class TestAioboto3OnMinistack(SQSContract):
    """In the event loop."""

    kind, server = "aioboto3", "ministack"


class TestBoto3OnMoto(SQSContract):
    """A second opinion."""

    kind, server = "boto3", "moto"


class TestBoto3OnMinistackFIFO(FIFOContract):
    """Through threads."""

    kind, server = "boto3", "ministack"


class TestAioboto3OnMinistackFIFO(FIFOContract):
    """In the event loop."""

    kind, server = "aioboto3", "ministack"


class TestAioboto3OnMotoFIFO(FIFOContract):
    """A second opinion."""

    kind, server = "aioboto3", "moto"
