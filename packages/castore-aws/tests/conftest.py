"""Clients of boto3 and aioboto3, real ones and fakes."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError


class FakeClient:
    """A client of boto3 whose only operation plays a script: results, and errors to raise.

    It notes the thread of each call, and how many calls were under way at once.
    """

    def __init__(self, script: Sequence[object] = (), connections: int = 10) -> None:
        self.meta = SimpleNamespace(
            service_model=SimpleNamespace(service_name="dynamodb"),
            config=SimpleNamespace(max_pool_connections=connections),
        )
        self.script = list(script)
        self.calls: list[dict[str, Any]] = []
        self.threads: list[threading.Thread] = []
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        with self._lock:
            self.calls.append({operation: parameters})
            self.threads.append(threading.current_thread())
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        threading.Event().wait(0.01)
        with self._lock:
            self.under_way -= 1
            outcome: Any = self.script.pop(0) if self.script else {}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome() if callable(outcome) else outcome

    def put_item(self, **parameters: Any) -> Any:
        """Make the call, as the methods of boto3 do that are made at run time."""
        return self._make_api_call("PutItem", parameters)


class FakeAsyncClient(FakeClient):
    """The same of aioboto3: the method is a plain one, and what it returns is awaited."""

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return super()._make_api_call(operation, parameters)


@pytest.fixture(params=[FakeClient, FakeAsyncClient])
def make_client(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give the class of a fake client, of either kind."""
    kind: Callable[..., Any] = request.param
    return kind


@pytest.fixture
def make_sync_client() -> Callable[..., Any]:
    """Give the class of a fake client of boto3."""
    return FakeClient


@pytest.fixture
def make_async_client() -> Callable[..., Any]:
    """Give the class of a fake client of aioboto3."""
    return FakeAsyncClient


@pytest.fixture
def make_error() -> Callable[..., ClientError]:
    """Give a function that makes the error of an answer of AWS."""

    def make(code: str, status: int = 400) -> ClientError:
        response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(response, "PutItem")

    return make
