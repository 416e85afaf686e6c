"""Message channels for synchronous programs.

scripts/generate_sync.py writes this file.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

from castore_core._aggregate import A
from castore_core._channel import (
    EventSource,
    M,
    MessageChannel,
    MessageChannelAdapter,
    StateCarryingMessageChannel,
)
from castore_core._event import E
from castore_core._message import MessageRecord, NotificationMessage, StateCarryingMessage
from castore_core._record import EventRecord
from castore_core._results import PushedEvent
from castore_core._sync.event_loop import EventLoopThread
from castore_core._sync.facade import Facade


class SyncMessageChannel(Facade[MessageChannel[M]], Generic[M]):
    """A queue or a bus for synchronous programs."""

    def __init__(
        self,
        message_channel: MessageChannel[M],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(message_channel, event_loop=event_loop, timeout=timeout)

    @property
    def message_channel(self) -> MessageChannel[M]:
        """The asynchronous message channel."""
        return self._target

    @property
    def message_channel_id(self) -> str:
        """The ``message_channel_id`` of the message channel."""
        return self._target.message_channel_id

    @property
    def message_channel_adapter(self) -> MessageChannelAdapter | None:
        """The adapter that carries the messages."""
        return self._target.message_channel_adapter

    @message_channel_adapter.setter
    def message_channel_adapter(self, adapter: MessageChannelAdapter | None) -> None:
        self._target.message_channel_adapter = adapter

    def get_message_channel_adapter(self) -> MessageChannelAdapter:
        """Return the adapter.

        Raises:
            UndefinedMessageChannelAdapterError: there is none.
        """
        return self._target.get_message_channel_adapter()

    def get_source_event_store(self, event_store_id: str) -> EventSource[Any, Any]:
        """Return the source of that id.

        Raises:
            MessageChannelEventStoreNotFoundError: there is none.
        """
        return self._target.get_source_event_store(event_store_id)

    def publish_message(self, message: M, *, replay: bool = False) -> None:
        """Publish one message; ``replay`` tells consumers that they may have seen it before.

        Raises:
            MessagePublishError: the adapter could not hand it over.
        """
        return self._run(self._target.publish_message(message, replay=replay))

    def publish_messages(self, messages: Iterable[M], *, replay: bool = False) -> None:
        """Publish several messages, those of one aggregate in the given order.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        return self._run(self._target.publish_messages(messages, replay=replay))

    def publish_records(self, records: Sequence[MessageRecord], *, replay: bool = False) -> None:
        """Publish several messages as `record_to_message` returns them.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        return self._run(self._target.publish_records(records, replay=replay))

    def parse_message(self, body: str | bytes | Mapping[str, Any]) -> M:
        """Turn a received body, as JSON text or as the object it stands for, into its message.

        Raises:
            InvalidMessageError: the body is no message of this kind.
            MessageChannelEventStoreNotFoundError: it is about a store that is no source.
            UnknownEventTypeError: its event is of no type that the store has.
            EventDecodeError: its event does not fit its type.
        """
        return self._target.parse_message(body)

    def parse_received_message(self, body: str | bytes | Mapping[str, Any]) -> M | None:
        """Turn a received body into its message, or ``None`` where the consumer passes over it.

        A consumer need not declare the producer's whole store: with ``skip_unknown_types``, events
        of other types are passed over. Workers and handlers call this.

        Raises:
            InvalidMessageError, MessageChannelEventStoreNotFoundError, UnknownEventTypeError,
            EventDecodeError: as in `parse_message`.
        """
        return self._target.parse_received_message(body)

    def skips(self, error: BaseException) -> bool:
        """Tell whether consumers pass over a message that was not parsed because of an error."""
        return self._target.skips(error)

    def message_to_record(self, message: M) -> MessageRecord:
        """Encode a message for the adapter."""
        return self._target.message_to_record(message)

    def record_to_message(self, event_store_id: str, record: EventRecord) -> MessageRecord | None:
        """Return the message of a stored event for the adapter, or ``None`` where there is none.

        For programs that pass events on, such as stream handlers and relays: the event is not
        decoded, so that its type may be unknown here, and fields that its class does not declare
        are passed on too. A state-carrying channel loads the aggregate after it.

        Raises:
            MessageChannelEventStoreNotFoundError: the event store is no source of the channel.
            CastoreError: the aggregate cannot be loaded, or has no event of that version.
        """
        return self._run(self._target.record_to_message(event_store_id, record))


class SyncStateCarryingMessageChannel(Facade[StateCarryingMessageChannel[E, A]], Generic[E, A]):
    """A queue or a bus of state-carrying messages for synchronous programs."""

    def __init__(
        self,
        message_channel: StateCarryingMessageChannel[E, A],
        *,
        event_loop: EventLoopThread | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(message_channel, event_loop=event_loop, timeout=timeout)

    @property
    def message_channel(self) -> StateCarryingMessageChannel[E, A]:
        """The asynchronous message channel."""
        return self._target

    @property
    def message_channel_id(self) -> str:
        """The ``message_channel_id`` of the message channel."""
        return self._target.message_channel_id

    def get_aggregate_and_publish_message(
        self, notification: NotificationMessage[E], *, replay: bool = False
    ) -> None:
        """Load the aggregate as it was after the event, and publish both.

        Raises:
            AggregateNotFoundError: the store has no event up to the one of the notification.
            InvalidMessageError: the store has events, but not this one.
            MessagePublishError: the adapter could not hand the message over.
        """
        return self._run(
            self._target.get_aggregate_and_publish_message(notification, replay=replay)
        )

    def publish_pushed_event(self, event_store_id: str, pushed_event: PushedEvent[E, A]) -> None:
        """Publish the event with the aggregate after it, which is loaded where it is not known."""
        return self._run(self._target.publish_pushed_event(event_store_id, pushed_event))

    def message_to_record(self, message: StateCarryingMessage[E, A]) -> MessageRecord:
        """Encode a message for the adapter."""
        return self._target.message_to_record(message)

    def record_to_message(self, event_store_id: str, record: EventRecord) -> MessageRecord:
        """Load the aggregate as it was after a stored event, and return the message of both."""
        return self._run(self._target.record_to_message(event_store_id, record))

    @property
    def message_channel_adapter(self) -> MessageChannelAdapter | None:
        """The adapter that carries the messages."""
        return self._target.message_channel_adapter

    @message_channel_adapter.setter
    def message_channel_adapter(self, adapter: MessageChannelAdapter | None) -> None:
        self._target.message_channel_adapter = adapter

    def get_message_channel_adapter(self) -> MessageChannelAdapter:
        """Return the adapter.

        Raises:
            UndefinedMessageChannelAdapterError: there is none.
        """
        return self._target.get_message_channel_adapter()

    def get_source_event_store(self, event_store_id: str) -> EventSource[Any, Any]:
        """Return the source of that id.

        Raises:
            MessageChannelEventStoreNotFoundError: there is none.
        """
        return self._target.get_source_event_store(event_store_id)

    def publish_message(self, message: StateCarryingMessage[E, A], *, replay: bool = False) -> None:
        """Publish one message; ``replay`` tells consumers that they may have seen it before.

        Raises:
            MessagePublishError: the adapter could not hand it over.
        """
        return self._run(self._target.publish_message(message, replay=replay))

    def publish_messages(
        self, messages: Iterable[StateCarryingMessage[E, A]], *, replay: bool = False
    ) -> None:
        """Publish several messages, those of one aggregate in the given order.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        return self._run(self._target.publish_messages(messages, replay=replay))

    def publish_records(self, records: Sequence[MessageRecord], *, replay: bool = False) -> None:
        """Publish several messages as `record_to_message` returns them.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        return self._run(self._target.publish_records(records, replay=replay))

    def parse_message(self, body: str | bytes | Mapping[str, Any]) -> StateCarryingMessage[E, A]:
        """Turn a received body, as JSON text or as the object it stands for, into its message.

        Raises:
            InvalidMessageError: the body is no message of this kind.
            MessageChannelEventStoreNotFoundError: it is about a store that is no source.
            UnknownEventTypeError: its event is of no type that the store has.
            EventDecodeError: its event does not fit its type.
        """
        return self._target.parse_message(body)

    def parse_received_message(
        self, body: str | bytes | Mapping[str, Any]
    ) -> StateCarryingMessage[E, A] | None:
        """Turn a received body into its message, or ``None`` where the consumer passes over it.

        A consumer need not declare the producer's whole store: with ``skip_unknown_types``, events
        of other types are passed over. Workers and handlers call this.

        Raises:
            InvalidMessageError, MessageChannelEventStoreNotFoundError, UnknownEventTypeError,
            EventDecodeError: as in `parse_message`.
        """
        return self._target.parse_received_message(body)

    def skips(self, error: BaseException) -> bool:
        """Tell whether consumers pass over a message that was not parsed because of an error."""
        return self._target.skips(error)
