"""Event stores that stand in for others, with events in memory."""

from types import new_class
from typing import Any, TypeAlias, TypeVar, cast, overload

from castore_core import (
    AggregateExistsMessage,
    ConnectedEventStore,
    EventStore,
    MessageChannel,
    NotificationMessage,
    StateCarryingMessage,
)
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools._recorded import RecordedMessageChannelAdapter, channel_of
from castore_test_tools._types import A, E, EventsOf

PublishedMessage: TypeAlias = (
    AggregateExistsMessage | NotificationMessage[E] | StateCarryingMessage[E, A]
)
"""A message that a connected store publishes, of the kind that its channel has."""


M = TypeVar("M", bound=EventStore)


class MockEventStore(EventStore[E, A]):
    """An event store with the definition of another, and with events in memory of its own.

    It begins with ``initial_events``, which may be those of several aggregates. It has the event
    types, reducer, ``prepare_event``, side effect, codec and upcasters of the other store, but
    neither its snapshots nor its ``on_event_pushed``, which would have effects outside of the test:
    set them where you need them. Mocks can be pushed to in one group.

    `mock_event_store` gives the mock of a subclass its methods and attributes too.

    Raises:
        EventAlreadyExistsError: two initial events have one version.
        ForeignEventError: an initial event is of a type that the store does not have.
    """

    def __init__(self, event_store: EventStore[E, A], initial_events: EventsOf[E] = ()) -> None:
        vars(self).update(vars(event_store))  # what a subclass has of its own
        EventStore.__init__(
            self,
            event_store.event_store_id,
            event_types=event_store.event_types,
            reduce=event_store.reduce,
            prepare_event=event_store.prepare_event,
            simulate_side_effect=event_store._simulate_side_effect,
            aggregate_codec=event_store.aggregate_codec,
            upcasters=event_store.upcasters,
            page_token_keys=event_store._page_tokens.keys,
        )
        self._initial_events = tuple(initial_events)
        self.reset()

    @property
    def initial_events(self) -> tuple[E, ...]:
        """The events that it begins with."""
        return self._initial_events

    def reset(self) -> None:
        """Go back to the initial events."""
        self.storage_adapter = InMemoryEventStorageAdapter(
            (self.event_store_id, self.event_to_record(each)) for each in self._initial_events
        )


class MockConnectedEventStore(ConnectedEventStore[E, A], MockEventStore[E, A]):
    """A mock that publishes what it pushed, as the store does that it stands in for.

    It publishes to a channel of the same definition, whose adapter is a
    `RecordedMessageChannelAdapter`; the channel of the other store hears nothing.

    Raises:
        TypeError: the channel of the other store is none of the channels of castore_core.
        EventAlreadyExistsError, ForeignEventError: as for a `MockEventStore`.
    """

    def __init__(
        self, event_store: ConnectedEventStore[E, A], initial_events: EventsOf[E] = ()
    ) -> None:
        mock = mock_event_store(event_store.event_store, initial_events)
        adapter = RecordedMessageChannelAdapter()
        channel: Any = _copy_channel(channel_of(event_store), mock, adapter)
        vars(self).update(vars(event_store))
        ConnectedEventStore.__init__(self, mock, channel)
        self._mock = mock
        self._channel_adapter = adapter

    @property
    def channel_adapter(self) -> RecordedMessageChannelAdapter:
        """Records what is published, tells replays, and can be told to fail."""
        return self._channel_adapter

    @property
    def published(self) -> list[PublishedMessage[E, A]]:
        """The messages that were published, in that order."""
        return self._channel_adapter.parse(channel_of(self))

    def reset(self) -> None:
        """Go back to the initial events, and forget what was published."""
        self._mock.reset()
        self._channel_adapter.clear()


@overload
def mock_event_store(
    event_store: ConnectedEventStore[E, A], initial_events: EventsOf[E] = ()
) -> MockConnectedEventStore[E, A]: ...


@overload
def mock_event_store(
    event_store: EventStore[E, A], initial_events: EventsOf[E] = ()
) -> MockEventStore[E, A]: ...


def mock_event_store(
    event_store: EventStore[E, A], initial_events: EventsOf[E] = ()
) -> MockEventStore[E, A]:
    """Return an event store that stands in for another: same definition, events in memory.

    The other store, its storage adapter and its channel are left alone. Of a connected store the
    mock is connected too, and remembers what it published. Of an object of a subclass it is one of
    that class as well, made without its ``__init__``: it has the same attributes.

    Raises:
        EventAlreadyExistsError: two initial events have one version.
        ForeignEventError: an initial event is of a type that the store does not have.
    """
    check_event_store(event_store)
    if isinstance(event_store, ConnectedEventStore):
        return _mock_class(MockConnectedEventStore, type(event_store))(event_store, initial_events)
    return _mock_class(MockEventStore, type(event_store))(event_store, initial_events)


def check_event_store(event_store: object) -> None:
    """Refuse what is no event store.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(event_store, EventStore):
        raise TypeError(f"not an event store: {event_store!r}")


def _mock_class(mock_class: type[M], store_class: Any) -> type[M]:
    """Return the class of a mock that is of the class of its store too."""
    if issubclass(mock_class, store_class):
        return mock_class
    made: Any = store_class
    if not issubclass(store_class, mock_class):
        made = new_class(f"Mock{store_class.__name__}", (mock_class, store_class))
    return cast("type[M]", made)


def _copy_channel(
    channel: MessageChannel, event_store: EventStore, adapter: RecordedMessageChannelAdapter
) -> MessageChannel:
    sources = [
        event_store if each.event_store_id == event_store.event_store_id else each
        for each in channel.source_event_stores
    ]
    return type(channel)(
        channel.message_channel_id, source_event_stores=sources, message_channel_adapter=adapter
    )
