"""Those who read aggregates from one table of DynamoDB, and the server without any of them."""

import asyncio
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from boto3.dynamodb.types import TypeDeserializer
from botocore.awsrequest import AWSPreparedRequest

from castore_dynamodb import DynamoDBEventStorageAdapter
from with_castore import make_store
from workload import STORE

NODE_SOURCE = Path(__file__).parent / "castore_node"
NODE_DIRECTORY = Path(__file__).parents[1] / ".services" / "castore_node"


class Reader(Protocol):
    """Somebody who loads aggregates."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        ...

    async def load(self, aggregate_id: str, times: int) -> int:
        """Load an aggregate so many times, one after the other, and return its version."""
        ...


class Boto3:
    """The bare client: all pages of a query, and `TypeDeserializer` for their items."""

    name = "boto3, TypeDeserializer"

    def __init__(self, client: Any, table_name: str) -> None:
        self._paginator = client.get_paginator("query")
        self._table_name = table_name

    async def load(self, aggregate_id: str, times: int) -> int:
        """Read the items, in the event loop's thread; there is no reducer."""
        version = 0
        for _ in range(times):
            version = int(self.read(aggregate_id)[-1]["version"])
        return version

    def read(self, aggregate_id: str) -> list[dict[str, Any]]:
        """Return the items in the order of their versions."""
        deserialize = TypeDeserializer().deserialize
        pages = self._paginator.paginate(
            TableName=self._table_name,
            KeyConditionExpression="aggregateId = :aggregateId",
            ExpressionAttributeValues={":aggregateId": {"S": f"{STORE}#{aggregate_id}"}},
            ConsistentRead=True,
        )
        return [
            {name: deserialize(value) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]


class Server:
    """The server alone: boto3's request once more, and an answer that nobody parses."""

    name = "the server alone"

    def __init__(self, client: Any, table_name: str) -> None:
        url: str = client.meta.endpoint_url
        self._client = client
        self._boto3 = Boto3(client, table_name)
        self._connection = HTTPConnection(urlsplit(url).netloc)
        self._requests: dict[str, tuple[AWSPreparedRequest, int]] = {}

    async def load(self, aggregate_id: str, times: int) -> int:
        """Send the request, and read the answer to its end."""
        if aggregate_id not in self._requests:
            self._requests[aggregate_id] = self._record(aggregate_id)
        request, version = self._requests[aggregate_id]
        assert isinstance(request.body, bytes)
        headers = dict(request.headers)
        for _ in range(times):
            self._connection.request("POST", "/", request.body, headers)
            self._connection.getresponse().read()
        return version

    def _record(self, aggregate_id: str) -> tuple[AWSPreparedRequest, int]:
        """Return the request of a load, and the version that it finds."""
        requests: list[AWSPreparedRequest] = []

        def keep(request: AWSPreparedRequest, **_: object) -> None:
            requests.append(request)

        events = self._client.meta.events
        events.register("before-send.dynamodb.Query", keep)
        items = self._boto3.read(aggregate_id)
        events.unregister("before-send.dynamodb.Query", keep)
        [request] = requests  # all that is loaded here is on one page of 1 MB
        return request, int(items[-1]["version"])


class Castore:
    """castore-dynamodb: typed events, and a frozen dataclass."""

    def __init__(self, kind: str, client: Any, table_name: str) -> None:
        self.name = f"castore, {kind}"
        self._store = make_store(DynamoDBEventStorageAdapter(client, table_name))

    async def load(self, aggregate_id: str, times: int) -> int:
        """Load the aggregate."""
        version = 0
        for _ in range(times):
            version = (await self._store.get_existing_aggregate(aggregate_id)).aggregate.version
        return version


class CastoreOnNode:
    """Castore 2.4.2 in a process of Node; the way there and back is in its time, once a turn."""

    name = "Castore 2.4.2 on Node"

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str, table_name: str) -> "CastoreOnNode":
        """Install it from npm beside the servers of tests, and run it."""
        shutil.copytree(NODE_SOURCE, NODE_DIRECTORY, dirs_exist_ok=True)
        install = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock")
        subprocess.run(install, cwd=NODE_DIRECTORY, check=True)  # noqa: ASYNC221 nothing else runs
        command = ("node", "--no-warnings", "peer.mjs", url, table_name, STORE)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, cwd=NODE_DIRECTORY, stdin=PIPE, stdout=PIPE
            )
        )

    async def load(self, aggregate_id: str, times: int) -> int:
        """Let it load the aggregate."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{aggregate_id} {times}\n".encode())
        return int(await self._process.stdout.readline())

    async def stop(self) -> None:
        """Let it end."""
        self._process.terminate()
        await self._process.wait()
