"""The in-memory message bus."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, TypeVar, Unpack, overload

from castore_core import (
    Aggregate,
    AggregateExistsMessage,
    AggregateExistsMessageBus,
    ChannelKind,
    Event,
    EventSource,
    MessageBus,
    MessageRecord,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_in_memory._channel import InMemoryMessageChannelAdapter
from castore_in_memory._delivery import DeliveryOptions, Handler, M, MessageContext
from castore_in_memory._functions import check_function

M1 = TypeVar("M1")
E = TypeVar("E", bound=Event)
A = TypeVar("A", bound=Aggregate)
R = TypeVar("R", bound=Awaitable[object] | None)


class Subscribe(Protocol[M1]):
    """Makes a function that takes certain messages a listener, and gives it back."""

    def __call__(
        self, listener: Callable[[M1, MessageContext], R], /
    ) -> Callable[[M1, MessageContext], R]:
        """Let the function listen."""
        ...


class InMemoryMessageBusAdapter(InMemoryMessageChannelAdapter[M]):
    """Tells the messages of one bus to any number of listeners, within the process.

    A listener, ``listener(message, context)``, is a function or a coroutine function that is
    registered with `on`. It is told the messages that are published from then on, one at a time,
    in the order in which they were published, each as a copy of its own. A message that nobody
    listens for is gone.

    When a listener raises, the message is tried again with that listener alone after a while (see
    `DeliveryOptions`), with the messages of its aggregate waiting behind it and all others going
    on; the other listeners notice nothing. After the last retry it is a dead letter, in
    ``dead_letters``, for that listener; so is, at once, a message that the bus cannot parse. The
    logger ``castore_in_memory`` has each failure, with ids and without values: a warning where a
    retry follows, and else an error.

    Publishing does not wait for the listeners; `join` does. Each attempt runs in a task of its own,
    with the context variables of the publisher. An adapter works in one event loop at a time, and
    is not thread-safe. Messages that are pending when a loop ends are kept, and go on with the
    next publish or `join` in another one. A listener that is cancelled by `aclose`, or by a loop
    that ends, is run again for the same message: it is told each message at least once.

    Raises:
        TypeError: the channel is not a bus.
        ValueError: an option is out of its bounds.
    """

    channel_kind: ClassVar[ChannelKind] = "bus"
    _channel_class = MessageBus

    def __init__(self, bus: MessageBus[M], **options: Unpack[DeliveryOptions]) -> None:
        super().__init__(bus, **options)

    @staticmethod
    def attach_to(
        bus: MessageBus[M1], **options: Unpack[DeliveryOptions]
    ) -> "InMemoryMessageBusAdapter[M1]":
        """Make an adapter for a bus, and set it as the adapter of that bus.

        It takes the place of an in-memory adapter that is closed. To replace any other one, set
        ``bus.message_channel_adapter`` yourself.

        Raises:
            RuntimeError: the bus has an adapter, whose listeners would get no more messages.
        """
        adapter = InMemoryMessageBusAdapter(bus, **options)
        adapter._attach()
        return adapter

    @overload
    def on(
        self, listener: Callable[[M, MessageContext], R], /
    ) -> Callable[[M, MessageContext], R]: ...

    @overload
    def on(self) -> Subscribe[M]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[AggregateExistsMessage]",
        *,
        event_store: EventSource[Any, Any],
    ) -> Subscribe[AggregateExistsMessage]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[NotificationMessage[Any]]",
        *,
        event_store: EventSource[E, Any],
    ) -> Subscribe[NotificationMessage[E]]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[NotificationMessage[Any]]",
        *,
        event_store: EventSource[Any, Any] | None = None,
        event_type: type[E],
    ) -> Subscribe[NotificationMessage[E]]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[StateCarryingMessage[Any, Any]]",
        *,
        event_store: EventSource[E, A],
    ) -> Subscribe[StateCarryingMessage[E, A]]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[StateCarryingMessage[Any, A]]",
        *,
        event_type: type[E],
    ) -> Subscribe[StateCarryingMessage[E, A]]: ...

    @overload
    def on(
        self: "InMemoryMessageBusAdapter[StateCarryingMessage[Any, Any]]",
        *,
        event_store: EventSource[Any, A],
        event_type: type[E],
    ) -> Subscribe[StateCarryingMessage[E, A]]: ...

    def on(
        self,
        listener: Handler[Any] | None = None,
        *,
        event_store: EventSource[Any, Any] | None = None,
        event_type: type[Event] | None = None,
    ) -> Any:
        """Register a listener for all messages, or for those that pass the filters.

        ``event_store`` lets pass the messages of that store, ``event_type`` those whose event is
        of that class or of a subclass. Use it as a decorator, or as a function::

            @adapter.on
            async def log(message, context): ...

            @adapter.on(event_store=pokemons, event_type=PokemonCaught)
            async def congratulate(message, context): ...

            adapter.on(event_type=PokemonCaught)(congratulate)

        A function that is registered twice is two listeners.

        Raises:
            MessageChannelEventStoreNotFoundError: the store is no source of the bus.
            TypeError: the listener is a class, a generator function, no function at all, or one
                that does not take a message and its context; or the event type is no class.
            ValueError: no message of the bus can have an event of that type.
        """
        wants = self._make_filter(event_store, event_type)

        def subscribe(listener: Handler[Any]) -> Handler[Any]:
            _check_listener(listener)
            self._add_consumer(listener, wants)
            return listener

        return subscribe if listener is None else subscribe(listener)

    def _make_filter(
        self, event_store: EventSource[Any, Any] | None, event_type: type[Event] | None
    ) -> Callable[[MessageRecord], bool]:
        sources = self._channel.source_event_stores
        if event_store is not None:
            sources = (self._channel.get_source_event_store(event_store.event_store_id),)
        if event_type is None:
            store_ids = {each.event_store_id for each in sources}
            return lambda message: message.event_store_id in store_ids
        kinds = {
            (source.event_store_id, each.type)
            for source in sources
            for each in source.event_types
            if _is_subclass(each, event_type)
        }
        if not kinds or isinstance(self._channel, AggregateExistsMessageBus):
            raise ValueError(f"{self!r} has no messages with a {event_type.__name__}")
        return lambda message: (message.event_store_id, message.type) in kinds


def _check_listener(listener: object) -> None:
    if _is_event_class(listener):
        raise TypeError(f"a class of events is no listener: write on(event_type={listener!r})")
    check_function(listener, "listener", "message", "context")


def _is_event_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Event)


def _is_subclass(event_class: type[Event], event_type: object) -> bool:
    if not isinstance(event_type, type):
        raise TypeError(f"event_type is not a class of events: {event_type!r}")
    return issubclass(event_class, event_type)
