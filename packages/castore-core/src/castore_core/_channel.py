"""Message channels: queues, with one consumer of each message, and buses, with many.

Three kinds of message travel through two shapes of channel; adapters carry them all alike.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, cast

from typing_extensions import TypeVar

from castore_core._aggregate import A, A_co, AggregateCodec
from castore_core._event import AGGREGATE_EXISTS, E, E_co
from castore_core._json import JSONValue, check_json
from castore_core._message import (
    AggregateExistsMessage,
    MessageBody,
    MessageRecord,
    NotificationMessage,
    StateCarryingMessage,
    event_from_body,
    event_to_body,
    text_from_body,
    timestamp_from_body,
)
from castore_core._publishing import publish_observed
from castore_core._record import EventRecord
from castore_core._results import ExistingAggregate, PushedEvent
from castore_core._telemetry import installed
from castore_core._timestamp import format_timestamp
from castore_core.errors import (
    EventDecodeError,
    InvalidMessageError,
    MessageChannelEventStoreNotFoundError,
    UndefinedAggregateCodecError,
    UndefinedMessageChannelAdapterError,
    UnknownEventTypeError,
    describe,
)

M = TypeVar("M", default=Any)


ChannelKind: TypeAlias = Literal["queue", "bus"]


class MessageChannelAdapter(Protocol):
    """Carries messages. A plugin implements it for one kind of infrastructure.

    The class of an adapter may have an attribute ``channel_kind``, of type `ChannelKind`: channels
    of the other kind refuse it then; and an attribute ``messaging_system``, by which telemetry
    names what carries the messages. Where the infrastructure has a place for the headers of a
    message, beside its body, they go along.
    """

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Hand a message over; it was taken when this returns.

        Raises:
            MessagePublishError: the message was not taken.
        """
        ...

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Hand several messages over, those of one aggregate in the given order.

        Raises:
            MessagePublishError: names the messages that were not taken, in their order; all others
                were.
        """
        ...


class EventSource(Protocol[E_co, A_co]):
    """What a channel needs of an event store whose messages it carries."""

    @property
    def event_store_id(self) -> str:
        """The id that messages carry."""
        ...

    @property
    def event_types(self) -> tuple[type[E_co], ...]:
        """The classes of its events."""
        ...

    @property
    def aggregate_codec(self) -> AggregateCodec[Any] | None:
        """How aggregates become JSON values."""
        ...

    def event_to_record(self, event: Any) -> EventRecord:
        """Encode an event of the store."""
        ...

    def event_from_record(self, record: EventRecord) -> E_co:
        """Decode an event of the store."""
        ...

    async def get_existing_aggregate(
        self, aggregate_id: str, *, max_version: int | None = None
    ) -> ExistingAggregate[E_co, A_co]:
        """Load an aggregate."""
        ...


class MessageChannel(ABC, Generic[M]):
    """What all channels have in common.

    ``source_event_stores`` are the stores whose messages the channel carries. Give them as a
    tuple: mypy infers the events of several stores from a tuple, not from a list.
    ``message_channel_adapter`` may be set later. ``skip_unknown_types`` says that consumers pass
    over events of types that their own ``source_event_stores`` do not have: see
    `parse_received_message`.

    Raises:
        TypeError: the adapter is a class, or one of the other kind of channel.
        ValueError: two sources have one ``event_store_id``.
    """

    kind: ClassVar[ChannelKind | None] = None

    def __init__(
        self,
        message_channel_id: str,
        *,
        source_event_stores: Iterable[EventSource[Any, Any]],
        message_channel_adapter: MessageChannelAdapter | None = None,
        skip_unknown_types: bool = False,
    ) -> None:
        self.message_channel_id = message_channel_id
        self.skip_unknown_types = skip_unknown_types
        self.source_event_stores: tuple[EventSource[Any, Any], ...] = tuple(source_event_stores)
        self._adapter = self._check_adapter(message_channel_adapter)
        self._sources = {each.event_store_id: each for each in self.source_event_stores}
        if len(self._sources) < len(self.source_event_stores):
            raise ValueError(f"two sources of {message_channel_id!r} have one event_store_id")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message_channel_id!r})"

    @property
    def message_channel_adapter(self) -> MessageChannelAdapter | None:
        """The adapter that carries the messages."""
        return self._adapter

    @message_channel_adapter.setter
    def message_channel_adapter(self, adapter: MessageChannelAdapter | None) -> None:
        self._adapter = self._check_adapter(adapter)

    def get_message_channel_adapter(self) -> MessageChannelAdapter:
        """Return the adapter.

        Raises:
            UndefinedMessageChannelAdapterError: there is none.
        """
        if self._adapter is None:
            raise UndefinedMessageChannelAdapterError(self.message_channel_id)
        return self._adapter

    def get_source_event_store(self, event_store_id: str) -> EventSource[Any, Any]:
        """Return the source of that id.

        Raises:
            MessageChannelEventStoreNotFoundError: there is none.
        """
        try:
            return self._sources[event_store_id]
        except KeyError:
            raise MessageChannelEventStoreNotFoundError(
                self.message_channel_id, event_store_id
            ) from None

    async def publish_message(self, message: M, *, replay: bool = False) -> None:
        """Publish one message; ``replay`` tells consumers that they may have seen it before.

        Raises:
            MessagePublishError: the adapter could not hand it over.
        """
        adapter = self.get_message_channel_adapter()
        record = self.message_to_record(message)
        if installed.telemetry is None:
            await adapter.publish_message(record, replay=replay)
        else:
            await publish_observed(self, adapter, [record], replay=replay, alone=True)

    async def publish_messages(self, messages: Iterable[M], *, replay: bool = False) -> None:
        """Publish several messages, those of one aggregate in the given order.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        self.get_message_channel_adapter()
        records = [self.message_to_record(each) for each in messages]
        await self.publish_records(records, replay=replay)

    async def publish_records(
        self, records: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Publish several messages as `record_to_message` returns them.

        Raises:
            MessagePublishError: names the messages that were not handed over; all others were.
        """
        adapter = self.get_message_channel_adapter()
        if installed.telemetry is None:
            await adapter.publish_messages(records, replay=replay)
        else:
            await publish_observed(self, adapter, records, replay=replay)

    def parse_message(self, body: str | bytes | Mapping[str, Any]) -> M:
        """Turn a received body, as JSON text or as the object it stands for, into its message.

        Raises:
            InvalidMessageError: the body is no message of this kind.
            MessageChannelEventStoreNotFoundError: it is about a store that is no source.
            UnknownEventTypeError: its event is of no type that the store has.
            EventDecodeError: its event does not fit its type.
        """
        try:
            parsed = _to_object(body)
            source = self.get_source_event_store(text_from_body(parsed, "eventStoreId"))
            return self._message_from_body(source, parsed)
        except (MessageChannelEventStoreNotFoundError, UnknownEventTypeError, EventDecodeError):
            raise
        except Exception as error:
            raise InvalidMessageError(self.message_channel_id, describe(error)) from error

    def parse_received_message(self, body: str | bytes | Mapping[str, Any]) -> M | None:
        """Turn a received body into its message, or ``None`` where the consumer passes over it.

        A consumer need not declare the producer's whole store: with ``skip_unknown_types``, events
        of other types are passed over. Workers and handlers call this.

        Raises:
            InvalidMessageError, MessageChannelEventStoreNotFoundError, UnknownEventTypeError,
            EventDecodeError: as in `parse_message`.
        """
        try:
            return self.parse_message(body)
        except UnknownEventTypeError as error:
            if not self.skips(error):
                raise
            return None

    def skips(self, error: BaseException) -> bool:
        """Tell whether consumers pass over a message that was not parsed because of an error."""
        return self.skip_unknown_types and isinstance(error, UnknownEventTypeError)

    def _check_adapter(self, adapter: MessageChannelAdapter | None) -> MessageChannelAdapter | None:
        if isinstance(adapter, type):
            raise TypeError(f"an adapter is an object: make one, {adapter.__name__}(...)")
        kind = getattr(type(adapter), "channel_kind", None)
        if None not in (kind, self.kind) and kind != self.kind:
            name = type(adapter).__qualname__
            raise TypeError(f"{name} is for a {kind}, and {self!r} is a {self.kind}")
        return adapter

    @abstractmethod
    def message_to_record(self, message: M) -> MessageRecord:
        """Encode a message for the adapter."""

    @abstractmethod
    async def record_to_message(
        self, event_store_id: str, record: EventRecord
    ) -> MessageRecord | None:
        """Return the message of a stored event for the adapter, or ``None`` where there is none.

        For programs that pass events on, such as stream handlers and relays: the event is not
        decoded, so that its type may be unknown here, and fields that its class does not declare
        are passed on too. A state-carrying channel loads the aggregate after it.

        Raises:
            MessageChannelEventStoreNotFoundError: the event store is no source of the channel.
            CastoreError: the aggregate cannot be loaded, or has no event of that version.
        """

    @abstractmethod
    def _message_from_body(self, source: EventSource[Any, Any], body: MessageBody) -> M: ...


class MessageQueue(MessageChannel[M]):
    """A channel of which each message is handled by one consumer."""

    kind: ClassVar[ChannelKind | None] = "queue"


class MessageBus(MessageChannel[M]):
    """A channel of which each message is told to every listener that asked for its kind."""

    kind: ClassVar[ChannelKind | None] = "bus"


class AggregateExistsMessageChannel(MessageChannel[AggregateExistsMessage]):
    """A channel of messages that tell of aggregates."""

    carries_state = False

    async def publish_pushed_event(
        self, event_store_id: str, pushed_event: PushedEvent[Any, Any]
    ) -> None:
        """Publish that the aggregate exists, if the event is its first."""
        event = pushed_event.event
        if event.version == 1:
            message = AggregateExistsMessage(event_store_id, event.aggregate_id, event.timestamp)
            await self.publish_message(message)

    def message_to_record(self, message: AggregateExistsMessage) -> MessageRecord:
        """Encode a message for the adapter."""
        store_id = self.get_source_event_store(message.event_store_id).event_store_id
        body: MessageBody = {
            "eventStoreId": store_id,
            "aggregateId": message.aggregate_id,
            "initialEventTimestamp": format_timestamp(message.initial_event_timestamp),
        }
        return MessageRecord(store_id, message.aggregate_id, None, AGGREGATE_EXISTS, body)

    async def record_to_message(
        self, event_store_id: str, record: EventRecord
    ) -> MessageRecord | None:
        """Return the message of an aggregate's first event; later ones have none."""
        store_id = self.get_source_event_store(event_store_id).event_store_id
        if record.version > 1:
            return None
        message = AggregateExistsMessage(store_id, record.aggregate_id, record.timestamp)
        return self.message_to_record(message)

    def _message_from_body(
        self, source: EventSource[Any, Any], body: MessageBody
    ) -> AggregateExistsMessage:
        return AggregateExistsMessage(
            source.event_store_id,
            text_from_body(body, "aggregateId"),
            timestamp_from_body(body, "initialEventTimestamp"),
        )


class NotificationMessageChannel(MessageChannel[NotificationMessage[E]], Generic[E]):
    """A channel of messages that tell of events."""

    carries_state = False

    def __init__(
        self,
        message_channel_id: str,
        *,
        source_event_stores: Iterable[EventSource[E, Any]],
        message_channel_adapter: MessageChannelAdapter | None = None,
        skip_unknown_types: bool = False,
    ) -> None:
        super().__init__(
            message_channel_id,
            source_event_stores=source_event_stores,
            message_channel_adapter=message_channel_adapter,
            skip_unknown_types=skip_unknown_types,
        )

    async def publish_pushed_event(
        self, event_store_id: str, pushed_event: PushedEvent[E, Any]
    ) -> None:
        """Publish the event."""
        await self.publish_message(NotificationMessage(event_store_id, pushed_event.event))

    def message_to_record(self, message: NotificationMessage[E]) -> MessageRecord:
        """Encode a message for the adapter."""
        source = self.get_source_event_store(message.event_store_id)
        return _to_event_message(source, source.event_to_record(message.event))

    async def record_to_message(self, event_store_id: str, record: EventRecord) -> MessageRecord:
        """Return the message of a stored event."""
        return _to_event_message(self.get_source_event_store(event_store_id), record)

    def _message_from_body(
        self, source: EventSource[E, Any], body: MessageBody
    ) -> NotificationMessage[E]:
        event = source.event_from_record(event_from_body(body.get("event")))
        return NotificationMessage(source.event_store_id, event)


class StateCarryingMessageChannel(MessageChannel[StateCarryingMessage[E, A]], Generic[E, A]):
    """A channel of messages that tell of events, and of the state after each.

    mypy infers the aggregates of one source only: with several, annotate the channel.

    Raises:
        UndefinedAggregateCodecError: a source has no ``aggregate_codec``.
    """

    carries_state = True

    def __init__(
        self,
        message_channel_id: str,
        *,
        source_event_stores: Iterable[EventSource[E, A]],
        message_channel_adapter: MessageChannelAdapter | None = None,
        skip_unknown_types: bool = False,
    ) -> None:
        super().__init__(
            message_channel_id,
            source_event_stores=source_event_stores,
            message_channel_adapter=message_channel_adapter,
            skip_unknown_types=skip_unknown_types,
        )
        self._codecs = {each.event_store_id: _codec_of(each) for each in self.source_event_stores}

    async def get_aggregate_and_publish_message(
        self, notification: NotificationMessage[E], *, replay: bool = False
    ) -> None:
        """Load the aggregate as it was after the event, and publish both.

        Raises:
            AggregateNotFoundError: the store has no event up to the one of the notification.
            InvalidMessageError: the store has events, but not this one.
            MessagePublishError: the adapter could not hand the message over.
        """
        event = notification.event
        source = self.get_source_event_store(notification.event_store_id)
        aggregate = await self._load(source, event.aggregate_id, event.version)
        message = StateCarryingMessage(source.event_store_id, event, aggregate)
        await self.publish_message(message, replay=replay)

    async def publish_pushed_event(
        self, event_store_id: str, pushed_event: PushedEvent[E, A]
    ) -> None:
        """Publish the event with the aggregate after it, which is loaded where it is not known."""
        event, aggregate = pushed_event.event, pushed_event.next_aggregate
        if aggregate is None:
            notification = NotificationMessage(event_store_id, event)
            await self.get_aggregate_and_publish_message(notification)
        else:
            await self.publish_message(StateCarryingMessage(event_store_id, event, aggregate))

    def message_to_record(self, message: StateCarryingMessage[E, A]) -> MessageRecord:
        """Encode a message for the adapter."""
        source = self.get_source_event_store(message.event_store_id)
        return self._add_state(source, source.event_to_record(message.event), message.aggregate)

    async def record_to_message(self, event_store_id: str, record: EventRecord) -> MessageRecord:
        """Load the aggregate as it was after a stored event, and return the message of both."""
        source = self.get_source_event_store(event_store_id)
        aggregate = await self._load(source, record.aggregate_id, record.version)
        return self._add_state(source, record, aggregate)

    async def _load(self, source: EventSource[Any, Any], aggregate_id: str, version: int) -> A:
        loaded = await source.get_existing_aggregate(aggregate_id, max_version=version)
        if loaded.last_event.version != version:
            reason = f"{aggregate_id!r} has no event of version {version}"
            raise InvalidMessageError(self.message_channel_id, reason)
        return cast("A", loaded.aggregate)

    def _add_state(
        self, source: EventSource[Any, Any], record: EventRecord, aggregate: A
    ) -> MessageRecord:
        message = _to_event_message(source, record)
        encoded = self._codecs[source.event_store_id].encode(aggregate)
        check_json(encoded, "aggregate")
        message.body["aggregate"] = encoded
        return message

    def _message_from_body(
        self, source: EventSource[E, A], body: MessageBody
    ) -> StateCarryingMessage[E, A]:
        event = source.event_from_record(event_from_body(body.get("event")))
        if "aggregate" not in body:
            raise ValueError("it has no aggregate")
        check_json(body["aggregate"], "aggregate")
        aggregate = self._codecs[source.event_store_id].decode(body["aggregate"])
        return StateCarryingMessage(source.event_store_id, event, aggregate)


class AggregateExistsMessageQueue(
    AggregateExistsMessageChannel, MessageQueue[AggregateExistsMessage]
):
    """A queue of messages that tell of aggregates."""


class AggregateExistsMessageBus(AggregateExistsMessageChannel, MessageBus[AggregateExistsMessage]):
    """A bus of messages that tell of aggregates."""


class NotificationMessageQueue(NotificationMessageChannel[E], MessageQueue[NotificationMessage[E]]):
    """A queue of messages that tell of events."""


class NotificationMessageBus(NotificationMessageChannel[E], MessageBus[NotificationMessage[E]]):
    """A bus of messages that tell of events."""


class StateCarryingMessageQueue(
    StateCarryingMessageChannel[E, A], MessageQueue[StateCarryingMessage[E, A]]
):
    """A queue of messages that tell of events, and of the state after each."""


class StateCarryingMessageBus(
    StateCarryingMessageChannel[E, A], MessageBus[StateCarryingMessage[E, A]]
):
    """A bus of messages that tell of events, and of the state after each."""


def _to_event_message(source: EventSource[Any, Any], record: EventRecord) -> MessageRecord:
    body: MessageBody = {"eventStoreId": source.event_store_id, "event": event_to_body(record)}
    return MessageRecord(
        source.event_store_id, record.aggregate_id, record.version, record.type, body
    )


def _codec_of(source: EventSource[Any, Any]) -> AggregateCodec[Any]:
    if source.aggregate_codec is None:
        raise UndefinedAggregateCodecError(source.event_store_id)
    return source.aggregate_codec


def _to_object(body: str | bytes | Mapping[str, Any]) -> MessageBody:
    try:
        parsed: object = json.loads(body) if isinstance(body, (str, bytes)) else body
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(parsed, Mapping):
        raise ValueError("the body is not an object")
    return dict(cast("Mapping[str, JSONValue]", parsed))
