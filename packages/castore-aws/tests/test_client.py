"""One way to call both kinds of client."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from castore_aws import AWSClient, RetryPolicy

ClientFactory = Callable[..., Any]
ErrorFactory = Callable[..., ClientError]

AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)
request_id: ContextVar[str] = ContextVar("request_id")


async def test_a_call_returns_the_response(make_client: ClientFactory) -> None:
    """Parameters go to the method of that name as they are."""
    client = make_client([{"Attributes": 1}])

    assert await AWSClient(client, "dynamodb").call("put_item", {"Item": 7}) == {"Attributes": 1}
    assert [{"PutItem": {"Item": 7}}] == client.calls


async def test_a_boto3_client_does_not_hold_up_the_loop(make_sync_client: ClientFactory) -> None:
    """It is called in another thread."""
    client = make_sync_client()

    await AWSClient(client, "dynamodb").call("put_item", {})

    assert threading.current_thread() not in client.threads


async def test_an_aioboto3_client_is_awaited(make_async_client: ClientFactory) -> None:
    """It is called in the thread of the event loop."""
    client = make_async_client()

    await AWSClient(client, "dynamodb").call("put_item", {})

    assert [threading.current_thread()] == client.threads


async def test_as_many_calls_at_once_as_connections(make_sync_client: ClientFactory) -> None:
    """More would wait for a connection, or throw one away."""
    client = make_sync_client(connections=3)
    aws = AWSClient(client, "dynamodb")

    await asyncio.gather(*(aws.call("put_item", {}) for _ in range(12)))

    assert 12 == len(client.calls)
    assert client.most_under_way == 3


async def test_the_threads_of_a_client_are_shared(make_sync_client: ClientFactory) -> None:
    """Several adapters on one client have no more threads than one."""
    client = make_sync_client(connections=2)
    several = [AWSClient(client, "dynamodb") for _ in range(5)]

    await asyncio.gather(*(each.call("put_item", {}) for each in several))

    assert 2 == len(set(client.threads))


async def test_threads_end_with_their_client(make_sync_client: ClientFactory) -> None:
    """Nothing keeps them when the user's client is gone."""
    client = make_sync_client()
    await AWSClient(client, "dynamodb").call("put_item", {})
    (thread,) = client.threads
    del client
    gc.collect()

    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


async def test_the_context_goes_with_a_call(make_sync_client: ClientFactory) -> None:
    """Whoever traces calls of boto3 sees the context variables of the caller."""
    client = make_sync_client([lambda: {"seen": request_id.get()}])
    request_id.set("r1")

    assert {"seen": "r1"} == await AWSClient(client, "dynamodb").call("put_item", {})


@pytest.mark.parametrize(
    "client", [None, "dynamodb", SimpleNamespace(meta=None)], ids=["none", "text", "resource"]
)
def test_what_is_no_client_is_refused(client: Any) -> None:
    """The error says how to make one."""
    with pytest.raises(TypeError, match=r"boto3.client\('dynamodb'\)"):
        AWSClient(client, "dynamodb")


def test_a_class_is_no_client(make_client: ClientFactory) -> None:
    """The error names it, and says how to make a client."""
    kind: Any = make_client

    with pytest.raises(TypeError, match=rf"the class {kind.__name__}\. Make one with boto3.client"):
        AWSClient(kind, "dynamodb")


def test_what_is_no_client_is_not_quoted_at_length() -> None:
    """It may be anything."""
    with pytest.raises(TypeError) as caught:
        AWSClient(cast("Any", "x" * 10_000), "dynamodb")

    assert len(str(caught.value)) < 300


def test_a_client_of_another_service_is_refused(make_client: ClientFactory) -> None:
    """The error names both services."""
    with pytest.raises(TypeError, match="'sqs' is needed, and this is one of 'dynamodb'"):
        AWSClient(make_client(), "sqs")


async def test_what_is_retryable_is_tried_again(
    make_client: ClientFactory, make_error: ErrorFactory
) -> None:
    """Until it succeeds, with the same parameters."""
    client = make_client([make_error("ThrottlingException"), make_error("", 503), {"done": True}])

    response = await AWSClient(client, "dynamodb", retries=AT_ONCE).call("put_item", {"Item": 7})

    assert {"done": True} == response
    assert [{"PutItem": {"Item": 7}}] * 3 == client.calls


async def test_attempts_are_bounded(make_client: ClientFactory, make_error: ErrorFactory) -> None:
    """The last error is raised as it is."""
    errors = [make_error("ThrottlingException") for _ in range(9)]
    client = make_client(errors)

    with pytest.raises(ClientError) as caught:
        await AWSClient(client, "dynamodb", retries=AT_ONCE).call("put_item", {})

    assert errors[2] is caught.value
    assert 3 == len(client.calls)


async def test_other_errors_are_raised_at_once(
    make_client: ClientFactory, make_error: ErrorFactory
) -> None:
    """A call that AWS refused is not made again."""
    client = make_client([make_error("ValidationException")])

    with pytest.raises(ClientError, match="ValidationException"):
        await AWSClient(client, "dynamodb", retries=AT_ONCE).call("put_item", {})

    assert 1 == len(client.calls)


async def test_the_caller_says_what_is_retryable(
    make_client: ClientFactory, make_error: ErrorFactory
) -> None:
    """A conflict that goes away is known to the caller only."""
    client = make_client([make_error("TransactionConflictException"), {"done": True}])
    aws = AWSClient(client, "dynamodb", retries=AT_ONCE)

    response = await aws.call("put_item", {}, is_retryable=lambda error: "Conflict" in str(error))

    assert {"done": True} == response


async def test_a_cancelled_call_is_not_tried_again(
    make_client: ClientFactory, make_error: ErrorFactory
) -> None:
    """Cancelling ends a pause between attempts."""
    client = make_client([make_error("ThrottlingException")])
    patient = RetryPolicy(base_delay=600, max_delay=600)
    aws = AWSClient(client, "dynamodb", retries=patient)
    task = asyncio.ensure_future(aws.call("put_item", {}))
    await asyncio.sleep(0.2)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == len(client.calls)


FORKING = """
import asyncio, os
from castore_aws import AWSClient
import boto3

client = boto3.client(
    "dynamodb", endpoint_url=os.environ["URL"], region_name="eu-west-1",
    aws_access_key_id="key", aws_secret_access_key="secret",
)
aws = AWSClient(client, "dynamodb")
asyncio.run(aws.call("list_tables", {}))
child = os.fork()
if child == 0:
    asyncio.run(asyncio.wait_for(aws.call("list_tables", {}), 20))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.may_skip("a system without fork")
def test_a_forked_process_has_threads_of_its_own(find_server: Callable[[str], str]) -> None:
    """A child does not wait for the threads of its parent."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env={**os.environ, "URL": find_server("moto")},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
