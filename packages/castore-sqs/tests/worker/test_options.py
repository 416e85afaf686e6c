"""What a worker is made of."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import Any

import pytest

from castore_core import (
    NotificationMessageBus,
    NotificationMessageQueue,
    UndefinedMessageChannelAdapterError,
)
from castore_sqs import SQSHandler, SQSMessageQueueAdapter, SQSWorker
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
        {"retry_delay": True},
        {"retry_delay": "1"},
        {"grace_period": -1},
        {"grace_period": float("nan")},
        {"grace_period": float("inf")},
        {"grace_period": None},
        {"handler_timeout": 0},
        {"handler_timeout": -1},
        {"handler_timeout": 43_201},
        {"handler_timeout": float("nan")},
        {"handler_timeout": "300"},
        {"handler_timeout": True},
        {"concurrency": 2.5},
        {"concurrency": "10"},
        {"concurrency": True},
        {"batch_size": None},
        {"wait_time": 1.5},
        {"visibility_timeout": "30"},
    ],
    ids=repr,
)
def test_options_out_of_their_bounds(
    make_fake_queue: Make, make_bench: Make, options: dict[str, Any]
) -> None:
    """The error names the option, and shows the value."""
    [(name, value)] = options.items()
    with pytest.raises(ValueError, match=f"{name} .*{re.escape(repr(value))}"):
        make_bench(make_fake_queue(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"wait_time": 1, "visibility_timeout": 1, "retry_delay": 0, "grace_period": 0},
        {"wait_time": 20, "visibility_timeout": 43_200, "retry_delay": 43_200},
        {"concurrency": 1, "batch_size": 10, "receivers": 9, "retry_delay": double},
        {"handler_timeout": None, "grace_period": 0.5},
        {"handler_timeout": 43_200, "grace_period": 60},
    ],
)
def test_options_within_their_bounds(
    make_fake_queue: Make, make_bench: Make, options: dict[str, Any]
) -> None:
    """Bounds are inclusive."""
    assert "SQSWorker('https://sqs/queue')" == repr(make_bench(make_fake_queue(), **options).worker)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retries": 5}, "retries is no RetryPolicy: 5"),
        ({"on_report": "print"}, "on_report cannot be called: 'print'"),
    ],
    ids=repr,
)
def test_options_of_the_wrong_type(
    make_fake_queue: Make, make_bench: Make, options: dict[str, Any], text: str
) -> None:
    """The error says what is needed."""
    with pytest.raises(TypeError, match=re.escape(text)):
        make_bench(make_fake_queue(), **options)


class Handler:
    """A handler that is an object."""

    def __init__(self, name: str = "", *names: str) -> None:
        self.names = name, *names

    async def __call__(self, message: object, context: object) -> None:
        """Do nothing."""


async def generate(*_: object) -> AsyncIterator[None]:
    """Yield, where nobody iterates."""
    yield


def generate_now(*_: object) -> Iterator[None]:
    """Yield, where nobody iterates."""
    yield


async def handle_alone(message: object) -> None:
    """Take no context."""


class HandlerAlone:
    """An object that takes no context."""

    def __call__(self, message: object) -> None:
        """Do nothing."""


@wraps(handle_alone)
async def add_context(message: object, _: object) -> None:
    """Leave out the context, of which the decorated function knows nothing."""
    await handle_alone(message)


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (Handler, "the handler is the class Handler: give an instance of it, or a function"),
        ("handle", "the handler cannot be called: it is a str"),
        (None, "the handler cannot be called: it is a NoneType"),
        (generate, "the handler is a generator, whose body would never run: generate"),
        (generate_now, "the handler is a generator, whose body would never run: generate_now"),
        (partial(generate, 1), "the handler is a generator, whose body would never run: generate"),
        (handle_alone, "the handler does not take a message and its context: handle_alone"),
        (HandlerAlone(), "the handler does not take a message and its context: HandlerAlone.__ca"),
    ],
)
def test_what_cannot_be_a_handler(make_fake_queue: Make, handler: Any, text: str) -> None:
    """It is refused before it loses messages, or sends all to the dead-letter queue."""
    queue = make_fake_queue()
    adapter = SQSMessageQueueAdapter(queue, queue.url)
    channel = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))

    with pytest.raises(TypeError, match=re.escape(text)):
        SQSWorker(channel, handler, adapter=adapter)
    with pytest.raises(TypeError, match=re.escape(text)):
        SQSHandler(channel, handler)


def test_a_handler_whose_signature_does_not_tell(make_fake_queue: Make) -> None:
    """Functions written in C have none; a decorated function has that of its decorator."""
    queue = make_fake_queue()
    adapter = SQSMessageQueueAdapter(queue, queue.url)
    channel = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))
    handlers: list[Any] = [print, max, Handler(), add_context]

    assert all(SQSWorker(channel, each, adapter=adapter) for each in handlers)


def test_arguments_in_the_wrong_order(make_fake_queue: Make) -> None:
    """The error names the argument."""
    queue = make_fake_queue()
    adapter: Any = SQSMessageQueueAdapter(queue, queue.url)
    channel: Any = NotificationMessageQueue("QUEUE", source_event_stores=(pokemons,))

    with pytest.raises(TypeError, match="channel is no MessageChannel: SQSMessageQueueAdapter"):
        SQSWorker(adapter, handle)
    with pytest.raises(TypeError, match="adapter is no SQSMessageQueueAdapter: Notification"):
        SQSWorker(channel, handle, adapter=channel)
    with pytest.raises(TypeError, match="channel is no MessageChannel"):
        SQSHandler(adapter, handle)


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
