"""Times loads of aggregates from a local DynamoDB: castore, Castore on Node, and bare boto3.

Run it with `uv run python benchmarks/dynamodb_reads.py`, after `scripts/services start`.
"""

import asyncio
import os
import platform
import socket
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aioboto3
import boto3
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from castore_core import EventStore
from castore_dynamodb import DynamoDBEventStorageAdapter, create_table, table_definition
from dynamodb_readers import Boto3, Castore, CastoreOnNode, Reader, Server
from measuring import Measurement, interleave
from report import format_ratio, format_time, print_environment
from with_castore import make_event, make_store
from workload import make_id, make_payload

# Where tests look for them; it is the faster one with reads, and closer to DynamoDB than moto.
URL = os.environ.get("CASTORE_TEST_MINISTACK_URL", "http://127.0.0.1:4611")
ACCOUNT: Mapping[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
    "endpoint_url": URL,
}
PACKAGES = ("castore-dynamodb", "boto3", "aioboto3", "botocore", "aiohttp")
LENGTHS = {10: 20, 100: 5, 1000: 1}
"""How many events an aggregate has, and how often it is loaded in a turn."""

GROUP = 100
BARE = Boto3.name
NODE = CastoreOnNode.name
REPORT_WIDTH = 120


def main() -> None:
    """Print two tables for each length: the whole time, and what is left without the server."""
    options = _parse_options()
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    _require_server()
    print_environment(console, _describe_environment())
    asyncio.run(_run(options.rounds, console))


async def _run(rounds: int, console: Console) -> None:
    ids = {length: make_id(f"load {length}") for length in LENGTHS}
    async with _opened(ids) as readers:
        for length, times in LENGTHS.items():
            jobs = {each.name: partial(_load, each, ids[length], length) for each in readers}
            seconds = await interleave(jobs, rounds=rounds, operations=times)
            whole = Measurement("dynamodb", f"load, {length:,} events", seconds, {})
            _print(console, whole)
            _print(console, _subtract_server(whole))


async def _load(reader: Reader, aggregate_id: str, length: int, _round: int) -> None:
    found = await reader.load(aggregate_id, LENGTHS[length])
    assert found == length


def _subtract_server(whole: Measurement) -> Measurement:
    server = whole.seconds[Server.name]
    seconds = {
        name: [each - alone for each, alone in zip(all_, server, strict=True)]
        for name, all_ in whole.seconds.items()
        if name != Server.name
    }
    return replace(whole, title=f"{whole.title}, less the server", seconds=seconds)


@asynccontextmanager
async def _opened(ids: Mapping[int, str]) -> AsyncGenerator[Sequence[Reader]]:
    """Give the readers of one table with the aggregates."""
    async with AsyncExitStack() as stack:
        # One each, so that nobody waits for another's connection.
        bare, threaded = (boto3.client("dynamodb", **ACCOUNT) for _ in range(2))
        stack.callback(bare.close)
        stack.callback(threaded.close)
        awaited = await stack.enter_async_context(aioboto3.Session().client("dynamodb", **ACCOUNT))
        table_name = f"benchmark-{uuid4()}"
        await create_table(bare, table_definition(table_name))
        stack.callback(bare.delete_table, TableName=table_name)
        await _fill(DynamoDBEventStorageAdapter(bare, table_name), ids)
        node = await CastoreOnNode.start(URL, table_name)
        stack.push_async_callback(node.stop)
        yield [
            Server(bare, table_name),
            Boto3(bare, table_name),
            Castore("boto3", threaded, table_name),
            Castore("aioboto3", awaited, table_name),
            node,
        ]


async def _fill(adapter: DynamoDBEventStorageAdapter, ids: Mapping[int, str]) -> None:
    store = make_store(adapter)
    for length, aggregate_id in ids.items():
        for first in range(1, length + 1, GROUP):
            versions = range(first, min(first + GROUP, length + 1))
            events = [make_event(aggregate_id, each, make_payload(each)) for each in versions]
            group = [store.group_event(each) for each in events]
            await EventStore.push_event_group(*group, force=True)  # without tokens, as Castore


def _print(console: Console, measurement: Measurement) -> None:
    table = Table(box=SIMPLE_HEAD, title=measurement.title, title_justify="left")
    table.add_column("", min_width=24)
    for name in ("time", "to boto3", "middle half", "to Castore", "middle half"):
        table.add_column(name, justify="right")
    for name in measurement.seconds:
        ratios = [format_ratio(measurement.get_ratio(name, to)) for to in (BARE, NODE)]
        time = format_time(measurement.get_spread(name).median)
        table.add_row(name, time, *ratios[0], *ratios[1])
    console.print(table)


def _require_server() -> None:
    place = urlsplit(URL)
    try:
        socket.create_connection((place.hostname, place.port), timeout=5).close()
    except OSError:
        sys.exit(f"ministack does not answer at {URL}: scripts/services start")


def _describe_environment() -> dict[str, object]:
    node = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True)
    return {
        "python": platform.python_version(),
        "node": node.stdout.strip(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "server": f"ministack at {URL}",
        "packages": {name: version(name) for name in PACKAGES},
    }


def _parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often everybody has a turn")
    return parser.parse_args()


if __name__ == "__main__":
    main()
