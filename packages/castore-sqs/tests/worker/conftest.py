"""A queue of SQS that lives in the process, and workers on it."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from castore_aws import RetryPolicy
from castore_core import EventStore, NotificationMessage, NotificationMessageQueue
from castore_sqs import SQSMessageContext, SQSMessageQueueAdapter, SQSWorker, WorkerReport
from pokemon import pokemons


@dataclass(eq=False)
class Stored:
    """A message in the queue."""

    body: str
    group: str | None
    id: str = field(default_factory=lambda: uuid4().hex)
    handle: str = ""
    visible_at: float = 0.0
    receive_count: int = 0
    attempt_id: str | None = None


class FakeQueue:
    """A queue, and a client of aioboto3 to it; its messages are seen again as those of SQS.

    ``script`` has, for an operation, what its next calls do in place of what they should: an error
    is raised, a function of the parameters is called, and awaited.
    """

    def __init__(self, *, fifo: bool = False, connections: int = 10, timeout: float = 60) -> None:
        self.meta = SimpleNamespace(
            service_model=SimpleNamespace(service_name="sqs"),
            config=SimpleNamespace(max_pool_connections=connections, read_timeout=timeout),
        )
        self.url = "https://sqs/queue.fifo" if fifo else "https://sqs/queue"
        self.fifo = fifo
        self.messages: list[Stored] = []
        self.script: defaultdict[str, list[Any]] = defaultdict(list)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.most_hidden = 0
        self.patience = 0.05  # of the time to wait for messages

    def put(self, *aggregate_ids: str, version: int = 1) -> None:
        """Put messages about aggregates into the queue, which are the groups of a FIFO queue."""
        for each in aggregate_ids:
            event = {
                "aggregateId": each,
                "version": version,
                "type": "POKEMON_LEVELED_UP",
                "timestamp": "2024-05-01T10:00:00.000Z",
            }
            self.put_body(json.dumps({"eventStoreId": "POKEMONS", "event": event}), each)
            version += 1

    def put_body(self, body: str, group: str = "group") -> None:
        """Put a body into the queue."""
        self.messages.append(Stored(body, group if self.fifo else None))

    @property
    def visible(self) -> list[Stored]:
        """What may be received at this moment."""
        now = time.monotonic()
        hidden = {each.group for each in self.messages if each.visible_at > now} - {None}
        return [
            each for each in self.messages if each.visible_at <= now and each.group not in hidden
        ]

    def called(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of all calls of an operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    def receive_message(self, **parameters: Any) -> Any:
        """Receive messages."""
        return self._make_api_call("receive", parameters)

    def delete_message_batch(self, **parameters: Any) -> Any:
        """Delete messages."""
        return self._make_api_call("delete", parameters)

    def change_message_visibility_batch(self, **parameters: Any) -> Any:
        """Change when messages are seen again."""
        return self._make_api_call("hide", parameters)

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        self.calls.append((operation, parameters))
        await asyncio.sleep(0)
        if script := self.script[operation]:
            outcome = script.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return await outcome(parameters)
        if operation == "receive":
            return await self.receive(parameters)
        one_by_one = self.delete if operation == "delete" else self.hide
        return self.for_each(parameters, one_by_one)

    async def receive(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Wait for messages, and hand them out."""
        deadline = time.monotonic() + parameters["WaitTimeSeconds"] * self.patience
        while not (found := self.visible[: parameters["MaxNumberOfMessages"]]):
            if time.monotonic() >= deadline:
                return {}
            await asyncio.sleep(0.002)
        for each in found:
            each.handle = uuid4().hex
            each.visible_at = time.monotonic() + parameters["VisibilityTimeout"]
            each.receive_count += 1
        hidden = sum(each.visible_at > time.monotonic() for each in self.messages)
        self.most_hidden = max(self.most_hidden, hidden)
        return {"Messages": [_to_message(each) for each in found]}

    def for_each(
        self, parameters: dict[str, Any], change: Callable[[Stored, dict[str, Any]], object]
    ) -> dict[str, Any]:
        """Change what the entries of a request name, and tell which ones there are not."""
        by_handle = {each.handle: each for each in self.messages}
        failed: list[dict[str, Any]] = []
        for entry in parameters["Entries"]:
            stored = by_handle.get(entry["ReceiptHandle"])
            if stored is None:
                code = "ReceiptHandleIsInvalid"
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": code})
            else:
                change(stored, entry)
        return {"Failed": failed} if failed else {}

    def delete(self, stored: Stored, _: dict[str, Any]) -> None:
        """Delete a message."""
        self.messages.remove(stored)

    def hide(self, stored: Stored, entry: dict[str, Any]) -> None:
        """Set when a message is seen again."""
        stored.visible_at = time.monotonic() + entry["VisibilityTimeout"]


