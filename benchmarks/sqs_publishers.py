"""Those who publish messages to SQS: the bare clients, and castore on them."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from castore_core import MessageRecord, NotificationMessage, NotificationMessageQueue
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sqs import SQSMessageQueueAdapter
from with_castore import OrderEvent, make_event, make_store
from workload import make_id, make_payload

BATCH = 10
ORDERS = make_store(InMemoryEventStorageAdapter())
QUEUE = NotificationMessageQueue("ORDERS", source_event_stores=(ORDERS,))


class Publisher(Protocol):
    """Somebody who publishes messages."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        ...

    async def publish(self) -> None:
        """Publish all messages."""
        ...


def make_messages(count: int) -> list[NotificationMessage[OrderEvent]]:
    """Return messages about events of many orders."""
    return [
        NotificationMessage(
            ORDERS.event_store_id, make_event(make_id(f"order {each}"), 1, make_payload(each))
        )
        for each in range(count)
    ]


class Boto3:
    """The bare client of boto3: the same requests, in the event loop's thread."""

    name = "boto3"

    def __init__(self, client: Any, queue_url: str, records: Sequence[MessageRecord]) -> None:
        self._client = client
        self._queue_url = queue_url
        self._records = records

    async def publish(self) -> None:
        """Send them."""
        for entries in make_batches(self._records):
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            assert len(answer["Successful"]) == len(entries)


class Boto3InThreads(Boto3):
    """The same, each request in a thread, so that the event loop goes on."""

    name = "boto3, in threads"

    async def publish(self) -> None:
        """Send them."""
        for entries in make_batches(self._records):
            send = partial(
                self._client.send_message_batch, QueueUrl=self._queue_url, Entries=entries
            )
            answer = await asyncio.to_thread(send)
            assert len(answer["Successful"]) == len(entries)


class Aioboto3(Boto3):
    """The bare client of aioboto3."""

    name = "aioboto3"

    async def publish(self) -> None:
        """Send them."""
        for entries in make_batches(self._records):
            answer = await self._client.send_message_batch(
                QueueUrl=self._queue_url, Entries=entries
            )
            assert len(answer["Successful"]) == len(entries)


def make_batches(records: Sequence[MessageRecord]) -> Iterator[list[dict[str, Any]]]:
    """Yield the entries of each request; writing the bodies takes part."""
    for first in range(0, len(records), BATCH):
        yield [
            {
                "Id": str(number),
                "MessageBody": json.dumps(each.body, ensure_ascii=False, separators=(",", ":")),
                "MessageAttributes": {
                    "messageId": {
                        "DataType": "String",
                        "StringValue": (
                            f"{each.event_store_id}#{each.aggregate_id}#{each.version}"
                        ),
                    }
                },
            }
            for number, each in enumerate(records[first : first + BATCH])
        ]


class Adapter:
    """castore's adapter, with records of messages."""

    def __init__(
        self, kind: str, client: Any, queue_url: str, records: Sequence[MessageRecord]
    ) -> None:
        self.name = f"castore's adapter, {kind}"
        self._adapter = SQSMessageQueueAdapter(client, queue_url)
        self._records = records

    async def publish(self) -> None:
        """Publish them."""
        await self._adapter.publish_messages(self._records)


class Channel:
    """castore's channel, with messages of events: it encodes them, and looks whether they fit."""

    def __init__(
        self,
        kind: str,
        client: Any,
        queue_url: str,
        messages: Sequence[NotificationMessage[OrderEvent]],
    ) -> None:
        self.name = f"castore's channel, {kind}"
        self._messages = messages
        self._queue = NotificationMessageQueue(
            "ORDERS",
            source_event_stores=(ORDERS,),
            message_channel_adapter=SQSMessageQueueAdapter(client, queue_url),
        )

    async def publish(self) -> None:
        """Publish them."""
        await self._queue.publish_messages(self._messages)
