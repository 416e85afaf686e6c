"""Event stores that write nothing for a while."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Generic, Self, overload

from castore_core import ConnectedEventStore, EventStore, MessageChannel
from castore_in_memory import InMemoryEventStorageAdapter
from castore_test_tools._mock import PublishedMessage
from castore_test_tools._recorded import RecordedMessageChannelAdapter, channel_of
from castore_test_tools._types import A, E, EventsOf


class MutedEventStore(Generic[E, A]):
    """An event store whose events are in memory, until `restore` or the end of the context."""

    def __init__(self, event_store: EventStore[E, A], initial_events: EventsOf[E] = ()) -> None:
        store_id = event_store.event_store_id
        records = [(store_id, event_store.event_to_record(each)) for each in initial_events]
        self.event_store = event_store
        self._undo = ExitStack()
        self._is_spent = False
        self._replace(event_store, "storage_adapter", InMemoryEventStorageAdapter(records))
        self._replace(event_store, "snapshots", None)  # which are of other events

    def restore(self) -> None:
        """Put back what was there before. A second time does nothing.

        Of stores that were muted twice, restore the last one first, as contexts do.
        """
        self._is_spent = True
        self._undo.close()

    def __enter__(self) -> Self:
        if self._is_spent:  # what is pushed from now on, or after the inner context, is written
            raise RuntimeError(f"{self.event_store!r} is muted for one context: mute it again")
        self._is_spent = True
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def _replace(self, owner: object, name: str, value: object) -> None:
        self._undo.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)


class MutedConnectedEventStore(MutedEventStore[E, A]):
    """A muted event store whose channel is muted too."""

    def __init__(
        self, event_store: ConnectedEventStore[E, A], initial_events: EventsOf[E] = ()
    ) -> None:
        channels = list(_find_channels(event_store))
        super().__init__(event_store, initial_events)
        adapters = [RecordedMessageChannelAdapter() for _ in channels]
        for channel, adapter in zip(channels, adapters, strict=True):
            self._replace(channel, "message_channel_adapter", adapter)
        self._channel = channels[0]
        self.channel_adapter: RecordedMessageChannelAdapter = adapters[0]

    @property
    def published(self) -> list[PublishedMessage[E, A]]:
        """The messages that were published while it was muted, in that order."""
        return self.channel_adapter.parse(self._channel)


@overload
def mute_event_store(
    event_store: ConnectedEventStore[E, A], initial_events: EventsOf[E] = ()
) -> MutedConnectedEventStore[E, A]: ...


@overload
def mute_event_store(
    event_store: EventStore[E, A], initial_events: EventsOf[E] = ()
) -> MutedEventStore[E, A]: ...


def mute_event_store(
    event_store: EventStore[E, A], initial_events: EventsOf[E] = ()
) -> MutedEventStore[E, A]:
    """Keep an event store from its storage: put one in memory in place of its adapter.

    It is the store itself that is muted, so that code that imported it is too::

        with mute_event_store(pokemons):
            await pokemons.push_event(appeared)

    The memory begins with ``initial_events``; what is pushed is seen by reads, until ``restore()``
    or the end of the context brings the adapter back. The channel of a connected store gets a
    `RecordedMessageChannelAdapter` for that time. Its snapshots are not used. ``on_event_pushed``
    is left as it is.

    Raises:
        EventAlreadyExistsError: two initial events have one version.
        ForeignEventError: an initial event is of a type that the store does not have.
    """
    if isinstance(event_store, ConnectedEventStore):
        return MutedConnectedEventStore(event_store, initial_events)
    return MutedEventStore(event_store, initial_events)


def _find_channels(event_store: EventStore) -> Iterator[MessageChannel]:
    while isinstance(event_store, ConnectedEventStore):
        yield channel_of(event_store)
        event_store = event_store.event_store
