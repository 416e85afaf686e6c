"""A listener that calls handlers with the messages of a bus."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Protocol, Self, TypeVar, Unpack, overload

from castore_core import (
    Aggregate,
    AggregateExistsMessage,
    Event,
    EventSource,
    MessageBus,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_core.telemetry import Destination
from castore_core.workers import (
    Ending,
    HandlerCalls,
    HandlerFunction,
    Lifecycle,
    Tasks,
    check_seconds,
    handling,
)
from castore_redis._listener_reports import HandlerFailed
from castore_redis._listening import (
    ListenOptions,
    Received,
    Receiver,
    check_listen_options,
    get_adapter,
)
from castore_redis._wishes import Wish, make_wish

M = TypeVar("M")
M1 = TypeVar("M1")
E = TypeVar("E", bound=Event)
A = TypeVar("A", bound=Aggregate)
R = TypeVar("R", bound=Awaitable[object] | None)

_LAST_MOMENT: Final = 1.0  # seconds that a handler has to end once it is cancelled
_MARGIN: Final = 10.0  # seconds, to let connections go
_logger = logging.getLogger("castore_redis")


@dataclass(frozen=True)
class RedisBusContext:
    """The context of a message: the channel that it came on, and whether it is a replay."""

    channel: str
    replay: bool


class RegisterHandler(Protocol[M1]):
    """Makes a function that takes certain messages a handler, and gives it back."""

    def __call__(
        self, handler: Callable[[M1, RedisBusContext], R], /
    ) -> Callable[[M1, RedisBusContext], R]:
        """Let the function handle messages."""
        ...


class _Handler(NamedTuple):
    name: str
    function: HandlerFunction
    calls: HandlerCalls
    wish: Wish


class RedisBusListener(Generic[M]):
    """Calls handlers with the messages of a bus, as they are published.

    Register them with `on`, and run the listener as a context, or with `run`::

        listener = RedisBusListener(bus)

        @listener.on(event_types=[PokemonCaught])
        async def congratulate(message, context): ...

        async with listener:
            ...

    Handlers are called one at a time, in the order of the messages. One that raises is reported,
    and not called again with that message: Pub/Sub forgets, and so does a listener. A listener that
    has lost its connection connects again by itself, and reports `MessagesMissed`.

    Args:
        bus: has a `RedisMessageBusAdapter`.
        grace_period: seconds that a running handler may take to finish when the listener is
            stopped or cancelled. Then it is cancelled.
        **options: see `ListenOptions`.

    Raises:
        TypeError: the adapter of the bus is another one.
        UndefinedMessageChannelAdapterError: the bus has no adapter.
        ValueError: an option is out of its bounds.
    """

    def __init__(
        self, bus: MessageBus[M], *, grace_period: float = 20.0, **options: Unpack[ListenOptions]
    ) -> None:
        check_listen_options(options)
        check_seconds("grace_period", grace_period)
        get_adapter(bus)
        self._bus = bus
        self._grace_period = grace_period
        self._options = options
        self._handlers: list[_Handler] = []
        self._receiver: Receiver | None = None
        self._life = Lifecycle(
            self,
            [self._handle_all],
            is_stopping=asyncio.Event(),
            put_down=self._put_down,
            longest_end=grace_period + _MARGIN,
            logger=_logger,
        )

    def __repr__(self) -> str:
        return f"RedisBusListener({self._bus!r})"

    @overload
    def on(
        self, handler: Callable[[M, RedisBusContext], R], /
    ) -> Callable[[M, RedisBusContext], R]: ...

    @overload
    def on(self, *, replays: bool | None = None) -> RegisterHandler[M]: ...

    @overload
    def on(
        self: "RedisBusListener[AggregateExistsMessage]",
        *,
        event_stores: Iterable[EventSource[Any, Any]],
        replays: bool | None = None,
    ) -> RegisterHandler[AggregateExistsMessage]: ...

    @overload
    def on(
        self: "RedisBusListener[NotificationMessage[Any]]",
        *,
        event_stores: Iterable[EventSource[E, Any]],
        replays: bool | None = None,
    ) -> RegisterHandler[NotificationMessage[E]]: ...

    @overload
    def on(
        self: "RedisBusListener[NotificationMessage[Any]]",
        *,
        event_stores: Iterable[EventSource[Any, Any]] | None = None,
        event_types: Iterable[type[E]],
        replays: bool | None = None,
    ) -> RegisterHandler[NotificationMessage[E]]: ...

    @overload
    def on(
        self: "RedisBusListener[StateCarryingMessage[Any, Any]]",
        *,
        event_stores: Iterable[EventSource[E, A]],
        replays: bool | None = None,
    ) -> RegisterHandler[StateCarryingMessage[E, A]]: ...

    @overload
    def on(
        self: "RedisBusListener[StateCarryingMessage[Any, A]]",
        *,
        event_types: Iterable[type[E]],
        replays: bool | None = None,
    ) -> RegisterHandler[StateCarryingMessage[E, A]]: ...

    @overload
    def on(
        self: "RedisBusListener[StateCarryingMessage[Any, Any]]",
        *,
        event_stores: Iterable[EventSource[Any, A]],
        event_types: Iterable[type[E]],
        replays: bool | None = None,
    ) -> RegisterHandler[StateCarryingMessage[E, A]]: ...

    def on(
        self,
        handler: Callable[[Any, RedisBusContext], object] | None = None,
        *,
        event_stores: Iterable[EventSource[Any, Any]] | None = None,
        event_types: Iterable[type[Event]] | None = None,
        replays: bool | None = None,
    ) -> Any:
        """Register a handler for all messages, or for those that pass the filters of `listen`.

        A handler is a function of the message and a `RedisBusContext`: a coroutine function, or a
        plain one, which runs in a thread.

        Raises:
            MessageChannelEventStoreNotFoundError: a store is no source of the bus.
            RuntimeError: the listener runs already.
            TypeError: the handler is no function, or an event type is no class.
            ValueError: a filter is empty, or no message of the bus can have an event of a type.
        """
        wish = make_wish(self._bus, event_stores, event_types, replays=replays)

        def register(function: Callable[[Any, RedisBusContext], object]) -> Any:
            if self._receiver is not None:
                raise RuntimeError(f"{self!r} runs already: register handlers before")
            name = getattr(function, "__qualname__", type(function).__qualname__)
            handled_by = HandlerFunction(function)
            calls = HandlerCalls(handled_by, timeout=None, grace=_LAST_MOMENT)
            self._handlers.append(_Handler(name, handled_by, calls, wish))
            return function

        return register if handler is None else register(handler)

    async def run(self) -> None:
        """Handle messages until `stop` is called, or this is cancelled. A listener runs once.

        Either way, the handler that runs may finish within the ``grace_period``. Messages that it
        has not handled are forgotten. Further cancellations change nothing.

        Raises:
            RedisError, RedisClusterException, OSError: the server is not there, or refuses the
                subscription, at the beginning.
            RuntimeError: the listener has run already, or has no handlers.
        """
        await self._life.run()

    def stop(self) -> None:
        """Let `run` come to an end; called again, it changes nothing.

        Any thread may call it, and a signal handler too.
        """
        self._life.stop()

    async def __aenter__(self) -> Self:
        """Subscribe, return when the server has confirmed it, and run in the background.

        Raises:
            RedisError, RedisClusterException, OSError: the server is not there, or refuses it.
            RuntimeError: the listener has run already, or has no handlers.
        """
        await self._subscribe()
        self._life.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, wait for the end, and raise what `run` raised."""
        await self._life.join()

    async def _subscribe(self) -> Receiver:
        if self._receiver is not None:
            raise RuntimeError(f"{self!r} has run already: make another one")
        if not self._handlers:
            raise RuntimeError(f"{self!r} has no handlers")
        wishes = [each.wish for each in self._handlers]
        self._receiver = Receiver(self._bus, wishes, **self._options)
        await self._receiver.feed.start()
        return self._receiver

    async def _handle_all(self) -> None:
        receiver = self._receiver or await self._subscribe()
        while (received := await receiver.receive()) is not None:
            for each in self._handlers:
                if each.wish.wants(received.message, replay=received.replay):
                    await self._handle(each, received, receiver)

    async def _handle(self, handler: _Handler, received: Received, receiver: Receiver) -> None:
        context = RedisBusContext(received.channel, received.replay)
        destination = Destination(self._bus.message_channel_id, "redis")
        with handling(received.message):
            result = await handler.calls.handle(destination, received.message, context)
        if result.ending is Ending.RAISED and result.error is not None:
            report = HandlerFailed(handler.name, received.channel, received.message, result.error)
            receiver.reporter.tell(report)

    async def _put_down(self, tasks: Tasks) -> None:
        """Let the running handler finish, and the connections go."""
        if self._receiver is None:
            return
        self._receiver.feed.end()
        try:
            await asyncio.wait(tasks, timeout=self._grace_period)
            for each in self._handlers:
                each.calls.stop(_LAST_MOMENT)
            await asyncio.wait(tasks, timeout=2 * _LAST_MOMENT)
        finally:
            await self._receiver.feed.aclose()
            for each in self._handlers:
                each.function.close()
