"""Clients of SQS: fakes that play a script, and real ones of the servers of scripts/services."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aioboto3
import boto3
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

ACCOUNT: dict[str, Any] = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "key",
    "aws_secret_access_key": "secret",
}


class FakeClient:
    """A client of boto3 that takes all messages, unless its script says otherwise.

    The script has, for each call, an error to raise, or a function of the parameters.
    """

    def __init__(self, script: Sequence[object] = ()) -> None:
        self.meta = SimpleNamespace(
            service_model=SimpleNamespace(service_name="sqs"),
            config=SimpleNamespace(max_pool_connections=10),
        )
        self.script = list(script)
        self.calls: list[dict[str, Any]] = []

    def _make_api_call(self, parameters: dict[str, Any]) -> Any:
        self.calls.append(parameters)
        outcome: Any = self.script.pop(0) if self.script else _take
        if isinstance(outcome, Exception):
            raise outcome
        return outcome(parameters)

    def send_message(self, **parameters: Any) -> Any:
        """Send one message."""
        return self._make_api_call(parameters)

    def send_message_batch(self, **parameters: Any) -> Any:
        """Send several messages."""
        return self._make_api_call(parameters)


class FakeAsyncClient(FakeClient):
    """The same of aioboto3: what a method returns is awaited."""

    async def _make_api_call(self, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return super()._make_api_call(parameters)


def _take(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"Successful": [{"Id": each["Id"]} for each in parameters.get("Entries", ())]}


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, and refuses the messages of some aggregates itself."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.upstream = urlsplit(upstream).netloc
        self.url = "http://{}:{}".format(*self.server_address)
        self.refused: Sequence[str] = ()

    def refuse(self, aggregate_ids: Sequence[str]) -> None:
        """Refuse the messages of these aggregates from now on."""
        self.refused = aggregate_ids

    def refuses(self, message: Any) -> bool:
        """Tell whether a message, as a request has it, is refused."""
        return json.loads(message["MessageBody"])["event"]["aggregateId"] in self.refused


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def proxy(self) -> Proxy:
        """The server."""
        assert isinstance(self.server, Proxy)
        return self.server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
        if action == "SendMessageBatch":
            self._answer(*self._send_batch(request))
        elif action == "SendMessage" and self.proxy.refuses(request):
            self._answer(400, {"__type": "com.amazonaws.sqs#InvalidMessageContents"})
        else:
            self._answer(*self._forward(request))

    def _send_batch(self, request: Any) -> tuple[int, Any]:
        refused = [each for each in request["Entries"] if self.proxy.refuses(each)]
        request["Entries"] = [each for each in request["Entries"] if each not in refused]
        status, answer = self._forward(request) if request["Entries"] else (200, dict[str, Any]())
        answer["Failed"] = [
            {"Id": each["Id"], "SenderFault": True, "Code": "InvalidMessageContents"}
            for each in refused
        ]
        return status, answer

    def _forward(self, request: Any) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection(self.proxy.upstream)
        headers = {
            name: self.headers[name] for name in ("X-Amz-Target", "Content-Type", "Authorization")
        }
        connection.request("POST", "/", json.dumps(request), headers)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        connection.close()
        return response.status, answer

    def _answer(self, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""


@pytest.fixture(params=[FakeClient, FakeAsyncClient])
def make_fake_client(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give the class of a fake client, of either kind."""
    kind: Callable[..., Any] = request.param
    return kind


@pytest.fixture
def make_error() -> Callable[..., ClientError]:
    """Give a function that makes the error of an answer of AWS."""

    def make(code: str, message: str = "", status: int = 400) -> ClientError:
        answer: Any = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return ClientError(answer, "SendMessage")

    return make


@pytest.fixture(scope="session")
def sessions() -> tuple[boto3.Session, aioboto3.Session]:
    """Give sessions for all tests: each would load the description of SQS anew."""
    return boto3.Session(**ACCOUNT), aioboto3.Session(**ACCOUNT)


@pytest.fixture
async def make_client(
    sessions: tuple[boto3.Session, aioboto3.Session],
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a kind (boto3 or aioboto3) of a server."""
    async with AsyncExitStack() as stack:

        async def make(kind: str, url: str, service: Any = "sqs") -> Any:
            config = AioConfig(s3={"addressing_style": "path"})
            options: Any = {"endpoint_url": url, "config": config}
            session, aio_session = sessions
            if kind == "boto3":
                client: Any = session.client(service, **options)
                stack.callback(client.close)
                return client
            return await stack.enter_async_context(aio_session.client(service, **options))

        yield make


@pytest.fixture
def make_proxy() -> Iterator[Callable[[str], Proxy]]:
    """Give a function that runs a proxy of a server."""
    with ExitStack() as stack:

        def make(url: str) -> Proxy:
            proxy = Proxy(url)
            thread = Thread(target=proxy.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(proxy.server_close)
            stack.callback(thread.join)
            stack.callback(proxy.shutdown)
            return proxy

        yield make


@pytest.fixture
def make_queue() -> Iterator[Callable[..., str]]:
    """Give a function that creates a queue through a client of boto3, and returns its URL."""

    def drop(client: Any, url: str) -> None:
        with suppress(client.exceptions.QueueDoesNotExist):  # a test has deleted it
            client.delete_queue(QueueUrl=url)

    with ExitStack() as stack:

        def make(client: Any, *, fifo: bool) -> str:
            name, attributes = f"messages-{uuid4()}", {}
            if fifo:
                name, attributes = f"{name}.fifo", {"FifoQueue": "true"}
            url: str = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
            stack.callback(drop, client, url)
            return url

        yield make