def _to_message(stored: Stored) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(stored.receive_count)}
    if stored.group is not None:
        attributes["MessageGroupId"] = stored.group
    return {
        "MessageId": stored.id,
        "ReceiptHandle": stored.handle,
        "Body": stored.body,
        "Attributes": attributes,
    }


class BlockingFakeQueue(FakeQueue):
    """The same as a client of boto3: its calls hold up the thread that makes them."""

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        return asyncio.run(super()._make_api_call(operation, parameters))


class Bench:
    """A worker on a fake queue, with all that it handled and told.

    A ``plain_handler`` is called by the worker itself, and noted nowhere. ``skip_unknown_types`` is
    that of the channel.
    """

    def __init__(
        self,
        queue: FakeQueue,
        handler: Any = None,
        *,
        plain_handler: Any = None,
        stores: Sequence[EventStore[Any, Any]] = (pokemons,),
        skip_unknown_types: bool = False,
        **options: Any,
    ) -> None:
        self.queue = queue
        self.handled: list[tuple[str, int]] = []
        self.reports: list[WorkerReport] = []
        self._handler = handler
        adapter = SQSMessageQueueAdapter(queue, queue.url, queue.fifo)
        channel = NotificationMessageQueue(
            "QUEUE",
            source_event_stores=stores,
            message_channel_adapter=adapter,
            skip_unknown_types=skip_unknown_types,
        )
        options = {
            "wait_time": 1,
            "retries": RetryPolicy(base_delay=0.01),
            "on_report": self.reports.append,
        } | options
        self.worker = SQSWorker(channel, plain_handler or self._handle, **options)

    async def _handle(self, message: NotificationMessage[Any], context: SQSMessageContext) -> None:
        if self._handler is not None:
            await self._handler(message.event, context)
        self.handled.append((message.event.aggregate_id, message.event.version))

    def told(self, kind: type[Any]) -> list[Any]:
        """Return the reports of a kind."""
        return [each for each in self.reports if isinstance(each, kind)]

    async def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        """Wait for a condition, and not for ever."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 the fake tells nobody
                await asyncio.sleep(0.002)

    async def until_empty(self) -> None:
        """Wait until the queue has no message."""
        await self.until(lambda: not self.queue.messages)

    def ids(self) -> list[str]:
        """Return the aggregates whose messages were handled."""
        return [aggregate_id for aggregate_id, _ in self.handled]


@pytest.fixture(scope="session")
def make_fake_queue() -> Callable[..., FakeQueue]:
    """Give the class of a queue with a client of aioboto3."""
    return FakeQueue


@pytest.fixture
def make_blocking_queue() -> Callable[..., FakeQueue]:
    """Give the class of a queue with a client of boto3."""
    return BlockingFakeQueue


@pytest.fixture(scope="session")
def make_bench() -> Callable[..., Bench]:
    """Give a function that makes a worker."""
    return Bench


@pytest.fixture
def make_error() -> Callable[..., ClientError]:
    """Give a function that makes the error of an answer of AWS."""

    def make(code: str, status: int = 400) -> ClientError:
        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(answer, "ReceiveMessage")

    return make
