"""The in-memory message queue."""

from typing import ClassVar, TypeVar, Unpack

from castore_core import ChannelKind, MessageQueue
from castore_in_memory._channel import InMemoryMessageChannelAdapter
from castore_in_memory._delivery import DeliveryOptions, Handler, M
from castore_in_memory._functions import check_function

M1 = TypeVar("M1")


class InMemoryMessageQueueAdapter(InMemoryMessageChannelAdapter[M]):
    """Carries the messages of one queue to its one worker, within the process.

    The worker, ``worker(message, context)``, is a function or a coroutine function. It has one
    message at a time, in the order in which they were published, and a copy of its own. Without a
    worker, messages are kept until it is set.

    When the worker raises, the message is tried again after a while (see `DeliveryOptions`), with
    the messages of its aggregate waiting behind it and those of other aggregates going on, as in
    a FIFO queue of SQS. After the last retry it is a dead letter, in ``dead_letters``; so is, at
    once, a message that the queue cannot parse. The logger ``castore_in_memory`` has each failure,
    with ids and without values: a warning where a retry follows, and else an error.

    Publishing does not wait for the worker; `join` does. Each attempt runs in a task of its own,
    with the context variables of the publisher. An adapter works in one event loop at a time, and
    is not thread-safe. Messages that are pending when a loop ends are kept, and go on with the
    next publish or `join` in another one. A worker that is cancelled by `aclose`, or by a loop that
    ends, is run again for the same message: it is told each message at least once.

    Raises:
        TypeError: the channel is not a queue; or the worker is a class, a generator function, no
            function at all, or one that does not take a message and its context.
        ValueError: an option is out of its bounds.
    """

    channel_kind: ClassVar[ChannelKind] = "queue"
    _channel_class = MessageQueue

    def __init__(
        self,
        queue: MessageQueue[M],
        *,
        worker: Handler[M] | None = None,
        **options: Unpack[DeliveryOptions],
    ) -> None:
        super().__init__(queue, **options)
        _check_worker(worker)
        self._consumer = self._add_consumer(worker, wants=lambda _: True)

    @staticmethod
    def attach_to(
        queue: MessageQueue[M1],
        *,
        worker: Handler[M1] | None = None,
        **options: Unpack[DeliveryOptions],
    ) -> "InMemoryMessageQueueAdapter[M1]":
        """Make an adapter for a queue, and set it as the adapter of that queue.

        It takes the place of an in-memory adapter that is closed. To replace any other one, set
        ``queue.message_channel_adapter`` yourself.

        Raises:
            RuntimeError: the queue has an adapter, which would get no more messages.
        """
        adapter = InMemoryMessageQueueAdapter(queue, worker=worker, **options)
        adapter._attach()
        return adapter

    @property
    def worker(self) -> Handler[M] | None:
        """The function that handles the messages."""
        return self._consumer.handler

    @worker.setter
    def worker(self, worker: Handler[M] | None) -> None:
        _check_worker(worker)
        self._consumer.handler = worker
        self._wake_if_running()


def _check_worker(worker: object) -> None:
    if worker is not None:
        check_function(worker, "worker", "message", "context")
