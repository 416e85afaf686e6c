"""Times working off a queue: castore's worker beside the bare clients that do the same calls.

Run it with `uv run python benchmarks/sqs_worker.py`. It needs no server but its own.
"""

import asyncio
import json
import os
import platform
import sys
from argparse import ArgumentParser
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeAlias

import aioboto3
import boto3
from rich.console import Console

from castore_core import NotificationMessage, NotificationMessageQueue
from castore_in_memory import InMemoryEventStorageAdapter
from castore_sqs import SQSMessageQueueAdapter, SQSWorker
from measuring import Job, Measurement, Target, interleave
from report import print_environment, print_measurement, print_targets
from sqs_worker_stub import MOST_ENTRIES, running
from with_castore import make_event, make_store
from workload import make_id, make_payload

ACCOUNT: Mapping[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
PACKAGES = ("castore-sqs", "boto3", "aioboto3", "botocore", "aiohttp")
TURN = 500
"""How many messages are worked off in a turn."""

MOST = 1.15
"""How many times as long as the bare client castore may take."""

BASELINES = {
    "boto3": "boto3",
    "boto3, in threads": "boto3",
    "castore, boto3": "boto3",
    "aioboto3": "aioboto3",
    "aioboto3, parsing": "aioboto3",
    "castore, aioboto3": "aioboto3",
}
TARGETS = [
    Target("castore, boto3", "boto3", MOST),
    Target("castore, boto3", "boto3, in threads", MOST),
    Target("castore, aioboto3", "aioboto3", MOST),
    Target("castore, aioboto3", "aioboto3, parsing", MOST),
]
REPORT_WIDTH = 120

ORDERS = make_store(InMemoryEventStorageAdapter())
QUEUE = NotificationMessageQueue("ORDERS", source_event_stores=(ORDERS,))

Call: TypeAlias = Callable[..., Awaitable[Any]]


def main() -> None:
    """Print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often everybody has a turn")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    print_environment(console, _describe_environment())
    measurement = asyncio.run(_measure(options.rounds))
    print_measurement(console, measurement)
    print_targets(console, [measurement])


async def _measure(rounds: int) -> Measurement:
    bodies = [_make_body(number) for number in range(MOST_ENTRIES)]
    async with running(bodies) as url, _opened(url) as jobs:
        seconds = await interleave(jobs, rounds=rounds, operations=TURN)
    title = f"one of {TURN} messages a turn, received, handled and deleted"
    return Measurement("sqs worker", title, seconds, BASELINES, TARGETS)


def _make_body(number: int) -> str:
    event = make_event(make_id(f"order {number}"), 1, make_payload(number))
    message = NotificationMessage(ORDERS.event_store_id, event)
    return json.dumps(QUEUE.message_to_record(message).body)


@asynccontextmanager
async def _opened(url: str) -> AsyncGenerator[Mapping[str, Job], None]:
    """Give the work of everybody; each has a client of its own."""
    queue_url = f"{url}/000000000000/orders"
    options: Any = {"endpoint_url": url, **ACCOUNT}
    async with AsyncExitStack() as stack:
        session = aioboto3.Session()
        sync_clients: list[Any] = [boto3.client("sqs", **options) for _ in range(3)]
        for each in sync_clients:
            stack.callback(each.close)
        async_clients: list[Any] = [
            await stack.enter_async_context(session.client("sqs", **options)) for _ in range(3)
        ]
        here, threaded, of_castore = sync_clients
        yield {
            "boto3": _bare(here, queue_url, _call_here, json.loads),
            "boto3, in threads": _bare(threaded, queue_url, asyncio.to_thread, json.loads),
            "castore, boto3": _castore(of_castore, queue_url),
            "aioboto3": _bare(async_clients[0], queue_url, _await, json.loads),
            "aioboto3, parsing": _bare(async_clients[1], queue_url, _await, QUEUE.parse_message),
            "castore, aioboto3": _castore(async_clients[2], queue_url),
        }


async def _call_here(operation: Callable[..., Any], **parameters: Any) -> Any:
    return operation(**parameters)


async def _await(operation: Callable[..., Any], **parameters: Any) -> Any:
    return await operation(**parameters)


def _bare(client: Any, queue_url: str, call: Call, read: Callable[[str], object]) -> Job:
    """Receive ten, read them, delete ten, and so on."""

    async def work(_round: int) -> None:
        handled = 0
        while handled < TURN:
            answer = await call(
                client.receive_message,
                QueueUrl=queue_url,
                MaxNumberOfMessages=MOST_ENTRIES,
                WaitTimeSeconds=20,
                VisibilityTimeout=30,
                AttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
                MessageAttributeNames=["replay"],
            )
            for message in answer["Messages"]:
                read(message["Body"])
                handled += 1
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(answer["Messages"])
            ]
            await call(client.delete_message_batch, QueueUrl=queue_url, Entries=entries)

    return work


def _castore(client: Any, queue_url: str) -> Job:
    """Let a worker do it, with ten messages in hand as the others have."""

    async def work(_round: int) -> None:
        handled = 0

        async def handle(*_: object) -> None:
            nonlocal handled
            handled += 1
            if handled == TURN:
                worker.stop()

        adapter = SQSMessageQueueAdapter(client, queue_url)
        worker = SQSWorker(QUEUE, handle, adapter=adapter, concurrency=MOST_ENTRIES)
        await worker.run()

    return work


def _describe_environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "packages": {name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    main()
