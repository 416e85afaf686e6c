"""A consumer: the one worker of a queue, or one of the listeners of a bus."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from heapq import heappop, heappush
from inspect import isawaitable
from typing import Any, Generic

from castore_core import MessageChannel, MessageRecord
from castore_in_memory._delivery import (
    DeadLetter,
    Handler,
    Letter,
    M,
    MessageContext,
    Retries,
)


@dataclass
class _Delivery:
    letter: Letter
    attempt: int = 1

    @property
    def aggregate(self) -> tuple[str, str]:
        return self.letter.message.event_store_id, self.letter.message.aggregate_id


class Consumer(Generic[M]):
    """Hands letters to one handler: one at a time, in order, and again after a failure.

    A letter that waits for its retry holds back those of its aggregate, and no others.

    ``_open`` has each letter from the moment that it is taken until it is handled or buried. What
    else is known of it (whether it is ``_ready``, or ``_held`` back) can be told anew from that,
    so nothing is lost with a task that is cancelled, or with an event loop that ends.
    """

    def __init__(
        self,
        handler: Handler[M] | None,
        *,
        channel: MessageChannel[M],
        wants: Callable[[MessageRecord], bool],
        retries: Retries,
        bury: Callable[[DeadLetter], Awaitable[None]],
    ) -> None:
        self.handler = handler
        self.wants = wants
        self.tasks: set[asyncio.Task[None]] = set()
        self._channel = channel
        self._retries = retries
        self._bury = bury
        self._open: dict[int, _Delivery] = {}
        self._ready: list[int] = []
        self._held: dict[tuple[str, str], list[int]] = {}
        self._runner: asyncio.Task[None] | None = None

    @property
    def letters(self) -> list[Letter]:
        """What is open."""
        return [each.letter for each in self._open.values()]

    def take(self, letter: Letter) -> None:
        """Keep a letter until it is handled or buried."""
        self._open[letter.number] = _Delivery(letter)
        heappush(self._ready, letter.number)

    def wake(self) -> None:
        """Begin to handle what is open, unless that is going on or there is no handler."""
        if self.handler is None or not self._open:
            return
        if all(each.done() for each in self.tasks):
            self._ready, self._held = sorted(self._open), {}
        if self._runner is None or self._runner.done():
            self._runner = self._spawn(self._run())

    def forget_tasks(self) -> None:
        """Leave the tasks of an event loop that is over."""
        self.tasks.clear()
        self._runner = None

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _run(self) -> None:
        await asyncio.sleep(0)  # whoever wakes the consumer goes on first, with eager tasks too
        while self._ready and self.handler is not None and not _is_cancelled():
            number = heappop(self._ready)
            delivery = self._open[number]
            held_back = self._held.get(delivery.aggregate)
            if held_back is not None:
                held_back.append(number)
                continue
            try:
                await self._deliver(delivery, self.handler)
            except BaseException:
                if number in self._open:
                    heappush(self._ready, number)
                raise

    async def _deliver(self, delivery: _Delivery, handler: Handler[M]) -> None:
        try:
            message = self._channel.parse_message(delivery.letter.open().body)
        except Exception as error:  # noqa: BLE001 a codec raises what it likes; no retry helps
            await self._give_up(delivery, handler, error, attempts=0)
        else:
            await self._attempt(delivery, handler, message)

    async def _attempt(self, delivery: _Delivery, handler: Handler[M], message: M) -> None:
        attempt, replay = delivery.attempt, delivery.letter.replay
        retries_left = self._retries.attempts + 1 - attempt
        try:
            result = handler(message, MessageContext(attempt, retries_left, replay))
            if isawaitable(result):
                await result
        except BaseException as error:
            if _ends_task(error):
                raise
            if retries_left:
                self._retry(delivery)
            else:
                await self._give_up(delivery, handler, error, attempts=attempt)
        else:
            del self._open[delivery.letter.number]

    def _retry(self, delivery: _Delivery) -> None:
        delivery.attempt += 1
        self._held[delivery.aggregate] = [delivery.letter.number]
        if not _is_cancelled():  # what is held back is told anew at the next wake
            self._spawn(self._release_later(delivery))

    async def _release_later(self, delivery: _Delivery) -> None:
        await self._retries.wait_after(delivery.attempt - 1)
        for number in self._held.pop(delivery.aggregate):
            heappush(self._ready, number)
        self.wake()

    async def _give_up(
        self, delivery: _Delivery, handler: Handler[M], error: BaseException, *, attempts: int
    ) -> None:
        letter = self._open.pop(delivery.letter.number).letter
        await self._bury(DeadLetter(letter.open(), error, attempts, letter.replay, handler))


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _ends_task(error: BaseException) -> bool:
    """Tell what goes through the task that runs a handler from what the handler failed with."""
    if isinstance(error, asyncio.CancelledError):
        return _is_cancelled()
    return isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))
