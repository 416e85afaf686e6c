"""A consumer: the one worker of a queue, or one of the listeners of a bus."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, Generic, TypeVar

from castore_core import MessageChannel, MessageRecord
from castore_core.telemetry import (
    Destination,
    Observation,
    describe_record_handling,
    installed,
)
from castore_core.workers import handling
from castore_in_memory._delivery import (
    DeadLetter,
    Handler,
    Letter,
    M,
    MessageContext,
    Retries,
    describe_message,
)
from castore_in_memory._functions import name_function
from castore_in_memory._lineup import Delivery, Lineup
from castore_in_memory._log import DeliveryLog
from castore_in_memory._tasks import call, complete, ends_task, get_outcome, is_cancelled

T = TypeVar("T")


class Consumer(Generic[M]):
    """Hands letters to one handler: one at a time, in order, and again after a failure.

    ``_open`` has each letter from the moment that it is taken until it is handled or buried. Its
    place in the lineup can be told anew from that, so nothing is lost with a task that is
    cancelled, or with an event loop that ends.

    Each attempt runs in a task of its own: a handler that cancels its task cancels no more than
    its attempt, which has failed then. The runner, which waits for the attempt, is cancelled only
    by `close`, or by an event loop that ends.
    """

    def __init__(
        self,
        handler: Handler[M] | None,
        *,
        channel: MessageChannel[M],
        wants: Callable[[MessageRecord], bool],
        retries: Retries,
        bury: Callable[[DeadLetter, Context], Awaitable[None]],
        log: DeliveryLog,
    ) -> None:
        self.handler = handler
        self.wants = wants
        self.is_closed = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self._channel = channel
        self._retries = retries
        self._bury = bury
        self._log = log
        self._open: dict[int, Delivery] = {}
        self._lineup = Lineup()
        self._runner: asyncio.Task[None] | None = None
        self._attempted: tuple[Delivery, Handler[M]] | None = None

    @property
    def letters(self) -> list[Letter]:
        """The letters that are neither handled nor buried."""
        return [each.letter for each in self._open.values()]

    def take(self, letter: Letter) -> None:
        """Keep a letter until it is handled or buried."""
        self._open[letter.number] = delivery = Delivery(letter)
        self._lineup.add(delivery)

    def wake(self) -> None:
        """Begin to handle the letters, unless that is going on, or there is no handler."""
        if self.is_closed or self.handler is None or not self._open:
            return
        if all(each.done() for each in self.tasks):
            self._lineup = Lineup(self._open.values())
        if self._runner is None or self._runner.done():
            self._runner = self._spawn(self._run(self._lineup))

    def close(self) -> None:
        """Cancel all tasks, and begin nothing until `open` is called."""
        self.is_closed = True
        for each in self.tasks:
            each.cancel()

    def open(self) -> None:
        """Go on with the letters, after a handler that still runs from before `close`."""
        self.is_closed = False
        if self._runner is not None and self._runner.cancelling():
            self._runner.add_done_callback(lambda _: self.wake())
        self.wake()

    def forget_tasks(self) -> None:
        """Leave the tasks of an event loop that is over."""
        self.tasks.clear()
        self._runner = self._attempted = None

    def describe_letters(self) -> Iterator[str]:
        """Tell of each letter which one it is, and where it is."""
        for each in self._open.values():
            yield f"{describe_message(each.letter.message)} {self._describe_state(each)}"

    def log_left_behind(self, grace_period: float) -> None:
        """Log the handler that still runs, if there is one."""
        if self._attempted is not None:
            delivery, handler = self._attempted
            self._log.left_behind(delivery.letter.message, handler, grace_period)

    def _describe_state(self, delivery: Delivery) -> str:
        name = "a worker" if self.handler is None else name_function(self.handler)
        attempt, retries = delivery.attempt, self._retries.attempts
        if self._attempted is not None and self._attempted[0] is delivery:
            return f"is handled by {name_function(self._attempted[1])}, attempt {attempt}"
        if attempt > 1:
            return f"waits for retry {attempt - 1} of {retries} by {name}"
        return f"waits for {name}"

    def _spawn(
        self, coroutine: Coroutine[Any, Any, T], context: Context | None = None
    ) -> asyncio.Task[T]:
        make = asyncio.get_running_loop().create_task
        task = make(coroutine) if context is None else context.run(make, coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _run(self, lineup: Lineup) -> None:
        await asyncio.sleep(0)  # whoever wakes the consumer goes on first, with eager tasks too
        while not is_cancelled() and self.handler is not None:
            delivery = lineup.pop()
            if delivery is None or not await self._deliver(delivery, self.handler, lineup):
                return

    async def _deliver(self, delivery: Delivery, handler: Handler[M], lineup: Lineup) -> bool:
        """Tell whether the runner may go on."""
        error = await self._attempt(delivery, handler)
        if error is None:
            self._open.pop(delivery.letter.number, None)
        elif ends_task(error):
            lineup.add(delivery)
            return False
        elif not delivery.is_readable:
            await self._give_up(delivery, handler, error, attempts=0)  # no retry helps a codec
        elif self._count_retries_left(delivery):
            self._retry(delivery, handler, lineup, error)
        else:
            await self._give_up(delivery, handler, error, attempts=delivery.attempt)
        return True

    async def _attempt(self, delivery: Delivery, handler: Handler[M]) -> BaseException | None:
        self._attempted = delivery, handler
        try:
            attempt = self._call(delivery, handler)
            return await get_outcome(self._spawn(attempt, delivery.letter.context))
        finally:
            self._attempted = None

    async def _call(self, delivery: Delivery, handler: Handler[M]) -> BaseException | None:
        if installed.telemetry is None:
            return await call(self._hand_out, delivery, handler)
        letter = delivery.letter
        destination = Destination(self._channel.message_channel_id, "in_memory")
        operation = describe_record_handling(
            destination, letter.message, attempt=delivery.attempt, replay=letter.replay
        )
        with Observation(operation):
            operation.error = await call(self._hand_out, delivery, handler)
        return operation.error

    async def _hand_out(self, delivery: Delivery, handler: Handler[M]) -> None:
        letter, retries_left = delivery.letter, self._count_retries_left(delivery)
        message = self._channel.parse_received_message(letter.open().body)
        delivery.is_readable = True
        if message is None:  # of a type that the channel skips
            return
        headers = {**letter.message.headers}
        context = MessageContext(delivery.attempt, retries_left, letter.replay, headers)
        with handling(message, is_apart=True):  # the context is the publisher's
            await complete(handler(message, context))

    def _retry(
        self, delivery: Delivery, handler: Handler[M], lineup: Lineup, error: BaseException
    ) -> None:
        attempt, retries_left = delivery.attempt, self._count_retries_left(delivery)
        delivery.attempt += 1
        if is_cancelled():
            lineup.add(delivery)
        else:
            lineup.hold(delivery)
            self._spawn(self._release_later(delivery, lineup))
        message = delivery.letter.message
        self._log.retry(message, handler, error, attempt=attempt, retries_left=retries_left)

    async def _release_later(self, delivery: Delivery, lineup: Lineup) -> None:
        try:
            await self._retries.wait_after(delivery.attempt - 1)
        except BaseException as error:
            if ends_task(error):
                raise
            self._log.sleep_failure(delivery.letter.message, error)
        finally:
            lineup.release(delivery)
        self.wake()

    async def _give_up(
        self, delivery: Delivery, handler: Handler[M], error: BaseException, *, attempts: int
    ) -> None:
        letter = delivery.letter
        self._open.pop(letter.number, None)
        dead_letter = DeadLetter(letter.open(), error, attempts, letter.replay, handler)
        await self._bury(dead_letter, letter.context)

    def _count_retries_left(self, delivery: Delivery) -> int:
        return self._retries.attempts + 1 - delivery.attempt
