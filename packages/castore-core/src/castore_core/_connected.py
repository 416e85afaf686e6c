"""The connected event store: an event store that tells what it pushed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

from typing_extensions import TypeVar

from castore_core._aggregate import A, Aggregate
from castore_core._channel import EventSource, MessageChannelAdapter
from castore_core._event import E, Event
from castore_core._group import raise_all, tell_beside
from castore_core._publish_order import Turn, get_publish_order
from castore_core._results import PushedEvent
from castore_core._snapshots import Snapshots
from castore_core._storage import EventStorageAdapter, joins_transaction
from castore_core._store import EventStore
from castore_core._store_snapshots import StoreSnapshots
from castore_core.errors import EventPublishError, TransactionNotPublishableError

E_contra = TypeVar("E_contra", bound=Event, contravariant=True)
A_contra = TypeVar("A_contra", bound=Aggregate, contravariant=True)


class PushedEventChannel(Protocol[E_contra, A_contra]):
    """A channel that can carry the events of a store: any of the six, if its sources match."""

    @property
    def message_channel_id(self) -> str:
        """The id of the channel."""
        ...

    @property
    def carries_state(self) -> bool:
        """Whether its messages hold the aggregate after the event."""
        ...

    def get_source_event_store(self, event_store_id: str) -> EventSource[Any, Any]:
        """Return a source of the channel."""
        ...

    def get_message_channel_adapter(self) -> MessageChannelAdapter:
        """Return the adapter of the channel."""
        ...

    async def publish_pushed_event(
        self, event_store_id: str, pushed_event: PushedEvent[E_contra, A_contra], /
    ) -> None:
        """Publish the message of an event that was pushed."""
        ...


class ConnectedEventStore(EventStore[E, A]):
    """An event store that publishes each event that it pushed, groups included.

    It has the definition, the storage adapter, the snapshots, the ``prepare_event`` and the
    ``on_event_pushed`` of the store that it connects; setting them here sets them there.

    Within this process, the events of an aggregate are published in the order in which their
    pushes began. One whose publish fails does not hold up the next.

    The event is stored before it is published: between the two, a crash loses the message. Several
    processes that push to an aggregate may publish in another order. Where either is not
    acceptable, let a relay read the events from the storage instead.

    Raises:
        MessageChannelEventStoreNotFoundError: the store is no source of the channel.
    """

    def __init__(
        self, event_store: EventStore[E, A], message_channel: PushedEventChannel[E, A]
    ) -> None:
        _check_channel(message_channel)
        message_channel.get_source_event_store(event_store.event_store_id)
        self.__dict__.update(vars(event_store))
        self.event_store = event_store
        self.message_channel = message_channel
        self._publish_order = get_publish_order(message_channel)

    @property
    def storage_adapter(self) -> EventStorageAdapter | None:
        """The storage adapter of the original store."""
        return self.event_store.storage_adapter

    @storage_adapter.setter
    def storage_adapter(self, storage_adapter: EventStorageAdapter | None) -> None:
        self.event_store.storage_adapter = storage_adapter

    @property
    def snapshots(self) -> Snapshots | None:
        """The snapshots of the original store."""
        return self.event_store.snapshots

    @snapshots.setter
    def snapshots(self, snapshots: Snapshots | None) -> None:
        self.event_store.snapshots = snapshots

    @property
    def prepare_event(self) -> Callable[[E], E] | None:
        """The hook of the original store: given each event that is pushed, before it is encoded."""
        return self.event_store.prepare_event

    @prepare_event.setter
    def prepare_event(self, prepare_event: Callable[[E], E] | None) -> None:
        self.event_store.prepare_event = prepare_event

    @property
    def on_event_pushed(self) -> Callable[[PushedEvent[E, A]], Awaitable[None]] | None:
        """The callback of the original store: awaited after each write."""
        return self.event_store.on_event_pushed

    @on_event_pushed.setter
    def on_event_pushed(
        self, on_event_pushed: Callable[[PushedEvent[E, A]], Awaitable[None]] | None
    ) -> None:
        self.event_store.on_event_pushed = on_event_pushed

    def using(
        self,
        storage_adapter: EventStorageAdapter,
        *,
        snapshots: Snapshots | None = None,  # noqa: ARG002 the parent's
    ) -> NoReturn:
        """Refuse another storage adapter, which may write what is undone later.

        Raises:
            TransactionNotPublishableError: the adapter joins a transaction of yours.
            TypeError: it is any other one.
        """
        if joins_transaction(storage_adapter):
            self._refuse_transaction()
        raise TypeError(
            f"{self!r} publishes what it pushes, also if a transaction undoes it later: call "
            f"using() of its event_store, and let a relay publish what {storage_adapter!r} stores"
        )

    def _get_ready_adapter(self) -> EventStorageAdapter:
        self.message_channel.get_message_channel_adapter()
        adapter = self.event_store._get_ready_adapter()
        if joins_transaction(adapter):
            self._refuse_transaction()
        return adapter

    def _get_snapshots(self) -> StoreSnapshots | None:
        return self.event_store._get_snapshots()

    def _refuse_transaction(self) -> NoReturn:
        raise TransactionNotPublishableError(self.event_store_id)

    def _take_turns(self, event: E) -> tuple[Turn, ...]:
        aggregate = self.event_store_id, event.aggregate_id
        own_turn = self._publish_order.take_turn(aggregate, event.version)
        return own_turn, *self.event_store._take_turns(event)

    async def _finish_push(
        self, pushed_event: PushedEvent[E, A], turns: Sequence[Turn]
    ) -> PushedEvent[E, A]:
        own_turn, *others = turns
        errors: list[Exception] = []
        try:
            await own_turn.wait()
            with own_turn.publishing():
                pushed_event = await self._publish(pushed_event)
        except EventPublishError as error:
            errors.append(error)
        finally:
            own_turn.end()
        try:
            pushed_event = await self.event_store._finish_push(pushed_event, others)
        except Exception as error:  # noqa: BLE001 raised with the one of the publish
            errors.append(error)
        except BaseException as error:
            tell_beside(error, errors)
            raise
        raise_all(errors)
        return pushed_event

    async def _publish(self, pushed_event: PushedEvent[E, A]) -> PushedEvent[E, A]:
        event = pushed_event.event
        try:
            if self.message_channel.carries_state and pushed_event.next_aggregate is None:
                loaded = await self.get_existing_aggregate(
                    event.aggregate_id, max_version=event.version
                )
                pushed_event = replace(pushed_event, next_aggregate=loaded.aggregate)
            await self.message_channel.publish_pushed_event(self.event_store_id, pushed_event)
        except Exception as error:
            raise EventPublishError(
                self.event_store_id, self.message_channel.message_channel_id, pushed_event
            ) from error
        return pushed_event


def _check_channel(message_channel: object) -> None:
    if isinstance(message_channel, type) or not hasattr(message_channel, "get_source_event_store"):
        raise TypeError(
            "message_channel is a queue or a bus, such as NotificationMessageQueue(...); not "
            f"{getattr(message_channel, '__qualname__', type(message_channel).__qualname__)}"
        )
