"""The in-memory message queue."""

from typing import TypeVar, Unpack

from castore_core import MessageQueue
from castore_in_memory._channel import InMemoryMessageChannelAdapter
from castore_in_memory._delivery import DeliveryOptions, Handler, M

M1 = TypeVar("M1")


class InMemoryMessageQueueAdapter(InMemoryMessageChannelAdapter[M]):
    """Carries the messages of one queue to its one worker, within the process.

    The worker, ``worker(message, context)``, is a function or a coroutine function. It has one
    message at a time, in the order in which they were published, and a copy of its own. Without a
    worker, messages are kept until it is set.

    When the worker raises, the message is tried again after a while (see `DeliveryOptions`), with
    the messages of its aggregate waiting behind it and those of other aggregates going on, as in
    a FIFO queue of SQS. After the last retry it is a dead letter, in ``dead_letters``; so is, at
    once, a message that the queue cannot parse.

    Publishing does not wait for the worker; `join` does. An adapter works in one event loop at a
    time, and is not thread-safe. What is pending when a loop ends is kept, and goes on with the
    next publish or `join` in another one. A worker that is cancelled is run again for the same
    message: it is told each message at least once.

    Raises:
        ValueError: an option is out of its bounds.
    """

    def __init__(
        self,
        queue: MessageQueue[M],
        *,
        worker: Handler[M] | None = None,
        **options: Unpack[DeliveryOptions],
    ) -> None:
        super().__init__(queue, **options)
        self._consumer = self._add_consumer(worker, wants=lambda _: True)

    @staticmethod
    def attach_to(
        queue: MessageQueue[M1],
        *,
        worker: Handler[M1] | None = None,
        **options: Unpack[DeliveryOptions],
    ) -> "InMemoryMessageQueueAdapter[M1]":
        """Make an adapter for a queue, and set it as the adapter of that queue."""
        adapter = InMemoryMessageQueueAdapter(queue, worker=worker, **options)
        queue.message_channel_adapter = adapter
        return adapter

    @property
    def worker(self) -> Handler[M] | None:
        """Who handles the messages."""
        return self._consumer.handler

    @worker.setter
    def worker(self, worker: Handler[M] | None) -> None:
        self._consumer.handler = worker
        self._wake_if_running()
