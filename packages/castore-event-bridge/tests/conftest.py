"""Clients of EventBridge: fakes that play a script, and real ones of the servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any, NamedTuple
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
    """A client of boto3 that takes all events, unless its script says otherwise.

    The script has, for each call, an error to raise, or what is answered.
    """

    def __init__(self, script: Sequence[object] = ()) -> None:
        self.meta = SimpleNamespace(
            service_model=SimpleNamespace(service_name="events"),
            config=SimpleNamespace(max_pool_connections=10),
        )
        self.script = list(script)
        self.calls: list[list[dict[str, Any]]] = []

    def _make_api_call(self, entries: list[dict[str, Any]]) -> Any:
        self.calls.append(entries)
        if not self.script:
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in entries]}
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def put_events(self, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 as boto3 has it
        """Put events."""
        return self._make_api_call(Entries)


class FakeAsyncClient(FakeClient):
    """The same of aioboto3: what the method returns is awaited."""

    async def _make_api_call(self, entries: list[dict[str, Any]]) -> Any:
        await asyncio.sleep(0)
        return super()._make_api_call(entries)


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, and fails, or refuses events, where it is told to."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.upstream = urlsplit(upstream).netloc
        self.url = "http://{}:{}".format(*self.server_address)
        self.is_broken = False
        self.refused: Sequence[str] = ()

    def break_down(self) -> None:
        """Fail each request from now on."""
        self.is_broken = True

    def refuse(self, aggregate_ids: Sequence[str]) -> None:
        """Refuse the events of these aggregates from now on."""
        self.refused = aggregate_ids

    def refuses(self, entry: Any) -> bool:
        """Tell whether an entry is refused."""
        return json.loads(entry["Detail"])["event"]["aggregateId"] in self.refused


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def proxy(self) -> Proxy:
        """The server."""
        assert isinstance(self.server, Proxy)
        return self.server

    def do_POST(self) -> None:
        entries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Entries"]
        if self.proxy.is_broken:
            self._answer(500, {"__type": "InternalException"})
            return
        taken = [each for each in entries if not self.proxy.refuses(each)]
        results = iter(self._forward(taken) if taken else [])
        refusal = {"ErrorCode": "NotAuthorizedForDetailTypeException", "ErrorMessage": "no"}
        answers = [next(results) if each in taken else refusal for each in entries]
        self._answer(200, {"FailedEntryCount": answers.count(refusal), "Entries": answers})

    def _forward(self, entries: Sequence[Any]) -> list[Any]:
        connection = HTTPConnection(self.proxy.upstream)
        names = "X-Amz-Target", "Content-Type", "Authorization"
        headers = {name: self.headers[name] for name in names}
        connection.request("POST", "/", json.dumps({"Entries": entries}), headers)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer["Entries"]

    def _answer(self, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""


class Outlet(NamedTuple):
    """A bus, and a queue that is the target of its rule."""

    event_bus_name: str
    queue_url: str
    sqs: Any

    def receive(self) -> list[Any]:
        """Return events that the queue got, and delete them there."""
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        for each in messages:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"]) for each in messages]


@pytest.fixture(params=["moto", "ministack"])
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give the URL of a server, of either kind."""
    return find_server(request.param)


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
        return ClientError(answer, "PutEvents")

    return make


@pytest.fixture(scope="session")
def sessions() -> tuple[boto3.Session, aioboto3.Session]:
    """Give sessions for all tests: each would load the description of a service anew."""
    return boto3.Session(**ACCOUNT), aioboto3.Session(**ACCOUNT)


@pytest.fixture
async def make_client(
    sessions: tuple[boto3.Session, aioboto3.Session],
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Give a function that makes a client of a kind (boto3 or aioboto3) of a server."""
    async with AsyncExitStack() as stack:

        async def make(kind: str, url: str, service: Any = "events") -> Any:
            config = AioConfig(
                retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
            )  # our own retries are under test
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
async def make_outlet(
    make_client: Callable[..., Awaitable[Any]],
) -> AsyncIterator[Callable[..., Awaitable[Outlet]]]:
    """Give a function that makes a bus whose rule, of a pattern, has a queue as its target."""
    with ExitStack() as stack:

        async def make(url: str, pattern: Any) -> Outlet:
            events, sqs = await make_client("boto3", url), await make_client("boto3", url, "sqs")
            name = f"bus-{uuid4()}"
            queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
            stack.callback(sqs.delete_queue, QueueUrl=queue_url)
            attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
            target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
            events.create_event_bus(Name=name)
            stack.callback(events.delete_event_bus, Name=name)
            events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
            stack.callback(events.delete_rule, Name=name, EventBusName=name)
            events.put_targets(Rule=name, EventBusName=name, Targets=[target])
            stack.callback(events.remove_targets, Rule=name, EventBusName=name, Ids=["queue"])
            return Outlet(name, queue_url, sqs)

        yield make
