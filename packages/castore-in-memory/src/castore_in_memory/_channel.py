"""The common part of the in-memory queue and the in-memory bus."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Self

from castore_core import MessageChannel, MessagePublishError, MessageRecord
from castore_in_memory._consumer import Consumer
from castore_in_memory._dead_letters import DeadLetterOffice
from castore_in_memory._delivery import (
    DeadLetter,
    DeadLetterHook,
    Handler,
    Letter,
    M,
    PendingMessage,
    Retries,
    Sleep,
    check_at_least,
    check_count,
)
from castore_in_memory._functions import check_function
from castore_in_memory._log import DeliveryLog
from castore_in_memory._tasks import settle

_MOST_NAMED = 10  # messages in the text of an error


class InMemoryMessageChannelAdapter(Generic[M]):
    """Takes messages, and hands each to the consumers that want it."""

    messaging_system: ClassVar[str] = "in_memory"
    _channel_class: ClassVar[type[Any]]

    def __init__(
        self,
        channel: MessageChannel[M],
        *,
        retry_attempts: int = 2,
        retry_delay: float = 0.1,
        retry_backoff_rate: float = 2.0,
        max_dead_letters: int = 1_000,
        on_dead_letter: DeadLetterHook | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        if not isinstance(channel, self._channel_class):
            expected = self._channel_class.__name__
            raise TypeError(f"{type(self).__name__} needs a {expected}, and got {channel!r}")
        check_function(sleep, "sleep", "seconds")
        check_count("max_dead_letters", max_dead_letters)
        if on_dead_letter is not None:
            check_function(on_dead_letter, "on_dead_letter", "dead_letter")
        self._channel = channel
        self._retries = Retries(retry_attempts, retry_delay, retry_backoff_rate, sleep)
        self._log = DeliveryLog(self)
        self._dead_letters = DeadLetterOffice(max_dead_letters, on_dead_letter, self._log)
        self._consumers: list[Consumer[M]] = []
        self._published = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._channel.message_channel_id!r})"

    @property
    def pending(self) -> list[PendingMessage]:
        """The messages that are neither handled by all nor dead letters, in their order."""
        letters = {each.number: each for consumer in self._consumers for each in consumer.letters}
        return [PendingMessage(each.open(), each.replay) for _, each in sorted(letters.items())]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The last dead letters, up to ``max_dead_letters``, the oldest first.

        It is the adapter's own list: remove the letters that you have dealt with.
        """
        return self._dead_letters.letters

    @property
    def dropped_dead_letters(self) -> int:
        """How many dead letters made room for later ones."""
        return self._dead_letters.dropped

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take a message, and return without waiting for those who handle it.

        Raises:
            MessagePublishError: the adapter is closed, or the body is not made of JSON values.
        """
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take several messages, and return without waiting for those who handle them.

        Raises:
            MessagePublishError: the adapter is closed, or a body is not made of JSON values. It
                names the messages that were not taken; all others were.
        """
        self._enter_loop()
        failures: list[tuple[MessageRecord, str]] = []
        for message in messages:
            try:
                self._take(message, replay=replay)
            except ValueError as error:
                failures.append((message, str(error)))
        self._wake()
        if failures:
            raise MessagePublishError(failures)

    async def join(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 its error says more
        """Wait until every message is handled or a dead letter, those published meanwhile too.

        Handlers go on when this is cancelled, or when the ``timeout``, in seconds, is over.

        Raises:
            TimeoutError: messages are left after the timeout. The text says which, and where each
                of them is.
            RuntimeError: messages are left that nobody handles, because there is no worker or the
                adapter is closed; or a worker or listener calls this, and would wait for itself.
            ValueError: the timeout is not 0 or more.
        """
        if timeout is not None:
            check_at_least(0, "timeout", timeout)
        self._enter_loop()
        self._refuse_handlers("join")
        clock = asyncio.get_running_loop().time
        end = None if timeout is None else clock() + timeout
        while tasks := self._wake():
            left = None if end is None else max(0.0, end - clock())
            await asyncio.wait(tasks, timeout=left)
            if end is not None and clock() >= end and self._is_busy():
                raise TimeoutError(f"after {timeout} s, {self._describe_rest()}")
        if count := len(self.pending):
            reason = "it is closed" if self._closed else "it has no worker"
            raise RuntimeError(f"{self!r} has {count} message(s) that nobody handles: {reason}")

    async def aclose(self, *, grace_period: float = 10.0) -> None:
        """Cancel the handlers, and wait until they are through. Other messages stay in `pending`.

        A handler may clean up, and a hook for dead letters may finish, within the ``grace_period``,
        in seconds. A handler that still runs then is logged, and left to itself: its message is
        pending until it ends. A hook is cancelled then.

        A cancellation, even one repeated at each await as by anyio, does not cut this short; it is
        raised at the end.

        A closed adapter takes no more messages. ``async with adapter`` opens it again, and goes on
        with the pending messages; a message that waited for its retry is tried at once.

        Raises:
            RuntimeError: a worker or listener calls this, and would wait for itself.
            ValueError: the grace period is not 0 or more.
        """
        check_at_least(0, "grace_period", grace_period)
        self._enter_loop()
        self._refuse_handlers("aclose")
        self._closed = True
        for each in self._consumers:
            each.close()
        try:
            await settle(self._tasks(), grace_period)
        finally:
            self._dead_letters.cancel()
            for each in self._consumers:
                each.log_left_behind(grace_period)

    async def __aenter__(self) -> Self:
        self._enter_loop()
        self._closed = False
        for each in self._consumers:
            each.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _attach(self) -> None:
        """Become the adapter of the channel, unless that would silence another one.

        Raises:
            RuntimeError: the channel has an adapter, which is not closed.
        """
        present = self._channel.message_channel_adapter
        if isinstance(present, InMemoryMessageChannelAdapter) and present._closed:
            present = None
        if present is not None:
            raise RuntimeError(
                f"{self._channel!r} already has an adapter, {present!r}, which would get no more "
                "messages: close it first, or set message_channel_adapter to replace it"
            )
        self._channel.message_channel_adapter = self

    def _add_consumer(
        self, handler: Handler[M] | None, wants: Callable[[MessageRecord], bool]
    ) -> Consumer[M]:
        consumer = Consumer(
            handler,
            channel=self._channel,
            wants=wants,
            retries=self._retries,
            bury=self._dead_letters.take,
            log=self._log,
        )
        consumer.is_closed = self._closed
        self._consumers.append(consumer)
        return consumer

    def _take(self, message: MessageRecord, *, replay: bool) -> None:
        if self._closed:
            raise ValueError(f"{self!r} is closed")
        self._published += 1
        letter = Letter.seal(self._published, message, replay=replay)
        for each in self._consumers:
            if each.wants(message):
                each.take(letter)

    def _wake(self) -> set[asyncio.Task[Any]]:
        for each in self._consumers:
            each.wake()
        return self._tasks()

    def _wake_if_running(self) -> None:
        try:
            self._enter_loop()
        except RuntimeError:
            return  # the next publish or join does it
        self._wake()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return self._dead_letters.tasks.union(*(each.tasks for each in self._consumers))

    def _is_busy(self) -> bool:
        return not all(each.done() for each in self._tasks())

    def _describe_rest(self) -> str:
        rest = [text for each in self._consumers for text in each.describe_letters()]
        if self._dead_letters.tasks:
            rest.append("on_dead_letter is running")
        text = "; ".join(rest[:_MOST_NAMED])
        more = f"; and {len(rest) - _MOST_NAMED} more" if len(rest) > _MOST_NAMED else ""
        return f"{self!r} has {len(self.pending)} message(s) left: {text}{more}"

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self!r} is at work in another event loop, which is running")
        self._loop = loop
        self._dead_letters.tasks.clear()
        for each in self._consumers:
            each.forget_tasks()

    def _refuse_handlers(self, method: str) -> None:
        if asyncio.current_task() in self._tasks():
            raise RuntimeError(f"a handler of {self!r} called {method}(), which waits for it")
