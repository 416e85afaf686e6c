"""What the in-memory queue and the in-memory bus have in common: all but who is told."""

import asyncio
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any, Generic, Self

from castore_core import MessageChannel, MessagePublishError, MessageRecord
from castore_in_memory._consumer import Consumer
from castore_in_memory._delivery import (
    DeadLetter,
    DeadLetterHook,
    Handler,
    Letter,
    M,
    PendingMessage,
    Retries,
    Sleep,
)


class InMemoryMessageChannelAdapter(Generic[M]):
    """Takes messages, and hands each to the consumers that want it."""

    def __init__(
        self,
        channel: MessageChannel[M],
        *,
        retry_attempts: int = 2,
        retry_delay: float = 30.0,
        retry_backoff_rate: float = 2.0,
        on_dead_letter: DeadLetterHook | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.dead_letters: list[DeadLetter] = []
        self._channel = channel
        self._retries = Retries(retry_attempts, retry_delay, retry_backoff_rate, sleep)
        self._on_dead_letter = on_dead_letter
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

    async def join(self) -> None:
        """Wait until every message is handled or a dead letter, those published meanwhile too.

        Raises:
            RuntimeError: messages are left that nobody handles, because there is no worker or the
                adapter is closed; or a worker or listener calls this, and would wait for itself.
        """
        self._enter_loop()
        self._refuse_handlers("join")
        self._wake()
        while tasks := self._tasks():
            await asyncio.wait(tasks)
        if left := len(self.pending):
            raise RuntimeError(f"{self!r} has {left} message(s) that nobody handles")

    async def aclose(self) -> None:
        """Cancel those who handle messages. Messages that are not handled stay in `pending`.

        A closed adapter takes no more messages. ``async with adapter`` opens it again, and goes on
        with what is pending; a message that waited for its retry is tried at once.

        Raises:
            RuntimeError: a worker or listener calls this, and would wait for itself.
        """
        self._enter_loop()
        self._refuse_handlers("aclose")
        self._closed = True
        while tasks := self._tasks():
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        self._enter_loop()
        self._closed = False
        self._wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _add_consumer(
        self, handler: Handler[M] | None, wants: Callable[[MessageRecord], bool]
    ) -> Consumer[M]:
        consumer = Consumer(
            handler, channel=self._channel, wants=wants, retries=self._retries, bury=self._bury
        )
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

    def _wake(self) -> None:
        if not self._closed:
            for each in self._consumers:
                each.wake()

    def _wake_if_running(self) -> None:
        try:
            self._enter_loop()
        except RuntimeError:
            return  # the next publish or join does it
        self._wake()

    async def _bury(self, dead_letter: DeadLetter) -> None:
        self.dead_letters.append(dead_letter)
        if self._on_dead_letter is None:
            return
        try:
            result = self._on_dead_letter(dead_letter)
            if isawaitable(result):
                await result
        except Exception as error:  # noqa: BLE001 nobody awaits the hook: the loop is told
            context = {"message": f"on_dead_letter of {self!r} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return {task for consumer in self._consumers for task in consumer.tasks}

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self!r} is at work in another event loop, which is running")
        self._loop = loop
        for each in self._consumers:
            each.forget_tasks()

    def _refuse_handlers(self, method: str) -> None:
        if asyncio.current_task() in self._tasks():
            raise RuntimeError(f"a handler of {self!r} called {method}(), which waits for it")
