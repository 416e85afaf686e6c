"""Requests for messages, and when they fail."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from castore_aws import RetryPolicy
from castore_sqs import ReceiveFailed

Make = Callable[..., Any]


async def test_what_a_request_asks_for(make_fake_queue: Make, make_bench: Make) -> None:
    """For a long poll, and for what tells replays, attempts and groups."""
    queue = make_fake_queue()
    bench = make_bench(queue, concurrency=4, wait_time=3, visibility_timeout=7)

    async with bench.worker:
        await bench.until(lambda: queue.calls)

    assert {
        "QueueUrl": "https://sqs/queue",
        "MaxNumberOfMessages": 4,
        "WaitTimeSeconds": 3,
        "VisibilityTimeout": 7,
        "AttributeNames": ["ApproximateReceiveCount", "MessageGroupId"],
        "MessageAttributeNames": ["All"],
    } == queue.called("receive")[0]


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "AccessDenied"])
async def test_a_queue_that_may_not_be_read(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError], code: str
) -> None:
    """The worker does not begin."""
    queue = make_fake_queue()
    queue.script["receive"] = [make_error(code)]

    with pytest.raises(ClientError, match=code):
        await make_bench(queue).worker.run()


async def test_the_context_manager_raises_on_leaving(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """What ended the worker in the background is raised at last."""
    queue = make_fake_queue()
    queue.script["receive"] = [make_error("AccessDenied")]
    bench = make_bench(queue)

    with pytest.raises(ClientError, match="AccessDenied"):
        async with bench.worker:
            await bench.until(lambda: queue.calls)


async def test_the_end_in_the_background_is_logged_at_once(
    make_fake_queue: Make,
    make_bench: Make,
    make_error: Callable[..., ClientError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A web server that goes on for weeks has no other way to tell."""
    queue = make_fake_queue()
    queue.script["receive"] = [make_error("AccessDenied")]
    bench = make_bench(queue)

    with pytest.raises(ClientError, match="AccessDenied"):
        async with bench.worker:
            await bench.until(lambda: caplog.records)
    text = "SQSWorker('https://sqs/queue') ended, and handles nothing any more: AccessDenied"
    assert text in caplog.text


async def test_what_goes_away_is_waited_for_from_the_start(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """A queue that is throttled, full, down or out of reach is asked again and again."""
    queue = make_fake_queue()
    queue.put("a")
    out_of_reach = EndpointConnectionError(endpoint_url="https://sqs")
    queue.script["receive"] = [
        *[make_error("ThrottlingException")] * 3,
        *[make_error("KMS.ThrottlingException"), make_error("OverLimit", 403)],
        *[make_error("", 503)] * 5,
        *[out_of_reach] * 5,
    ]
    bench = make_bench(queue, retries=RetryPolicy(base_delay=0.001, max_delay=0.01))

    async with bench.worker:
        await bench.until_empty()

    reports = bench.told(ReceiveFailed)
    assert list(range(1, 16)) == [each.failures for each in reports]
    assert out_of_reach is reports[-1].error
    assert all(0 <= each.delay <= 0.01 for each in reports)


async def test_once_it_answered_every_error_is_waited_out(
    make_fake_queue: Make, make_bench: Make, make_error: Callable[..., ClientError]
) -> None:
    """Permissions and queues may come back; nobody restarts a worker at night."""
    queue = make_fake_queue()
    queue.put("a")
    bench = make_bench(queue, concurrency=1)

    async with bench.worker:
        await bench.until_empty()
        queue.script["receive"] = [make_error("AccessDenied")] * 3
        await bench.until(lambda: not queue.script["receive"])
        queue.put("b")
        await bench.until_empty()

    assert [1, 2, 3] == [each.failures for each in bench.told(ReceiveFailed)]


async def test_what_is_no_error_of_aws_is_raised(make_fake_queue: Make, make_bench: Make) -> None:
    """As when somebody closed the client; what is in flight is put down first."""
    queue = make_fake_queue()
    queue.put("a")
    bench = make_bench(queue, concurrency=1)

    run = asyncio.create_task(bench.worker.run())
    await bench.until_empty()
    queue.script["receive"] = [RuntimeError("session is closed")]
    with pytest.raises(RuntimeError, match="session is closed"):
        await run

    assert ["a"] == bench.ids()
