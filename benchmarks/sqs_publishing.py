"""Times publishing to SQS in batches: castore beside the bare clients that do the same calls.

Run it with `uv run python benchmarks/sqs_publishing.py`, after `scripts/services start`.
"""

import asyncio
import os
import platform
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aioboto3
import boto3
from rich.console import Console

from measuring import Job, Measurement, Target, interleave
from report import print_environment, print_measurement, print_targets
from sqs_publishers import (
    QUEUE,
    Adapter,
    Aioboto3,
    Boto3,
    Boto3InThreads,
    Channel,
    Publisher,
    make_messages,
)
from sqs_stub import running

# Where tests look for it.
URL = os.environ.get("CASTORE_TEST_MINISTACK_URL", "http://127.0.0.1:4611")
ACCOUNT: Mapping[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}
PACKAGES = ("castore-sqs", "boto3", "aioboto3", "botocore", "aiohttp")
STUB = "stub"
BASELINES = {
    "boto3": "boto3",
    "boto3, in threads": "boto3",
    "castore's adapter, boto3": "boto3",
    "castore's channel, boto3": "boto3",
    "aioboto3": "aioboto3",
    "castore's adapter, aioboto3": "aioboto3",
    "castore's channel, aioboto3": "aioboto3",
}
IN_THREADS = {
    "castore's adapter, boto3": "boto3, in threads",
    "castore's channel, boto3": "boto3, in threads",
}
"""castore does not hold up the event loop either."""

TURN = 250
"""How many messages are sent in a turn: small turns, so that noise hits all alike."""

MOST = 1.15
"""How many times as long as the bare client castore may take."""

REPORT_WIDTH = 120


def main() -> None:
    """Print a table for each server."""
    options = _parse_options()
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    print_environment(console, _describe_environment())
    measurements = asyncio.run(_run(options))
    for each in measurements:
        print_measurement(console, each)
    print_targets(console, measurements)


async def _run(options: Namespace) -> list[Measurement]:
    async with running() as stub:
        return [
            await _measure(title, url, options)
            for title, url in ((STUB, stub), ("ministack", URL))
            if title in options.servers and _answers(url)
        ]


async def _measure(title: str, url: str, options: Namespace) -> Measurement:
    async with _opened(url, is_stub=title == STUB) as publishers:
        jobs = {each.name: _to_job(each) for each in publishers}
        rounds = options.messages // TURN
        seconds = await interleave(jobs, rounds=rounds, operations=TURN)
    targets = [
        Target(each, baseline, MOST)
        for each, baseline in (*BASELINES.items(), *IN_THREADS.items())
        if each.startswith("castore")
    ]
    return Measurement("sqs", f"one of {options.messages:,}, {title}", seconds, BASELINES, targets)


def _to_job(publisher: Publisher) -> Job:
    async def publish(_round: int) -> None:
        await publisher.publish()

    return publish


@asynccontextmanager
async def _opened(url: str, *, is_stub: bool) -> AsyncGenerator[Sequence[Publisher]]:
    """Give the publishers of one queue; each has a client of its own."""
    messages = make_messages(TURN)
    records = [QUEUE.message_to_record(each) for each in messages]
    options: Any = {"endpoint_url": url, **ACCOUNT}
    async with AsyncExitStack() as stack:
        session = aioboto3.Session()
        bare, *threaded = (boto3.client("sqs", **options) for _ in range(4))
        for each in (bare, *threaded):
            stack.callback(each.close)
        awaited = [
            await stack.enter_async_context(session.client("sqs", **options)) for _ in range(3)
        ]
        queue_url = f"{url}/000000000000/orders"
        if not is_stub:
            queue_url = bare.create_queue(QueueName=f"benchmark-{uuid4()}")["QueueUrl"]
            stack.callback(bare.delete_queue, QueueUrl=queue_url)
        yield [
            Boto3(bare, queue_url, records),
            Boto3InThreads(threaded[2], queue_url, records),
            Adapter("boto3", threaded[0], queue_url, records),
            Channel("boto3", threaded[1], queue_url, messages),
            Aioboto3(awaited[0], queue_url, records),
            Adapter("aioboto3", awaited[1], queue_url, records),
            Channel("aioboto3", awaited[2], queue_url, messages),
        ]


def _answers(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=5).close()
    except OSError:
        print(f"left out, because nothing answers at {url}: scripts/services start")
        return False
    return True


def _describe_environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "packages": {name: version(name) for name in PACKAGES},
    }


def _parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="how many everybody sends")
    parser.add_argument(
        "--only", dest="servers", action="append", choices=(STUB, "ministack"), help="one server"
    )
    options = parser.parse_args()
    options.servers = options.servers or [STUB, "ministack"]
    return options


if __name__ == "__main__":
    main()
