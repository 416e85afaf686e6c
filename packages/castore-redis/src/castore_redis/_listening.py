"""Listening to a bus: messages as an async iterator."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypedDict, TypeVar, Unpack, overload

from redis.asyncio import RedisCluster

from castore_core import (
    Aggregate,
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    Event,
    EventSource,
    MessageBus,
    NotificationMessage,
    NotificationMessageBus,
    StateCarryingMessage,
    StateCarryingMessageBus,
)
from castore_core.workers import Reporter, check_callable, check_seconds, check_whole
from castore_redis._bus import RedisMessageBusAdapter
from castore_redis._channels import is_replay
from castore_redis._feed import Feed
from castore_redis._listener_reports import ListenerHook, MessageNotRead, make_reporter
from castore_redis._wishes import Wish, make_subscriptions, make_wish

M = TypeVar("M")
E = TypeVar("E", bound=Event)
A = TypeVar("A", bound=Aggregate)


class ListenOptions(TypedDict, total=False):
    """How a listener listens.

    - ``buffer_size``: how many messages are kept that are still to be handled, 1 or more; 1,000 by
      default. While there are so many, nothing is read. The server then keeps what is published, up
      to its limit ``client-output-buffer-limit pubsub`` (32 MB, or 8 MB for a minute, by default).
      Over that, it closes the connection: the listener connects again, and reports that it may
      have missed messages.
    - ``ping_interval``: seconds of silence, more than 0, after which the server is asked whether it
      is there; 10 by default. After as many seconds without an answer, and 2 at least, the
      connection is lost.
    - ``on_report``: is called with each `ListenerReport`, for metrics, or to catch up with what was
      missed. It should not take long.
    """

    buffer_size: int
    ping_interval: float
    on_report: ListenerHook | None


class Received(NamedTuple):
    """A message that arrived."""

    message: Any
    channel: str
    replay: bool


class Receiver:
    """Receives and parses the messages of a bus that pass at least one wish."""

    def __init__(
        self,
        bus: MessageBus[Any],
        wishes: Sequence[Wish],
        *,
        buffer_size: int = 1_000,
        ping_interval: float = 10.0,
        on_report: ListenerHook | None = None,
    ) -> None:
        adapter = get_adapter(bus)
        subscriptions = make_subscriptions(
            bus,
            wishes,
            adapter.channel_prefix,
            has_patterns=not isinstance(adapter.redis, RedisCluster),
        )
        self._bus = bus
        self.reporter: Reporter = make_reporter(on_report)
        self.feed: Feed = Feed(
            adapter.redis,
            subscriptions,
            buffer_size=buffer_size,
            ping_interval=ping_interval,
            reporter=self.reporter,
        )

    async def receive(self) -> Received | None:
        """Return the next message, or ``None`` after the end."""
        while (arrival := await self.feed.receive()) is not None:
            try:
                message = self._bus.parse_received_message(arrival.body)
            except Exception as error:  # noqa: BLE001 reported; a codec may raise anything
                self.reporter.tell(MessageNotRead(arrival.channel, error))
                continue
            if message is not None:
                return Received(message, arrival.channel, is_replay(arrival.channel))
        return None


class RedisBusSubscription(Generic[M]):
    """The messages of a bus, from the moment of the subscription on: see `listen`.

    It is for one reader, and is used once.
    """

    def __init__(self, receiver: Receiver, wish: Wish) -> None:
        self._receiver = receiver
        self._wish = wish
        self._is_open = False
        self._is_used = False

    async def __aenter__(self) -> Self:
        """Subscribe, and return when the server has confirmed it.

        Raises:
            RedisError, RedisClusterException, OSError: the server is not there, or refuses it.
            RuntimeError: it was used before.
        """
        if self._is_used:
            raise RuntimeError("a subscription is used once: call listen() again")
        self._is_used = True
        await self._receiver.feed.start()
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the connection go, even if the task is cancelled again and again."""
        self._is_open = False
        await self._receiver.feed.aclose()

    async def __aiter__(self) -> AsyncGenerator[M]:
        """Return the messages as they come; subscribe before, unless that was done."""
        if self._is_open:
            async for each in self._iterate():
                yield each
        else:
            async with self:
                async for each in self._iterate():
                    yield each

    async def _iterate(self) -> AsyncGenerator[M]:
        while (received := await self._receiver.receive()) is not None:
            if self._wish.wants(received.message, replay=received.replay):
                yield received.message


