"""What a worker is made of."""

from collections.abc import Callable
from typing import Any

import pytest

from castore_core import (
    NotificationMessageBus,
    NotificationMessageQueue,
    UndefinedMessageChannelAdapterError,
)
from castore_sqs import SQSMessageQueueAdapter, SQSWorker
from pokemon import pokemons

Make = Callable[..., Any]


class OtherAdapter:
    """Carries messages elsewhere."""

    async def publish_message(self, message: object, *, replay: bool = False) -> None:
        """Do nothing."""

    async def publish_messages(self, messages: object, *, replay: bool = False) -> None:
        """Do nothing."""


async def handle(*_: object) -> None:
    """Do nothing."""


def double(attempt: int) -> int:
    """Return a delay that grows."""
    return 2**attempt


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"batch_size": 0},
        {"batch_size": 11},
        {"receivers": 0},
        {"wait_time": 0},  # it would ask without a pause
        {"wait_time": 21},
        {"visibility_timeout": 0},
        {"visibility_timeout": 43_201},
        {"retry_delay": -1},
        {"retry_delay": 43_201},
        {"retry_delay": 0.5},
        {"grace_period": -1},
    ],
)
def test_options_out_of_their_bounds(
    make_fake_queue: Make, make_bench: Make, options: dict[str, Any]
) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        make_bench(make_fake_queue(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"wait_time": 1, "visibility_timeout": 1, "retry_delay": 0, "grace_period": 0},
        {"wait_time": 20, "visibility_timeout": 43_200, "retry_delay": 43_200},
        {"concurrency": 1, "batch_size": 10, "receivers": 9, "retry_delay": double},
    ],
)
def test_options_within_their_bounds(
    make_fake_queue: Make, make_bench: Make, options: dict[str, Any]
) -> None:
    """Bounds are inclusive."""
    assert "SQSWorker('https://sqs/queue')" == repr(make_bench(make_fake_queue(), **options).worker)


def test_a_client_with_too_few_connections(make_fake_queue: Make, make_bench: Make) -> None:
    """While all are waiting for messages, none could be deleted."""
    with pytest.raises(ValueError, match="max_pool_connections=2"):
        make_bench(make_fake_queue(connections=2), receivers=2)


def test_a_client_that_does_not_wait_so_long(make_fake_queue: Make, make_bench: Make) -> None:
    """It would give up on each request, and whatever that gets would be hidden."""
    with pytest.raises(ValueError, match="read_timeout=20"):
        make_bench(make_fake_queue(timeout=20), wait_time=20)
    assert make_bench(make_fake_queue(timeout=None), wait_time=20)


def test_the_adapter_of_the_channel_is_for_sqs(make_fake_queue: Make) -> None:
    """Another one is refused, unless an adapter is given."""
    bus = NotificationMessageBus(
        "BUS", source_event_stores=(pokemons,), message_channel_adapter=OtherAdapter()
    )
    queue = make_fake_queue()

    with pytest.raises(TypeError, match="give an adapter"):
        SQSWorker(bus, handle)
    worker = SQSWorker(bus, handle, adapter=SQSMessageQueueAdapter(queue, queue.url))
    assert "SQSWorker('https://sqs/queue')" == repr(worker)


def test_a_channel_without_adapter() -> None:
    """The error is that of the channel."""
    with pytest.raises(UndefinedMessageChannelAdapterError):
        SQSWorker(NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,)), handle)