@overload
def listen(
    bus: MessageBus[M], *, replays: bool | None = None, **options: Unpack[ListenOptions]
) -> RedisBusSubscription[M]: ...


@overload
def listen(
    bus: AggregateExistsMessageBus,
    *,
    event_stores: Iterable[EventSource[Any, Any]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[AggregateExistsMessage]: ...


@overload
def listen(
    bus: NotificationMessageBus[Any],
    *,
    event_stores: Iterable[EventSource[E, Any]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[NotificationMessage[E]]: ...


@overload
def listen(
    bus: NotificationMessageBus[Any],
    *,
    event_stores: Iterable[EventSource[Any, Any]] | None = None,
    event_types: Iterable[type[E]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[NotificationMessage[E]]: ...


@overload
def listen(
    bus: StateCarryingMessageBus[Any, Any],
    *,
    event_stores: Iterable[EventSource[E, A]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[StateCarryingMessage[E, A]]: ...


@overload
def listen(
    bus: StateCarryingMessageBus[Any, A],
    *,
    event_types: Iterable[type[E]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[StateCarryingMessage[E, A]]: ...


@overload
def listen(
    bus: StateCarryingMessageBus[Any, Any],
    *,
    event_stores: Iterable[EventSource[Any, A]],
    event_types: Iterable[type[E]],
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[StateCarryingMessage[E, A]]: ...


def listen(
    bus: MessageBus[Any],
    *,
    event_stores: Iterable[EventSource[Any, Any]] | None = None,
    event_types: Iterable[type[Event]] | None = None,
    replays: bool | None = None,
    **options: Unpack[ListenOptions],
) -> RedisBusSubscription[Any]:
    """Listen to a bus, through its `RedisMessageBusAdapter`.

    The messages come as an async iterator, typed by the bus and the filters::

        async with listen(bus, event_types=[PokemonCaught]) as messages:
            async for message in messages:
                ...

    The subscription holds from ``async with`` on; ``async for message in listen(bus)`` subscribes
    when it begins. A listener that has lost its connection connects again by itself, and reports
    `MessagesMissed`. It uses a connection of the client's for itself.

    The filters are those of the subscription: other messages are not sent to this process.
    ``event_stores`` are sources of the bus. ``event_types`` are classes of events, or bases of
    such; mypy infers one class only, so annotate a list of several: ``list[type[A | B]]``.
    ``replays`` lets pass only replays, or only other messages. Without ``event_types``, events of
    types that the bus does not know arrive too, and are reported as `MessageNotRead`, unless the
    bus has ``skip_unknown_types``; on a cluster they do not arrive.

    Raises:
        MessageChannelEventStoreNotFoundError: a store is no source of the bus.
        TypeError: the adapter of the bus is another one, an event type is no class, or
            ``on_report`` no function.
        UndefinedMessageChannelAdapterError: the bus has no adapter.
        ValueError: a filter is empty, no message of the bus can have an event of a type, or an
            option is out of its bounds.
    """
    check_listen_options(options)
    wish = make_wish(bus, event_stores, event_types, replays=replays)
    return RedisBusSubscription(Receiver(bus, [wish], **options), wish)


def get_adapter(bus: MessageBus[Any]) -> RedisMessageBusAdapter:
    """Return the adapter of a bus.

    Raises:
        TypeError: it is of another kind.
    """
    adapter = bus.get_message_channel_adapter()
    if not isinstance(adapter, RedisMessageBusAdapter):
        raise TypeError(f"{bus!r} has no adapter for Redis, but {adapter!r}")
    return adapter


def check_listen_options(options: ListenOptions) -> None:
    """Refuse options that are out of their bounds.

    Raises:
        TypeError, ValueError: names the option.
    """
    check_whole("buffer_size", options.get("buffer_size", 1), 1)
    interval = options.get("ping_interval", 1.0)
    check_seconds("ping_interval", interval)
    if interval == 0:
        raise ValueError("ping_interval is 0: the server would be asked without end")
    if (hook := options.get("on_report")) is not None:
        check_callable("on_report", hook)
